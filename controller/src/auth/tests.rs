use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rollcall_catalogue::liveness::PodLife;
use rollcall_net::{Trigger, shutdown};

use super::*;
use crate::{
    index::{Change, Index, Key, PodSeen},
    operate::Metrics,
    owner,
    scripted_api::{Reply, scripted},
};

/// Knows one token and counts how often it is asked.
#[derive(Clone, Default)]
struct Table(Arc<AtomicUsize>);

impl Reviewer for Table {
    async fn review(&self, token: &str) -> Result<Review, AuthError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        match token.split('.').next() {
            Some("good") => Ok(Review { pod: "u1".into() }),
            Some("down") => Err(AuthError::Unavailable),
            Some("hung") => std::future::pending().await,
            _ => Err(AuthError::Unauthenticated),
        }
    }

    async fn review_replica(&self, token: &str) -> Result<(), AuthError> {
        match self.review(token).await {
            Ok(_) => Err(AuthError::NoReplica),
            Err(AuthError::Unauthenticated) if token.starts_with("replica") => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn seen() -> PodSeen {
    let facts = PodFacts {
        uid: "u1".into(),
        namespace: "shop".parse().unwrap(),
        name: "orders-1".into(),
        node: None,
        addresses: Default::default(),
        labels: Arc::default(),
        has_sidecar: true,
        asks_to_drain: false,
        registration: None,
        life: PodLife::READY,
    };
    facts.into()
}

fn start() -> (Authenticator<Table>, Table, IndexHandle, Trigger) {
    let (owner, handle) = owner(Index::default(), Metrics::new());
    let (trigger, ear) = shutdown();
    tokio::spawn(owner.run(ear));
    let table = Table::default();
    (Authenticator::new(table.clone(), handle.clone(), Arc::default()), table, handle, trigger)
}

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

fn headers(value: &str) -> HeaderMap {
    [(AUTHORIZATION, value.parse().unwrap())].into_iter().collect()
}

fn token(name: &str, exp: u64) -> String {
    format!("Bearer {name}.{}.s", URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{exp}}}")))
}

#[tokio::test(start_paused = true)]
async fn a_good_token_is_reviewed_once_and_its_pod_comes_from_the_index() {
    let (auth, table, handle, _trigger) = start();
    handle.apply(Change::Pod(Box::new(seen()))).await.unwrap();
    let far = token("good", 4_000_000_000);
    for _ in 0..3 {
        assert_eq!(auth.authenticate(&headers(&far), PEER).await.unwrap(), seen().facts);
    }
    assert_eq!(table.0.load(Ordering::SeqCst), 1);
    let ended = token("good", 1);
    for _ in 0..2 {
        auth.authenticate(&headers(&ended), PEER).await.unwrap();
    }
    assert_eq!(table.0.load(Ordering::SeqCst), 3, "a token that has ended is asked about each time");

    handle.apply(Change::Gone(Key::Pod("u1".into()))).await.unwrap();
    assert_eq!(auth.authenticate(&headers(&far), PEER).await, Err(AuthError::UnknownPod));
    let soon = SystemTime::now() + REFUSED_FOR;
    assert!(auth.tokens.latest_end().is_some_and(|end| end <= soon), "forgotten with its pod");
    assert_eq!(auth.authenticate(&headers(&far), PEER).await, Err(AuthError::UnknownPod));
    assert_eq!(table.0.load(Ordering::SeqCst), 3, "and nobody is asked meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_lags_behind_is_waited_for() {
    let (auth, _, handle, _trigger) = start();
    let late = async {
        sleep(Duration::from_secs(1)).await;
        handle.apply(Change::Pod(Box::new(seen()))).await.unwrap();
    };
    let far = headers(&token("good", 4_000_000_000));
    let (found, ()) = tokio::join!(auth.authenticate(&far, PEER), late);
    assert!(found.is_ok());
}

#[tokio::test(start_paused = true)]
async fn everything_else_is_refused_with_its_own_status() {
    let (auth, table, _handle, _trigger) = start();
    let long = format!("Bearer {}", "a".repeat(TOKEN_BYTES_MAX + 1));
    for none in ["Basic good", "Bearer", "Bearer ", "good", long.as_str()] {
        assert_eq!(auth.authenticate(&headers(none), PEER).await, Err(AuthError::NoToken));
    }
    assert_eq!(auth.authenticate(&HeaderMap::new(), PEER).await, Err(AuthError::NoToken));
    assert_eq!(table.0.load(Ordering::SeqCst), 0);
    for (token, status) in
        [("Bearer bad", 401), ("Bearer down", 503), ("Bearer hung", 503), ("Bearer good", 403)]
    {
        let error = auth.authenticate(&headers(token), PEER).await.unwrap_err();
        assert_eq!(error.status().as_u16(), status, "{token}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_token_is_asked_about_once_in_a_while() {
    let (auth, table, _handle, _trigger) = start();
    for (times, asked) in [(5, 1), (5, 2)] {
        for _ in 0..times {
            let refused = auth.authenticate(&headers("Bearer bad"), PEER).await;
            assert_eq!(refused, Err(AuthError::Unauthenticated));
        }
        assert_eq!(table.0.load(Ordering::SeqCst), asked);
        tokio::time::advance(REFUSED_FOR).await;
    }
    for _ in 0..3 {
        assert_eq!(
            auth.authenticate(&headers("Bearer down"), PEER).await,
            Err(AuthError::Unavailable),
            "an API server that is away has refused nobody"
        );
    }
    assert_eq!(table.0.load(Ordering::SeqCst), 5);
}

#[tokio::test(start_paused = true)]
async fn one_address_can_use_up_only_its_own_reviews() {
    let (auth, table, handle, _trigger) = start();
    handle.apply(Change::Pod(Box::new(seen()))).await.unwrap();
    let mut statuses = Vec::new();
    for number in 0..20 {
        let refused = auth.authenticate(&headers(&format!("Bearer bad{number}")), PEER).await.unwrap_err();
        statuses.push(refused.status().as_u16());
    }
    assert_eq!(statuses, [[401; 16].as_slice(), &[429; 4]].concat());
    assert_eq!(table.0.load(Ordering::SeqCst), 16);
    let good = headers(&token("good", 4_000_000_000));
    assert!(auth.authenticate(&good, [10, 0, 0, 2].into()).await.is_ok(), "others go on");
    assert!(auth.authenticate(&good, PEER).await.is_ok(), "and who is known needs no review");
    tokio::time::advance(REFUSED_FOR).await;
    let mapped = IpAddr::V6(std::net::Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
    assert!(auth.authenticate(&headers("Bearer good"), mapped).await.is_ok(), "after a while");
}

#[tokio::test(start_paused = true)]
async fn an_address_has_few_reviews_at_a_time_and_each_ends() {
    let (auth, _, _handle, _trigger) = start();
    let hung: Vec<_> = (0..6).map(|number| headers(&format!("Bearer hung.{number}"))).collect();
    let asked = futures::future::join_all(hung.iter().map(|headers| auth.authenticate(headers, PEER))).await;
    let statuses: Vec<_> = asked.into_iter().map(|asked| asked.unwrap_err().status().as_u16()).collect();
    assert_eq!(statuses, [503, 503, 503, 503, 429, 429]);
    let refused = auth.authenticate(&headers("Bearer bad"), PEER).await;
    assert_eq!(refused, Err(AuthError::Unauthenticated), "the places are free again");
}

#[tokio::test(start_paused = true)]
async fn a_token_for_somebody_else_is_forbidden_and_nobody_is_asked() {
    let (auth, table, handle, _trigger) = start();
    handle.apply(Change::Pod(Box::new(seen()))).await.unwrap();
    for (aud, good) in [
        (r#""rollcall""#, true),
        (r#"["x","rollcall"]"#, true),
        (r#"["rollcall-peer"]"#, false),
        (r#""https://kubernetes.default.svc""#, false),
        ("[]", false),
    ] {
        let before = table.0.load(Ordering::SeqCst);
        let claims = URL_SAFE_NO_PAD.encode(format!("{{\"aud\":{aud},\"exp\":4000000000}}"));
        let answer = auth.authenticate(&headers(&format!("Bearer good.{claims}.s")), PEER).await;
        let asked = table.0.load(Ordering::SeqCst) - before;
        match answer {
            Ok(_) => assert!(good && asked == 1, "{aud}"),
            Err(error) => assert!(!good && asked == 0 && error.status().as_u16() == 403, "{aud}: {error}"),
        }
    }
}

fn claiming(name: &str, audience: &str) -> HeaderMap {
    let claims = URL_SAFE_NO_PAD.encode(format!("{{\"aud\":\"{audience}\",\"exp\":4000000000}}"));
    headers(&format!("Bearer {name}.{claims}.s"))
}

#[tokio::test(start_paused = true)]
async fn a_replica_is_reviewed_once_and_each_token_opens_its_own_door() {
    let (auth, table, handle, _trigger) = start();
    handle.apply(Change::Pod(Box::new(seen()))).await.unwrap();
    let replica = claiming("replica", REPLICA_AUDIENCE);
    for _ in 0..3 {
        assert_eq!(auth.authenticate_replica(&replica, PEER).await, Ok(()));
    }
    assert_eq!(table.0.load(Ordering::SeqCst), 1, "remembered, and known while the API server is away");
    let (session, link) =
        (AuthError::Audience { wanted: AUDIENCE }, AuthError::Audience { wanted: REPLICA_AUDIENCE });
    assert_eq!(auth.authenticate(&replica, PEER).await, Err(session));
    let sidecar = claiming("good", AUDIENCE);
    assert_eq!(auth.authenticate_replica(&sidecar, PEER).await, Err(link));
    assert_eq!(table.0.load(Ordering::SeqCst), 1, "nobody was asked");
    assert!(auth.authenticate(&sidecar, PEER).await.is_ok());
    for (token, status) in [("good", 403), ("bad", 401), ("down", 503)] {
        let refused = auth.authenticate_replica(&claiming(token, REPLICA_AUDIENCE), PEER).await.unwrap_err();
        assert_eq!(refused.status().as_u16(), status, "{token}");
    }
    // What is refused at one door is asked of at the other.
    let opaque = headers("Bearer replica-opaque");
    assert_eq!(auth.authenticate(&opaque, PEER).await, Err(AuthError::Unauthenticated));
    assert_eq!(auth.authenticate_replica(&opaque, PEER).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_that_another_replica_knows_is_let_in_without_a_review() {
    let (auth, table, handle, _trigger) = start();
    handle.apply(Change::Pod(Box::new(seen()))).await.unwrap();
    let digest: String = Sha256::digest(b"down.x").iter().map(|byte| format!("{byte:02x}")).collect();
    auth.tokens.hear(&digest, &"u1".into(), 60);
    assert!(auth.authenticate(&headers("Bearer down.x"), PEER).await.is_ok(), "the API server is away");
    assert_eq!(table.0.load(Ordering::SeqCst), 0);
    assert!(auth.authenticate_replica(&headers("Bearer down.x"), PEER).await.is_err(), "and is no replica");
}

#[tokio::test(start_paused = true)]
async fn a_replica_is_who_the_api_server_calls_by_our_own_service_account() {
    let ours = user_of("rollcall-system", "rollcall-controller");
    let table = [
        (ours.as_str(), REPLICA_AUDIENCE, true, Ok(())),
        ("system:serviceaccount:rollcall-system:default", REPLICA_AUDIENCE, true, Err(AuthError::NoReplica)),
        ("system:serviceaccount:shop:rollcall-controller", REPLICA_AUDIENCE, true, Err(AuthError::NoReplica)),
        (ours.as_str(), AUDIENCE, true, Err(AuthError::Unauthenticated)),
        (ours.as_str(), REPLICA_AUDIENCE, false, Err(AuthError::Unauthenticated)),
    ];
    for (username, audience, authenticated, expected) in table {
        let status = serde_json::json!({
            "authenticated": authenticated, "audiences": [audience], "user": {"username": username},
        });
        let (client, log) = scripted(move |asked| {
            let mut review = asked.body.clone();
            review["status"] = status.clone();
            Reply::Json(201, review)
        });
        let reviewer = KubeReviewer { client, writes: Arc::default(), replica_user: ours.clone() };
        assert_eq!(reviewer.review_replica("t").await, expected, "{username} {audience}");
        assert_eq!(log.all()[0].body["spec"]["audiences"], serde_json::json!([REPLICA_AUDIENCE]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewed_token_is_reviewed_for_its_own_pod_and_again_where_nobody_answers() {
    let (auth, table, _handle, _trigger) = start();
    let auth = Arc::new(auth);
    let renewed = |text: &str, pod: &str| {
        let token = rollcall_wire::Token::read(text.as_bytes()).unwrap();
        auth.clone().renew(token, pod.into(), PEER)
    };
    let shown = renewed("good.new", "u1").await.unwrap();
    assert!(auth.tokens.knows(&shown));
    assert_eq!(auth.tokens.told_after(0).len(), 1, "the other replicas are told");
    assert_eq!(renewed("good.new", "u1").await.as_ref(), Ok(&shown));
    assert_eq!(table.0.load(Ordering::SeqCst), 1, "it is reviewed once");
    assert_eq!(renewed("good.new", "u2").await, Err(AuthError::AnotherPod));
    assert_eq!(renewed("good.other", "u2").await, Err(AuthError::AnotherPod));
    assert_eq!(renewed("bad", "u1").await, Err(AuthError::Unauthenticated));
    assert_eq!(auth.tokens.told_after(0).len(), 1);
    assert!(!auth.tokens.reviews_fail());

    let begun = Instant::now();
    let before = table.0.load(Ordering::SeqCst);
    let hears = async {
        sleep(Duration::from_secs(600)).await;
        assert!(auth.tokens.reviews_fail());
        let asked = table.0.load(Ordering::SeqCst) - before;
        assert!((10..=20).contains(&asked), "{asked} in ten minutes");
        let digest: String = Sha256::digest(b"down.x").iter().map(|byte| format!("{byte:02x}")).collect();
        auth.tokens.hear(&digest, &"u1".into(), 60);
    };
    let (judged, ()) = tokio::join!(renewed("down.x", "u1"), hears);
    assert!(judged.is_ok() && begun.elapsed() <= Duration::from_secs(660), "another replica had it reviewed");
    sleep(Duration::from_secs(300)).await;
    assert!(!auth.tokens.reviews_fail(), "that was long ago");
}
