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
    PodSeen { facts, turned_ms: None, problems: Vec::new() }
}

fn start() -> (Authenticator<Table>, Table, IndexHandle, Trigger) {
    let (owner, handle) = owner(Index::default(), Metrics::new());
    let (trigger, ear) = shutdown();
    tokio::spawn(owner.run(ear));
    let table = Table::default();
    (Authenticator::new(table.clone(), handle.clone()), table, handle, trigger)
}

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
        assert_eq!(auth.authenticate(&headers(&far)).await.unwrap(), seen().facts);
    }
    assert_eq!(table.0.load(Ordering::SeqCst), 1);
    let ended = token("good", 1);
    for _ in 0..2 {
        auth.authenticate(&headers(&ended)).await.unwrap();
    }
    assert_eq!(table.0.load(Ordering::SeqCst), 3, "a token that has ended is asked about each time");

    handle.apply(Change::Gone(Key::Pod("u1".into()))).await.unwrap();
    assert_eq!(auth.authenticate(&headers(&far)).await, Err(AuthError::UnknownPod));
    assert!(!auth.known().values().any(|known| known.until > SystemTime::now()), "forgotten with its pod");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_lags_behind_is_waited_for() {
    let (auth, _, handle, _trigger) = start();
    let late = async {
        sleep(Duration::from_secs(1)).await;
        handle.apply(Change::Pod(Box::new(seen()))).await.unwrap();
    };
    let far = headers(&token("good", 4_000_000_000));
    let (found, ()) = tokio::join!(auth.authenticate(&far), late);
    assert!(found.is_ok());
}

#[tokio::test(start_paused = true)]
async fn everything_else_is_refused_with_its_own_status() {
    let (auth, table, _handle, _trigger) = start();
    let long = format!("Bearer {}", "a".repeat(TOKEN_BYTES_MAX + 1));
    for none in ["Basic good", "Bearer", "Bearer ", "good", long.as_str()] {
        assert_eq!(auth.authenticate(&headers(none)).await, Err(AuthError::NoToken));
    }
    assert_eq!(auth.authenticate(&HeaderMap::new()).await, Err(AuthError::NoToken));
    assert_eq!(table.0.load(Ordering::SeqCst), 0);
    for (token, status) in
        [("Bearer bad", 401), ("Bearer down", 503), ("Bearer hung", 503), ("Bearer good", 403)]
    {
        let error = auth.authenticate(&headers(token)).await.unwrap_err();
        assert_eq!(error.status().as_u16(), status, "{token}: {error}");
    }
}
