use std::sync::Mutex;

use http::Method;
use rollcall_net::{Trigger, shutdown};
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    super::{Setting, Trust, begin, secret::written},
    *,
};
use crate::{
    operate::{Metrics, WriteKind},
    scripted_api::{Asked, Log, Reply, problem, scripted},
};

const SECRET: &str = "/api/v1/namespaces/rollcall-system/secrets/rollcall-ca";
const SOURCE: &str = "/api/v1/namespaces/rollcall-system/secrets/outer";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/rollcall-system/leases/rollcall-controller";

/// What Kubernetes holds; none: there is no such object.
#[derive(Debug, Default)]
struct Kept {
    secret: Option<Value>,
    source: Option<Value>,
    /// Who holds the Lease.
    holder: Option<&'static str>,
    version: u64,
    /// What calls of this method for our Secret are answered with instead.
    instead: Option<(Method, Reply)>,
    is_away: bool,
}

#[derive(Clone)]
struct Stage {
    kept: Arc<Mutex<Kept>>,
    log: Log,
    metrics: Metrics,
    setting: Arc<dyn Fn() -> Setting + Send + Sync>,
}

struct Running {
    trust: Trust,
    _trigger: Trigger,
    _part: JoinHandle<()>,
}

impl Kept {
    fn answer(&mut self, asked: &Asked) -> Reply {
        if self.is_away {
            return problem(503);
        }
        match asked.path.as_str() {
            LEASE => match self.holder {
                Some(holder) => Reply::Json(200, json!({"spec": {"holderIdentity": holder}})),
                None => problem(404),
            },
            SOURCE => self.source.clone().map_or(problem(404), |source| Reply::Json(200, source)),
            path if path.ends_with("/events") => Reply::Json(201, asked.body.clone()),
            _ => self.of_the_secret(asked),
        }
    }

    fn of_the_secret(&mut self, asked: &Asked) -> Reply {
        if let Some((method, reply)) = &self.instead
            && asked.method == *method
        {
            return reply.clone();
        }
        match (&asked.method, &self.secret) {
            (&Method::GET, Some(secret)) => Reply::Json(200, secret.clone()),
            (&Method::POST, None) => self.write(&asked.body),
            (&Method::PUT, Some(secret)) => {
                assert_eq!(asked.path, SECRET);
                match secret["metadata"]["resourceVersion"] == asked.body["metadata"]["resourceVersion"] {
                    true => self.write(&asked.body),
                    false => problem(409),
                }
            }
            (&Method::POST, Some(_)) => problem(409),
            _ => problem(404),
        }
    }

    fn write(&mut self, secret: &Value) -> Reply {
        self.version += 1;
        let mut secret = secret.clone();
        secret["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.secret = Some(secret.clone());
        Reply::Json(200, secret)
    }

    fn put(&mut self, state: &State) {
        let secret = serde_json::to_value(written(state, "rollcall-ca", None)).unwrap();
        self.write(&secret);
    }
}

/// A Secret that somebody wrote who knows nothing of ours.
fn plain(authority: &Arc<Authority>) -> Value {
    let mut secret = serde_json::to_value(written(&State::steady(authority.clone()), "x", None)).unwrap();
    secret["data"].as_object_mut().unwrap().remove("ca.crt");
    secret
}

impl Stage {
    fn new(kept: Kept, source: Option<&str>) -> Self {
        let kept = Arc::new(Mutex::new(kept));
        let (client, log) = {
            let kept = kept.clone();
            scripted(move |asked| kept.lock().unwrap().answer(asked))
        };
        let metrics = Metrics::new();
        let (origin, day) = (Instant::now(), super::begin());
        let (source, counted) = (source.map(str::to_owned), metrics.clone());
        let setting = move || Setting {
            client: client.clone(),
            namespace: "rollcall-system".to_owned(),
            secret: "rollcall-ca".to_owned(),
            source: source.clone(),
            lease_name: "rollcall-controller".to_owned(),
            replica: "controller-1".to_owned(),
            terms: SHORT,
            names: Vec::new(),
            metrics: counted.clone(),
            clock: Arc::new(move || day + origin.elapsed()),
        };
        Self { kept, log, metrics, setting: Arc::new(setting) }
    }

