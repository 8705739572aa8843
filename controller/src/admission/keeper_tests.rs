use std::sync::Mutex;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::Method;
use rollcall_net::{Trigger, shutdown};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};

use super::*;
use crate::{
    scripted_api::{Asked, Log, Reply, problem, scripted},
    told,
};

const SERVICE: &str = "/api/v1/namespaces/rollcall-system/services/rollcall-controller";
const WEBHOOK: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/rollcall-system-injection";
const PEM: &str = "-----BEGIN CERTIFICATE-----\nours\n";

/// What Kubernetes holds; none: there is no such object.
#[derive(Debug, Clone)]
struct Kept {
    service: Option<Value>,
    webhook: Option<Value>,
    /// What calls of this method for this path are answered with instead.
    instead: Option<(Method, &'static str, Reply)>,
}

struct Stage {
    kept: Arc<Mutex<Kept>>,
    log: Log,
    way: watch::Receiver<Option<Arc<Way>>>,
    admitting: Arc<AtomicBool>,
    writes: Arc<WriteCounts>,
    told: watch::Sender<Told>,
    _part: JoinHandle<()>,
    _trigger: Trigger,
}

impl Kept {
    fn whole() -> Self {
        let service = json!({
            "metadata": {"name": "rollcall-controller", "managedFields": [{"time": "9999-12-31T23:59:59Z"}]},
            "spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "admission", "port": 7343}, {"name": "sessions", "port": 7310}]},
        });
        let entry = |name: &str, service: &str| {
            let service =
                json!({"name": service, "namespace": "rollcall-system", "port": 7343, "path": "/inject"});
            json!({"name": name, "clientConfig": {"service": service}, "sideEffects": "None"})
        };
        let webhook = json!({
            "metadata": {"name": "rollcall-system-injection", "resourceVersion": "1"},
            "webhooks": [
                entry("namespaces.inject.rollcall.dev", "rollcall-controller"),
                entry("of.somebody.else", "other"),
                entry("pods.inject.rollcall.dev", "rollcall-controller"),
                {"name": "by.url", "clientConfig": {"url": "https://example.com/"}},
            ],
        });
        Self { service: Some(service), webhook: Some(webhook), instead: None }
    }

    fn answer(&mut self, asked: &Asked) -> Reply {
        if let Some((method, path, reply)) = &self.instead
            && asked.method == *method
            && asked.path == *path
        {
            return reply.clone();
        }
        let held = match asked.path.as_str() {
            SERVICE => &mut self.service,
            _ => &mut self.webhook,
        };
        let Some(object) = held else { return problem(404) };
        if asked.method == Method::PATCH {
            assert_eq!(asked.content_type, "application/strategic-merge-patch+json");
            let version = object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
            if asked.body["metadata"]["resourceVersion"] != version {
                return problem(409);
            }
            for new in asked.body["webhooks"].as_array().unwrap() {
                let mut entries = object["webhooks"].as_array_mut().unwrap().iter_mut();
                let entry = entries.find(|entry| entry["name"] == new["name"]).unwrap();
                entry["clientConfig"]["caBundle"] = new["clientConfig"]["caBundle"].clone();
            }
            object["metadata"]["resourceVersion"] = (version.parse::<u64>().unwrap() + 1).to_string().into();
        }
        Reply::Json(200, object.clone())
    }

    /// What each entry says of whom to believe.
    fn bundles(&self) -> Vec<Value> {
        let entries = self.webhook.as_ref().unwrap()["webhooks"].as_array().unwrap();
        entries.iter().map(|entry| entry["clientConfig"]["caBundle"].clone()).collect()
    }
}

impl Stage {
    fn begin(kept: Kept) -> Self {
        let kept = Arc::new(Mutex::new(kept));
        let (client, log) = {
            let kept = kept.clone();
            scripted(move |asked| kept.lock().unwrap().answer(asked))
        };
        let names = Names {
            namespace: "rollcall-system".to_owned(),
            service: "rollcall-controller".to_owned(),
            webhook: "rollcall-system-injection".to_owned(),
        };
        let (told, _) = told::feed(PEM);
        let (known, way) = watch::channel(None);
        let (admitting, writes) = (Arc::<AtomicBool>::default(), Arc::<WriteCounts>::default());
        let keeper = Keeper::new(client, names, told.clone(), writes.clone(), known, admitting.clone());
        let (trigger, ear) = shutdown();
        let part = tokio::spawn(keeper.run(ear));
        Self { kept, log, way, admitting, writes, told, _part: part, _trigger: trigger }
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.kept.lock().unwrap());
    }

