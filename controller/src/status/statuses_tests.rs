use http::Method;
use serde_json::Value;
use std::collections::HashMap;
use tokio::time::{sleep, timeout};

use super::*;
use crate::{
    lease::Seat,
    scripted_api::{Asked, Log, Reply, problem, scripted},
    status::{
        api::CALL_MAX,
        script::{Script, holding, report},
    },
};

const BASE: &str = "/apis/rollcall.dev/v1alpha1/namespaces/shop/serviceregistrations";

/// Holds objects as an API server keeps them, by their names.
#[derive(Debug, Default)]
struct Objects(Mutex<HashMap<String, Value>>);

impl Objects {
    fn get(&self, name: &str) -> Value {
        let made = || {
            json!({"apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration",
            // Anyone who may write an object may claim that he did so in a year that no calendar holds.
            "metadata": {"name": name, "namespace": "shop", "uid": format!("u-{name}"),
                "resourceVersion": "1", "managedFields": [{"manager": "prankster", "time": "9999-12-31T23:59:59Z"}]},
            "spec": {"broken": true}})
        };
        self.0.lock().unwrap().entry(name.to_owned()).or_insert_with(made).clone()
    }

    fn apply(&self, asked: &Asked) -> Reply {
        let name = name(asked);
        let mut object = self.get(&name);
        // It looks at the version, and not at the uid.
        if object["metadata"]["resourceVersion"] != asked.body["metadata"]["resourceVersion"] {
            return problem(409);
        }
        let version: u64 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        object["metadata"]["resourceVersion"] = (version + 1).to_string().into();
        object["status"] = asked.body["status"].clone();
        self.0.lock().unwrap().insert(name, object.clone());
        Reply::Json(200, object)
    }

    fn answer(&self, asked: &Asked) -> Reply {
        match asked.method {
            Method::GET => Reply::Json(200, self.get(&name(asked))),
            _ => self.apply(asked),
        }
    }

    fn status(&self, name: &str) -> ServiceRegistrationStatus {
        serde_json::from_value(self.get(name)["status"].clone()).unwrap()
    }
}

fn name(asked: &Asked) -> String {
    asked.path.strip_prefix(BASE).unwrap().strip_suffix("/status").unwrap().trim_matches('/').to_owned()
}

/// The writer at work.
struct Bench {
    script: Script,
    log: Log,
    counts: Arc<WriteCounts>,
    seat: Seat,
    leadership: Leadership,
}