    async fn start(&self) -> Running {
        let (keeper, trust) = begin((self.setting)()).await.unwrap();
        let (trigger, ear) = shutdown();
        Running { trust, _trigger: trigger, _part: tokio::spawn(keeper.run(ear)) }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        change(&mut self.kept.lock().unwrap())
    }

    /// What stands in this entry of the Secret.
    fn entry(&self, name: &str) -> Option<String> {
        let text = self.change(|kept| kept.secret.as_ref()?["data"][name].as_str().map(str::to_owned))?;
        use base64::{Engine, prelude::BASE64_STANDARD};
        Some(String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap())
    }

    fn writes(&self) -> u64 {
        self.metrics.writes().of(WriteKind::Secret)
    }

    /// The reasons of all Events so far.
    fn events(&self) -> Vec<String> {
        let all = self.log.of(&Method::POST).into_iter().filter(|asked| asked.path.ends_with("/events"));
        all.map(|asked| asked.body["reason"].as_str().unwrap().to_owned()).collect()
    }
}

impl Running {
    fn bundle(&self) -> Arc<str> {
        self.trust.told.borrow().ca_pem.clone()
    }
}

/// All looks that are needed, and some more.
async fn soon() {
    sleep(seconds(20)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_one_makes_an_authority_and_whoever_comes_later_takes_it() {
    let stage = Stage::new(Kept::default(), None);
    let begin = Instant::now();
    let one = stage.start().await;
    assert!(begin.elapsed() < seconds(1), "nobody is waited for where nobody can be");
    let two = stage.start().await;
    assert_eq!(one.bundle(), two.bundle());
    assert_eq!(stage.entry("ca.crt").as_deref(), Some(&*one.bundle()));
    assert_eq!(stage.change(|kept| kept.secret.as_ref().unwrap()["type"].clone()), "kubernetes.io/tls");
    sleep(seconds(300)).await;
    assert_eq!(stage.writes(), 1);
    assert_eq!(stage.events(), ["AuthorityMade"]);
    let looks = stage.log.of(&Method::GET).into_iter().filter(|asked| asked.path == SECRET).count();
    assert!((100..130).contains(&looks), "{looks} looks of two, in five minutes");
}

#[tokio::test(start_paused = true)]
async fn two_that_begin_together_agree() {
    let stage = Stage::new(Kept::default(), None);
    let (one, two) = tokio::join!(stage.start(), stage.start());
    soon().await;
    assert_eq!(one.bundle(), two.bundle());
    assert_eq!(stage.entry("ca.crt").as_deref(), Some(&*one.bundle()));
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_or_broken_is_back_within_a_look() {
    let stage = Stage::new(Kept::default(), None);
    let one = stage.start().await;
    let bundle = one.bundle();
    for (number, entry) in [None, Some("tls.crt"), Some("tls.key"), Some("ca.crt")].into_iter().enumerate() {
        stage.change(|kept| match entry {
            None => kept.secret = None,
            Some(entry) => kept.secret.as_mut().unwrap()["data"][entry] = "Z2FyYmFnZQ==".into(),
        });
        sleep(seconds(7)).await;
        assert_eq!(stage.entry("ca.crt").as_deref(), Some(&*bundle), "{number}");
        assert_eq!(stage.entry("tls.crt").as_deref(), Some(&*bundle));
        assert_eq!(one.bundle(), bundle, "nobody is told anything");
        assert_eq!(stage.writes(), 2 + number as u64);
        sleep(seconds(100)).await;
    }
    assert_eq!(stage.events()[1..], ["AuthorityRepaired"; 4]);
}

#[tokio::test(start_paused = true)]
async fn whoever_starts_without_a_secret_waits_for_those_who_know_it() {
    let stage = Stage::new(Kept { holder: Some("controller-0"), ..Kept::default() }, None);
    let waiting = tokio::spawn({
        let stage = stage.clone();
        async move { stage.start().await }
    });
    sleep(seconds(10)).await;
    assert!(!waiting.is_finished() && stage.writes() == 0);
    let known = State::steady(authority(SHORT.authority, super::begin()));
    stage.change(|kept| kept.put(&known));
    let begun = timeout(seconds(5), waiting).await.unwrap().unwrap();
    assert_eq!(*begun.bundle(), known.bundle());
    // Nobody is there after all: the Lease is from before.
    stage.change(|kept| kept.secret = None);
    let alone = Stage::new(Kept { holder: Some("controller-0"), ..Kept::default() }, None);
    let begin = Instant::now();
    alone.start().await;
    assert!((SHORT.heard_within()..SHORT.heard_within() + seconds(4)).contains(&begin.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_runs_by_itself_and_leaves_follow() {
    let stage = Stage::new(Kept::default(), None);
    let one = stage.start().await;
    let first = one.bundle();
    sleep(seconds(590)).await;
    assert_eq!(one.bundle(), first);
    sleep(seconds(30)).await;
    let both = one.bundle();
    assert!(both.contains(&*first) && both.len() > first.len(), "announced");
    assert!(stage.entry("previous.key").is_some());
    sleep(seconds(200)).await;
    let second = one.bundle();
    assert!(both.contains(&*second) && second != first && stage.entry("previous.key").is_none(), "retired");
    assert_eq!(stage.events(), ["AuthorityMade", "AuthorityAnnounced", "AuthorityRetired"]);
    assert_eq!(stage.writes(), 3);
}

/// A handshake with what a process shows, for one who believes this.
async fn believes(trust: &Trust, bundle: &str) -> bool {
    let server = rollcall_net::server_config_showing(trust.shown.clone()).unwrap();
    let client = rollcall_net::client_config(bundle.as_bytes()).unwrap();
    let (far, near) = tokio::io::duplex(16 * 1024);
    let name = rollcall_net::server_name().unwrap();
    let (server, client) = tokio::join!(
        tokio_rustls::TlsAcceptor::from(server).accept(near),
        tokio_rustls::TlsConnector::from(client).connect(name, far)
    );
    drop(server);
    client.is_ok()
}

#[tokio::test(start_paused = true)]
async fn another_authority_by_hand_is_told_first_and_signs_later() {
    let stage = Stage::new(Kept::default(), None);
    let one = stage.start().await;
    let (first, mut told) = (one.bundle(), one.trust.told.subscribe());
    let mut config = one.trust.believed.clone();
    config.mark_unchanged();
    let new = authority(SHORT.authority, super::begin());
    stage.change(|kept| {
        kept.write(&plain(&new));
    });
    timeout(seconds(7), told.changed()).await.unwrap().unwrap();
    assert!(config.has_changed().unwrap(), "links are dialled by it too");
    let both = one.bundle();
    assert!(both.contains(&*first) && both.contains(&new.certificate_pem));
    sleep(seconds(80)).await;
    assert!(believes(&one.trust, &first).await && !believes(&one.trust, &new.certificate_pem).await);
    sleep(seconds(30)).await;
    assert!(believes(&one.trust, &new.certificate_pem).await && !believes(&one.trust, &first).await);
    assert!(believes(&one.trust, &both).await);
    assert_eq!(stage.events(), ["AuthorityMade", "AuthorityAdopted"]);
    // One that starts now takes the whole state.
    assert_eq!(stage.start().await.bundle(), both);
}

#[tokio::test(start_paused = true)]
async fn leaves_go_on_while_the_api_server_is_away_and_when_nothing_may_be_written() {
    let stage = Stage::new(Kept::default(), None);
    let one = stage.start().await;
    let first = one.bundle();
    let shown = |metrics: &Metrics| {
        let text = metrics.render(&crate::View::default(), crate::operate::Format::OpenMetrics);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("rollcall_certificate_expiry_seconds{of=\"leaf\"} "));
        line.unwrap().parse::<f64>().unwrap()
    };
    let before = shown(&stage.metrics);
    stage.change(|kept| kept.is_away = true);
    let asked = stage.log.all().len();
    sleep(seconds(300)).await;
    let asked = stage.log.all().len() - asked;
    assert!((10..60).contains(&asked), "{asked} calls in five minutes");
    // By the real clock, which stood still: four more were made since.
    assert!(shown(&stage.metrics) > before + 200.0, "{}", shown(&stage.metrics));
    assert!(believes(&one.trust, &first).await);

    stage.change(|kept| {
        kept.is_away = false;
        kept.secret = None;
        kept.instead = Some((Method::POST, problem(403)));
    });
    sleep(seconds(60)).await;
    let text = stage.metrics.render(&crate::View::default(), crate::operate::Format::OpenMetrics);
    assert!(text.contains("rollcall_authority_unsaved 1"), "{text}");
    stage.change(|kept| kept.instead = None);
    sleep(seconds(130)).await;
    assert_eq!(stage.entry("ca.crt").as_deref(), Some(&*first));
    let text = stage.metrics.render(&crate::View::default(), crate::operate::Format::OpenMetrics);
    assert!(text.contains("rollcall_authority_unsaved 0"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn nobody_fights_with_whoever_writes_something_else_all_the_time() {
    let stage = Stage::new(Kept::default(), None);
    let one = stage.start().await;
    let first = one.bundle();
    let begin = stage.writes();
    for _ in 0..600 {
        stage.change(|kept| {
            if let Some(secret) = &mut kept.secret {
                secret["data"]["tls.crt"] = "Z2FyYmFnZQ==".into();
            }
        });
        sleep(seconds(1)).await;
    }
    assert!((6..=13).contains(&(stage.writes() - begin)), "{} writes in ten minutes", stage.writes() - begin);
    assert!(one.bundle().contains(&*first));
    assert!(believes(&one.trust, &one.bundle()).await);
}

#[tokio::test(start_paused = true)]
async fn a_source_is_waited_for_mirrored_and_followed() {
    let stage = Stage::new(Kept::default(), Some("outer"));
    let waiting = tokio::spawn({
        let stage = stage.clone();
        async move { stage.start().await }
    });
    sleep(seconds(60)).await;
    assert!(!waiting.is_finished() && stage.writes() == 0, "none of our own is made");
    let [first, second] = [(); 2].map(|()| authority(SHORT.authority, super::begin()));
    stage.change(|kept| kept.source = Some(plain(&first)));
    let one = timeout(seconds(5), waiting).await.unwrap().unwrap();
    assert_eq!(*one.bundle(), *first.certificate_pem);
    assert_eq!(stage.entry("tls.crt"), Some(first.certificate_pem.clone()));
    for source in [None, Some(json!({"data": {"tls.crt": "Z2FyYmFnZQ=="}})), Some(plain(&first))] {
        stage.change(|kept| kept.source = source);
        soon().await;
        assert_eq!(*one.bundle(), *first.certificate_pem);
    }
    assert_eq!(stage.writes(), 1);
    stage.change(|kept| kept.source = Some(plain(&second)));
    soon().await;
    assert!(one.bundle().contains(&first.certificate_pem) && one.bundle().contains(&second.certificate_pem));
    assert!(believes(&one.trust, &first.certificate_pem).await);
    sleep(seconds(100)).await;
    assert!(believes(&one.trust, &second.certificate_pem).await);
    sleep(seconds(100)).await;
    assert_eq!(*one.bundle(), *second.certificate_pem);
    assert_eq!(stage.events(), ["AuthorityMade", "AuthorityAnnounced", "AuthorityRetired"]);
}