    fn is_awaited(&self) -> bool {
        !self.admitting.load(Ordering::Acquire)
    }

    fn controller(&self) -> Option<SocketAddr> {
        self.way.borrow().as_deref().map(|way| match way {
            Way::Direct { controller, ca_pem } => {
                assert_eq!(**ca_pem, *self.told.borrow().ca_pem);
                assert_eq!(self.told.borrow().controller, Some(*controller));
                *controller
            }
            Way::ConfigMap(_) => panic!("a keeper knows the cluster"),
        })
    }

    fn is_right(&self) -> bool {
        let ours = Value::from(BASE64_STANDARD.encode(&*self.told.borrow().ca_pem));
        self.kept.lock().unwrap().bundles() == [ours.clone(), Value::Null, ours, Value::Null]
    }
}

/// As long as it takes to look at once and after a failure or two.
async fn soon() {
    sleep(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_ours_is_written_once_and_nothing_else() {
    let stage = Stage::begin(Kept::whole());
    soon().await;
    assert!(stage.is_right(), "{:?}", stage.kept);
    assert!(!stage.is_awaited());
    assert_eq!(stage.controller(), Some(([10, 96, 0, 7], 7310).into()));
    let patches = stage.log.of(&Method::PATCH);
    assert_eq!(patches.len(), 1);
    assert_eq!(patches[0].path, WEBHOOK);
    assert!(patches[0].query.contains("fieldManager=rollcall-controller"), "{}", patches[0].query);
    let names = patches[0].body["webhooks"].as_array().unwrap().iter().map(|entry| entry["name"].clone());
    let expected = ["namespaces.inject.rollcall.dev", "pods.inject.rollcall.dev"];
    assert_eq!(names.collect::<Vec<_>>(), expected);

    sleep(Duration::from_secs(300)).await;
    assert_eq!(stage.writes.of(WriteKind::Webhook), 1, "only where it differs");
    let looks = stage.log.of(&Method::GET).into_iter().filter(|asked| asked.path == WEBHOOK).count();
    assert!((10..=13).contains(&looks), "{looks} looks in five minutes");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_takes_away_or_spoils_is_back_within_half_a_minute() {
    let stage = Stage::begin(Kept::whole());
    soon().await;
    for bundle in [Value::Null, json!(""), json!("c3RyYW5nZXI=")] {
        stage.change(|kept| {
            kept.webhook.as_mut().unwrap()["webhooks"][2]["clientConfig"]["caBundle"] = bundle;
        });
        sleep(LOOK_EVERY + Duration::from_secs(5)).await;
        assert!(stage.is_right(), "{:?}", stage.kept);
    }
    // Made anew, as an upgrade does; and the Service as well, which has another address then.
    stage.change(|kept| {
        *kept = Kept::whole();
        kept.service.as_mut().unwrap()["spec"]["clusterIP"] = "fd00::7".into();
    });
    sleep(LOOK_EVERY * 2).await;
    assert!(stage.is_right());
    assert_eq!(stage.controller(), Some("[fd00::7]:7310".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn without_a_webhook_nobody_waits_and_one_that_comes_is_seen() {
    for absent in [None, Some(json!({"metadata": {"resourceVersion": "1"}, "webhooks": []}))] {
        let stage = Stage::begin(Kept { webhook: absent, ..Kept::whole() });
        soon().await;
        assert!(!stage.is_awaited());
        assert_eq!(stage.log.of(&Method::PATCH).len(), 0);
        assert!(stage.controller().is_some());
        stage.change(|kept| kept.webhook = Kept::whole().webhook);
        sleep(LOOK_EVERY).await;
        assert!(stage.is_right());
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_waits_for_what_may_come_and_not_for_ever() {
    let late = problem(500);
    let (get, patch) = (Method::GET, Method::PATCH);
    for (method, path, reply) in [
        (get.clone(), WEBHOOK, problem(403)),
        (patch.clone(), WEBHOOK, problem(403)),
        (get.clone(), SERVICE, problem(403)),
        (get.clone(), SERVICE, late.clone()),
        (get.clone(), WEBHOOK, late),
        (get, SERVICE, problem(404)),
        (patch, WEBHOOK, problem(409)),
    ] {
        let begin = Instant::now();
        let stage = Stage::begin(Kept { instead: Some((method, path, reply)), ..Kept::whole() });
        sleep(AWAITED_MAX - Duration::from_millis(1)).await;
        assert!(stage.is_awaited(), "{path}");
        sleep(Duration::from_millis(2)).await;
        assert!(!stage.is_awaited(), "after {:?}", begin.elapsed());

        let before = stage.log.all().len();
        sleep(Duration::from_secs(600)).await;
        let asked = stage.log.all().len() - before;
        assert!((2 * 20..3 * 80).contains(&asked), "{path}: {asked}");
        stage.change(|kept| kept.instead = None);
        sleep(LOOK_EVERY + Duration::from_secs(1)).await;
        assert!(stage.is_right() && stage.controller().is_some(), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_comes_with_the_answer() {
    let stage = Stage::begin(Kept { instead: Some((Method::GET, WEBHOOK, Reply::Hang)), ..Kept::whole() });
    sleep(CALL_MAX / 2).await;
    assert!(stage.is_awaited());
    stage.change(|kept| kept.instead = None);
    sleep(CALL_MAX / 2 + Duration::from_secs(2)).await;
    assert!(!stage.is_awaited() && stage.is_right(), "a call that hangs is given up");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_leads_nowhere_is_told_to_nobody() {
    let stage = Stage::begin(Kept::whole());
    soon().await;
    assert!(stage.controller().is_some());
    let service = Kept::whole().service.unwrap();
    let with = |field: &str, value: Value| {
        let mut service = service.clone();
        service["spec"][field] = value;
        Some(service)
    };
    for spoilt in [
        None,
        with("clusterIP", json!("None")),
        with("clusterIP", Value::Null),
        with("ports", json!([{"name": "http", "port": 80}])),
        with("ports", json!([{"name": "sessions", "port": 70_000}])),
    ] {
        stage.change(|kept| kept.service = spoilt);
        sleep(LOOK_EVERY * 2).await;
        assert_eq!(stage.controller(), None);
        stage.change(|kept| kept.service = Kept::whole().service);
        sleep(LOOK_EVERY * 2).await;
        assert!(stage.controller().is_some());
    }
    // Whoever cannot see it knows no better than before.
    for reply in [problem(403), problem(500), Reply::Hang] {
        stage.change(|kept| kept.instead = Some((Method::GET, SERVICE, reply)));
        sleep(LOOK_EVERY * 2).await;
        assert!(stage.controller().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn two_replicas_that_notice_together_agree() {
    let stage = Stage::begin(Kept::whole());
    // The other one's write came between our look and ours.
    let ours = BASE64_STANDARD.encode(PEM);
    let conflict = Some((Method::PATCH, WEBHOOK, problem(409)));
    stage.change(|kept| kept.instead = conflict);
    sleep(Duration::from_millis(1)).await;
    stage.change(|kept| {
        kept.instead = None;
        for place in [0, 2] {
            kept.webhook.as_mut().unwrap()["webhooks"][place]["clientConfig"]["caBundle"] =
                ours.as_str().into();
        }
    });
    soon().await;
    assert!(stage.is_right() && !stage.is_awaited());
    assert_eq!(stage.writes.of(WriteKind::Webhook), 1, "the one in vain");
}

#[tokio::test(start_paused = true)]
async fn another_bundle_is_written_and_told_at_once_wherever_the_look_is_due() {
    let stage = Stage::begin(Kept::whole());
    soon().await;
    assert!(stage.is_right());
    for bundle in [format!("{PEM}another\n"), "another\n".to_owned()] {
        stage.told.send_modify(|told| told.ca_pem = bundle.into());
        assert!(!stage.is_right());
        sleep(Duration::from_millis(10)).await;
        assert!(stage.is_right(), "{:?}", stage.kept);
        assert!(stage.controller().is_some());
    }
    assert_eq!(stage.writes.of(WriteKind::Webhook), 3);
    // Nor does a Service that is out of sight keep pods from being told.
    stage.change(|kept| kept.instead = Some((Method::GET, SERVICE, problem(500))));
    stage.told.send_modify(|told| told.ca_pem = "a third\n".into());
    sleep(Duration::from_millis(10)).await;
    assert!(stage.is_right() && stage.controller().is_some());
}

#[test]
fn troubles_name_their_remedy() {
    let name = || "rollcall-system/rollcall-controller".to_owned();
    let denied = Failure::Denied("no".to_owned()).about("Service a/b".to_owned(), "get of services");
    for trouble in [Trouble::NoService(name()), Trouble::Headless(name()), Trouble::NoPort(name()), denied] {
        assert!(trouble.to_string().contains("; "), "{trouble}");
    }
}