fn bench(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Bench {
    let (client, log) = scripted(answer);
    let (script, counts) = (Script::default(), Arc::<WriteCounts>::default());
    let (seat, leadership) = holding();
    tokio::spawn(run(client, script.clone(), leadership.clone(), counts.clone()));
    Bench { script, log, counts, seat, leadership }
}

impl Bench {
    /// Waits until something was asked so often.
    async fn until(&self, method: Method, times: usize) {
        let enough = async {
            while self.log.of(&method).len() < times {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(600), enough).await.unwrap();
    }

    fn patches(&self) -> Vec<Asked> {
        self.log.of(&Method::PATCH)
    }
}

#[tokio::test(start_paused = true)]
async fn a_transition_is_written_once_and_what_is_said_already_never() {
    let objects = Arc::new(Objects::default());
    let kept = objects.clone();
    let bench = bench(move |asked| kept.answer(asked));
    bench.script.report(report("orders", 2));
    bench.until(Method::PATCH, 1).await;
    assert_eq!(bench.script.reported_all(), 1, "what the last holder left open is looked at");
    let patch = bench.patches().remove(0);
    assert_eq!(patch.path, format!("{BASE}/orders/status"));
    assert_eq!(patch.content_type, "application/apply-patch+yaml");
    assert!(patch.query.contains("fieldManager=rollcall-controller") && patch.query.contains("force=true"));
    let meant = json!({"name": "orders", "namespace": "shop", "uid": "u-orders", "resourceVersion": "1"});
    assert_eq!(patch.body["metadata"], meant);
    assert_eq!(
        (&patch.body["apiVersion"], &patch.body["kind"]),
        (&json!("rollcall.dev/v1alpha1"), &json!("ServiceRegistration"))
    );
    assert!(patch.body.get("spec").is_none() && !patch.body.to_string().contains("null"));

    // It comes back as told: not even looked at.
    sleep(Duration::from_secs(10)).await;
    let told = digest_of(&objects.status("orders"));
    let asked = bench.log.all().len();
    bench.script.report(Report { told, ..report("orders", 2) });
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.log.all().len(), asked);
    // The index has not heard of it: looked at, and left.
    bench.script.report(report("orders", 2));
    sleep(Duration::from_secs(10)).await;
    assert_eq!((bench.log.all().len(), bench.patches().len()), (asked + 1, 1));
    assert_eq!(bench.counts.of(WriteKind::Status), 1);
}

#[tokio::test(start_paused = true)]
async fn times_are_kept_from_what_the_object_says() {
    let objects = Arc::new(Objects::default());
    let kept = objects.clone();
    let bench = bench(move |asked| kept.answer(asked));
    let long_ago = Time(Timestamp::from_second(1).unwrap());
    let mut held = objects.get("orders");
    held["status"] =
        serde_json::to_value(status(&report("orders", 1), &Default::default(), &long_ago)).unwrap();
    objects.0.lock().unwrap().insert("orders".to_owned(), held);
    bench.script.report(report("orders", 2));
    bench.until(Method::PATCH, 1).await;
    let written = objects.status("orders");
    assert!(written.conditions.iter().all(|condition| condition.last_transition_time == long_ago));
    assert_eq!(written.instances[0].since.as_ref(), Some(&long_ago));
    assert_ne!(written.instances[1].since.as_ref(), Some(&long_ago));
}

#[tokio::test(start_paused = true)]
async fn losing_the_lease_between_the_look_and_the_write_stops_the_write() {
    let seat = Arc::new(Mutex::new(None::<Seat>));
    let lost = seat.clone();
    let objects = Objects::default();
    let mut bench = bench(move |asked| {
        if asked.method == Method::GET {
            // While the answer is on its way.
            lost.lock().unwrap().as_ref().unwrap().publish(None);
        }
        objects.answer(asked)
    });
    *seat.lock().unwrap() = Some(std::mem::replace(&mut bench.seat, crate::lease::leadership().0));
    for number in 0..100 {
        bench.script.report(report(&format!("s{number}"), 1));
    }
    bench.until(Method::GET, 1).await;
    sleep(Duration::from_secs(60)).await;
    assert!(bench.patches().is_empty() && !bench.leadership.is_holder_now());
    assert!(bench.log.all().len() <= super::super::queue::CONCURRENT_MAX, "what waited was dropped");

    // Held anew: everything is reported anew.
    let seat = seat.lock().unwrap().take().unwrap();
    seat.publish(Some(Instant::now() + Duration::from_secs(1)));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.script.reported_all(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_slept_through_its_lease_writes_nothing() {
    let objects = Objects::default();
    let bench = bench(move |asked| objects.answer(asked));
    bench.seat.publish(Some(Instant::now() + Duration::from_secs(1)));
    bench.script.report(report("orders", 1));
    // Longer than the lease, and nobody has published its end.
    tokio::time::advance(Duration::from_secs(2)).await;
    sleep(Duration::from_secs(60)).await;
    assert!(bench.patches().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_object_made_anew_does_not_get_the_old_ones_status() {
    let objects = Arc::new(Objects::default());
    let kept = objects.clone();
    let bench = bench(move |asked| {
        let answer = kept.answer(asked);
        if asked.method == Method::GET && name(asked) == "billing" {
            // Made anew after the look.
            let mut kept = kept.0.lock().unwrap();
            let metadata = &mut kept.get_mut("billing").unwrap()["metadata"];
            (metadata["uid"], metadata["resourceVersion"]) = ("u-new".into(), "7".into());
        }
        answer
    });
    bench.script.report(Report { uid: "u-old".into(), ..report("orders", 1) });
    bench.script.report(report("billing", 1));
    bench.until(Method::GET, 3).await;
    sleep(Duration::from_secs(60)).await;
    let looks: Vec<_> = bench.log.of(&Method::GET).iter().map(name).collect();
    assert_eq!(
        looks.iter().filter(|name| *name == "billing").count(),
        2,
        "refused (409), and looked at again"
    );
    assert_eq!(looks.iter().filter(|name| *name == "orders").count(), 1);
    assert!(objects.get("billing").get("status").is_none() && objects.get("orders").get("status").is_none());
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_and_what_is_gone_is_forgotten() {
    // By the object's name: how often what goes wrong, before it goes well.
    let script: [(&str, &[Option<u16>], bool); 6] = [
        ("gone", &[Some(404)], false),
        ("refused", &[Some(422)], false),
        ("conflict", &[Some(409), Some(409)], true),
        ("broken", &[Some(500), Some(503), Some(429)], true),
        ("forbidden", &[Some(403)], true),
        ("hanging", &[None, None], true),
    ];
    for method in [Method::GET, Method::PATCH] {
        for (what, failures, written) in script {
            let objects = Arc::new(Objects::default());
            let (kept, left, at) = (objects.clone(), Mutex::new(failures.to_vec()), method.clone());
            let bench = bench(move |asked| {
                let mut left = left.lock().unwrap();
                match asked.method == at && !left.is_empty() {
                    true => left.remove(0).map_or(Reply::Hang, problem),
                    false => kept.answer(asked),
                }
            });
            bench.script.report(report("orders", 1));
            sleep(Duration::from_secs(300)).await;
            let writes = bench.log.of(&method).len();
            let expected = failures.len() + usize::from(written);
            assert_eq!(writes, expected, "{what} at {method}");
            assert_eq!(objects.get("orders").get("status").is_some(), written, "{what} at {method}");
            let asked: Vec<_> = bench.log.of(&method).iter().map(|asked| asked.at).collect();
            if what == "hanging" {
                assert!(asked[1] - asked[0] >= CALL_MAX, "each call has its own limit");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_holds_up_nobody_else() {
    let objects = Objects::default();
    let bench = bench(move |asked| match name(asked).as_str() {
        "stuck" => Reply::Hang,
        _ => objects.answer(asked),
    });
    bench.script.report(report("stuck", 1));
    bench.script.report(report("orders", 1));
    let begin = Instant::now();
    bench.until(Method::PATCH, 1).await;
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn writes_keep_to_their_pace() {
    let objects = Arc::new(Objects::default());
    let kept = objects.clone();
    let bench = bench(move |asked| kept.answer(asked));
    let (names, flapping): (Vec<_>, _) = ((0..100).map(|number| format!("s{number}")).collect(), "s7");
    names.iter().for_each(|name| bench.script.report(report(name, 1)));
    bench.until(Method::PATCH, 100).await;
    for round in 0..40 {
        bench.script.report(report(flapping, 2 + round % 7));
        sleep(Duration::from_millis(250)).await;
    }
    bench.script.report(report(flapping, 9));
    sleep(Duration::from_secs(10)).await;
    let patches = bench.patches();
    for many in patches.windows(WRITES_MAX + 1) {
        assert!(many[WRITES_MAX].at - many[0].at >= Duration::from_secs(1));
    }
    let of_one: Vec<_> =
        patches.iter().filter(|patch| name(patch) == flapping).map(|patch| patch.at).collect();
    assert!((9..=13).contains(&of_one.len()), "40 changes in 10 s: {}", of_one.len());
    assert!(of_one.windows(2).all(|two| two[1] - two[0] >= Duration::from_secs(1)), "{of_one:?}");
    assert_eq!(objects.status(flapping).serving, Some(9), "and the last word is what stays");
}

#[tokio::test(start_paused = true)]
async fn more_than_has_room_waits_in_the_index() {
    let bench = bench(|_| Reply::Hang);
    for number in 0..1_000 {
        bench.script.report(report(&format!("s{number}"), 1));
    }
    sleep(Duration::from_secs(120)).await;
    assert!(bench.script.left() >= 1_000 - super::super::queue::WAITING_MAX - 8, "{}", bench.script.left());
}

#[tokio::test(start_paused = true)]
async fn a_status_nobody_can_read_is_replaced_and_a_newer_one_is_left() {
    let objects = Arc::new(Objects::default());
    let kept = objects.clone();
    let bench = bench(move |asked| kept.answer(asked));
    let with = |name: &str, status: Value| {
        let mut object = objects.get(name);
        object["status"] = status;
        objects.0.lock().unwrap().insert(name.to_owned(), object);
    };
    with("garbage", json!({"conditions": "none"}));
    with("newer", json!({"observedGeneration": 2}));
    bench.script.report(report("newer", 1));
    bench.script.report(report("garbage", 1));
    bench.until(Method::PATCH, 1).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(objects.status("garbage").serving, Some(1));
    assert_eq!(objects.status("newer").serving, None, "our watch is behind the replica that wrote it");
}

#[tokio::test(start_paused = true)]
async fn objects_that_are_denied_stop_no_others() {
    let objects = Objects::default();
    let bench = bench(move |asked| match (name(asked).starts_with("denied"), &asked.method) {
        (true, &Method::PATCH) => problem(403),
        _ => objects.answer(asked),
    });
    for number in 0..600 {
        bench.script.report(report(&format!("denied{number}"), 1));
    }
    sleep(Duration::from_secs(40)).await;
    bench.script.report(report("orders", 1));
    sleep(Duration::from_secs(2)).await;
    assert!(bench.patches().iter().any(|patch| name(patch) == "orders"));
}
