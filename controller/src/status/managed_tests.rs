use http::Method;
use serde_json::json;
use std::{sync::Mutex, time::Duration};
use tokio::time::sleep;

use rollcall_catalogue::{Port, Transport};

use super::*;
use crate::{
    index::{Managed, Origin, Present},
    scripted_api::{Asked, Log, Reply, problem, scripted},
    status::{
        keeper::{DIFFERENT_FOR, UNWANTED_FOR},
        managed_object::{differs, read},
        pace::REST,
        script::{Script, holding, key},
    },
};

const PATH: &str = "/apis/rollcall.dev/v1alpha1/namespaces/shop/serviceregistrations";

fn pods() -> ManagedSpec {
    ManagedSpec {
        service: "orders.shop".parse().unwrap(),
        origin: Origin::Pods {
            version: Some("1.4.2".parse().unwrap()),
            ports: vec![
                Port::tcp(Some("http"), 8080),
                Port { transport: Transport::Udp, ..Port::tcp(Some("dns"), 53) },
            ],
        },
    }
}

fn wanting(name: &str, spec: ManagedSpec) -> Managed {
    Managed { wanted: [(key(name), spec)].into(), ..Managed::default() }
}

fn unwanting(name: &str, at_once: bool) -> Managed {
    let present = Present { uid: "u1".into(), at_once, registration: None, app: None };
    Managed { present: [(key(name), present)].into(), ..Managed::default() }
}

fn at_work(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Script, Log, crate::lease::Seat) {
    let (client, log) = scripted(answer);
    let script = Script::default();
    let (seat, leadership) = holding();
    tokio::spawn(run(client, script.clone(), leadership, Arc::default()));
    (script, log, seat)
}

/// The object as an API server keeps it.
fn kept(key: &ObjectKey, spec: &ManagedSpec, uid: &str) -> Value {
    let mut kept = serde_json::to_value(object(key, spec)).unwrap();
    kept["metadata"]["uid"] = uid.into();
    kept["metadata"]["resourceVersion"] = "7".into();
    kept["metadata"]["managedFields"] = json!([{"manager": "prankster", "time": "9999-12-31T23:59:59Z"}]);
    kept
}

fn adopted(service: &str) -> ManagedSpec {
    let origin = Origin::Service { name: service.into(), uid: "s1".into() };
    ManagedSpec { service: format!("{service}.shop").parse().unwrap(), origin }
}

fn taken(asked: &Asked) -> Reply {
    match asked.method {
        Method::GET => Reply::Json(200, kept(&key("orders"), &adopted("orders"), "u1")),
        Method::POST => Reply::Json(201, asked.body.clone()),
        _ => Reply::Json(200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
    }
}

#[test]
fn what_is_written_passes_our_own_schema_and_conversion() {
    let written = object(&key("orders-1.4.2"), &pods());
    assert_eq!(
        serde_json::to_value(&written).unwrap(),
        json!({
            "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration",
            "metadata": {
                "name": "orders-1.4.2", "namespace": "shop",
                "labels": {"app.kubernetes.io/managed-by": "rollcall-controller"},
            },
            "spec": {
                "service": "orders", "version": "1.4.2",
                "target": {"selector": {"matchLabels": {"rollcall.dev/service": "orders"}}},
                "ports": [
                    {"name": "http", "port": 8080, "protocol": "TCP"},
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                ],
            },
        })
    );
    assert!(read(&key("orders-1.4.2"), &pods()).is_some());

    let origin = Origin::Service { name: "web".into(), uid: "s1".into() };
    let spec = ManagedSpec { service: "web.shop".parse().unwrap(), origin };
    let adopted = object(&key("web"), &spec);
    let json = serde_json::to_value(&adopted).unwrap();
    let owner = json!([{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "s1"}]);
    assert_eq!(
        (&json["metadata"]["ownerReferences"], &json["spec"]),
        (&owner, &json!({"service": "web", "target": {"service": {"name": "web"}}}))
    );
    assert!(read(&key("web"), &spec).is_some());

    let unnamed = Origin::Pods { version: None, ports: vec![Port::tcp(None, 80)] };
    let unnamed = ManagedSpec { service: "web.shop".parse().unwrap(), origin: unnamed };
    assert!(read(&key("web"), &unnamed).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_missing_is_created_and_somebody_elses_is_not_touched() {
    let (script, log, _seat) = at_work(|asked| match asked.body["metadata"]["name"].as_str() {
        Some("taken") => problem(409),
        _ => taken(asked),
    });
    let mut managed = wanting("orders-1.4.2", pods());
    managed.wanted.insert(key("taken"), pods());
    script.manage(managed);
    sleep(REST / 2).await;
    let asked = log.all();
    assert_eq!(asked.len(), 2, "once each: {asked:?}");
    assert!(asked.iter().all(|asked| asked.method == Method::POST && asked.path == PATH));
    assert!(asked.iter().all(|asked| asked.query.contains("fieldManager=rollcall-controller")));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_is_deleted_by_its_uid() {
    for (at_once, after) in [(true, Duration::ZERO), (false, UNWANTED_FOR)] {
        let (script, log, _seat) = at_work(taken);
        let begin = Instant::now();
        script.manage(unwanting("orders", at_once));
        while log.all().is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
        let asked = log.all().remove(0);
        assert_eq!((asked.method, asked.path), (Method::GET, format!("{PATH}/orders/status")));
        while log.all().len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        let asked = log.all().remove(1);
        assert_eq!((asked.method, asked.path), (Method::DELETE, format!("{PATH}/orders")));
        assert_eq!(asked.body["preconditions"], json!({"uid": "u1", "resourceVersion": "7"}));
        let took = asked.at - begin;
        assert!(took >= after && took <= after + 2 * KEEP_EVERY, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_made_his_own_meanwhile_is_not_deleted() {
    let ours = || kept(&key("orders"), &adopted("orders"), "u1");
    let (mut unlabelled, mut weighed, mut anew) = (ours(), ours(), ours());
    unlabelled["metadata"]["labels"] = json!({});
    weighed["spec"]["weight"] = 10.into();
    anew["metadata"]["uid"] = "u2".into();
    for his in [unlabelled, weighed, anew] {
        let (script, log, _seat) = at_work(move |_| Reply::Json(200, his.clone()));
        script.manage(unwanting("orders", true));
        sleep(2 * UNWANTED_FOR).await;
        let asked = log.all();
        assert!(asked.len() > 1 && asked.iter().all(|asked| asked.method == Method::GET), "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn losing_the_lease_while_looking_deletes_nothing() {
    let seat = Arc::new(Mutex::new(None::<crate::lease::Seat>));
    let lost = seat.clone();
    let (script, log, held) = at_work(move |asked| {
        lost.lock().unwrap().as_ref().unwrap().publish(None);
        taken(asked)
    });
    *seat.lock().unwrap() = Some(held);
    script.manage(unwanting("orders", true));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(log.all().len(), 1);
}

#[test]
fn ours_is_what_we_write_and_nothing_else() {
    let mut unversioned = pods();
    unversioned.origin = Origin::Pods { version: None, ports: vec![Port::tcp(None, 80)] };
    let mut mapped = pods();
    let version = "1.4.2-RC1+b".parse().ok();
    let mapped_name = crate::status::managed_name(&mapped.service.service, version.as_ref());
    mapped.origin = Origin::Pods { version, ports: vec![Port::tcp(Some("http"), 80)] };
    let written = [
        (key("orders-1.4.2"), pods()),
        (key("orders"), unversioned),
        (key(&mapped_name), mapped),
        (key("orders"), adopted("orders")),
    ];
    let judged = |there: &Value| is_ours(&serde_json::from_value(there.clone()).unwrap());
    for (key, spec) in written {
        let mut ours = serde_json::to_value(object(&key, &spec)).unwrap();
        assert!(judged(&ours), "{ours}");
        // What others hang on each object, and what we keep up to date.
        ours["metadata"]["annotations"] = json!({"team": "a"});
        ours["metadata"]["labels"]["team"] = "a".into();
        if matches!(spec.origin, Origin::Pods { .. }) {
            ours["spec"]["ports"] = json!([{"name": "other", "port": 81, "protocol": "TCP"}]);
        }
        assert!(judged(&ours), "{ours}");
        let theirs = [
            ("/metadata/name", json!("other")),
            ("/metadata/labels", json!({})),
            ("/metadata/labels", json!({"app.kubernetes.io/managed-by": "Helm"})),
            ("/spec/service", json!("other")),
            ("/spec/service", json!(null)),
            ("/spec/version", json!("9.9.9")),
            ("/spec/version", json!("one")),
            ("/spec/target", json!({"selector": {"matchLabels": {"app": "orders"}}})),
            ("/spec/target", json!({"addresses": [{"address": "10.0.0.5"}]})),
            ("/spec/target", json!({"service": {"name": "other"}})),
            ("/spec/target", json!({})),
            ("/spec/weight", json!(10)),
            ("/spec/tags", json!(["blue"])),
            ("/spec/metadata", json!({"team": "a"})),
            ("/spec/probe", json!({"tcp": {}})),
            ("/spec/heartbeat", json!({"intervalSeconds": 5})),
            ("/spec/loadBalancing", json!({"policy": "Random"})),
            ("/spec/visibility", json!({"scope": "Namespace"})),
        ];
        for (path, value) in theirs {
            let mut his = ours.clone();
            let (place, field) = path.rsplit_once('/').unwrap();
            his.pointer_mut(place).unwrap()[field] = value;
            assert!(!judged(&his), "{his}");
        }
    }
    let mut orphan = serde_json::to_value(object(&key("orders"), &adopted("orders"))).unwrap();
    orphan["metadata"]["ownerReferences"][0]["kind"] = "Deployment".into();
    assert!(!judged(&orphan));
    orphan["metadata"]["ownerReferences"] = json!(null);
    assert!(!judged(&orphan), "no Service owns it");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_done_before_it_is_known_what_there_is_nor_without_the_lease() {
    let (script, log, seat) = at_work(taken);
    sleep(Duration::from_secs(60)).await;
    assert!(log.all().is_empty(), "nothing is known");
    script.manage(unwanting("orders", false));
    sleep(UNWANTED_FOR / 2).await;
    seat.publish(None);
    sleep(UNWANTED_FOR).await;
    assert!(log.all().is_empty());
    seat.publish(Some(Instant::now() + 10 * UNWANTED_FOR));
    sleep(UNWANTED_FOR / 2 + Duration::from_secs(60)).await;
    assert!(log.all().is_empty(), "ten minutes without a break begin anew");
    sleep(UNWANTED_FOR).await;
    assert!(!log.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn losing_the_lease_in_a_round_stops_the_rest_of_it() {
    let seat = Arc::new(Mutex::new(None::<crate::lease::Seat>));
    let lost = seat.clone();
    let (script, log, held) = at_work(move |asked| {
        lost.lock().unwrap().as_ref().unwrap().publish(None);
        taken(asked)
    });
    *seat.lock().unwrap() = Some(held);
    let names: Vec<_> = (0..10).map(|number| format!("s{number}")).collect();
    script.manage(Managed {
        wanted: names.iter().map(|name| (key(name), pods())).collect(),
        ..Managed::default()
    });
    sleep(Duration::from_secs(60)).await;
    assert_eq!(log.all().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_in_trouble_is_asked_ever_more_rarely() {
    for failing in [problem(500), Reply::Hang] {
        let (script, log, _seat) = at_work(move |_| failing.clone());
        let mut managed = wanting("a", pods());
        managed.wanted.insert(key("b"), pods());
        script.manage(managed);
        sleep(Duration::from_secs(600)).await;
        let tries = log.all().len();
        assert!((15..100).contains(&tries), "{tries}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_takes_nothing_stops_no_other() {
    // A namespace being deleted, a quota, a policy; one with a webhook that is down; one with a webhook that hangs.
    for refusing in [problem(403), problem(500), Reply::Hang] {
        let (script, log, _seat) = at_work(move |asked| match asked.path.contains("/namespaces/closed/") {
            true => refusing.clone(),
            false => taken(asked),
        });
        let closed = |number: u32| {
            let name = format!("s{number}").as_str().into();
            (ObjectKey { namespace: "closed".parse().unwrap(), name }, pods())
        };
        let open = (0..100).map(|number| (key(&format!("s{number}")), pods()));
        script.manage(Managed { wanted: (0..100).map(closed).chain(open).collect(), ..Managed::default() });
        sleep(Duration::from_secs(300)).await;
        let created: std::collections::BTreeSet<_> = log
            .all()
            .iter()
            .filter(|asked| asked.path == PATH)
            .map(|asked| asked.body["metadata"]["name"].to_string())
            .collect();
        assert_eq!(created.len(), 100);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_adopted_and_is_now_of_pods_is_made_anew() {
    let (script, log, _seat) = at_work(taken);
    let adopted = adopted("orders");
    let registration = read(&key("orders"), &adopted).map(Arc::new);
    let present = Present { uid: "u1".into(), at_once: true, registration, app: None };
    assert!(!differs(&present, &key("orders"), &adopted) && differs(&present, &key("orders"), &pods()));
    let mut managed = wanting("orders", pods());
    managed.present.insert(key("orders"), present);
    script.manage(managed.clone());
    let begin = Instant::now();
    while log.all().len() < 3 {
        assert!(begin.elapsed() < 2 * DIFFERENT_FOR);
        sleep(Duration::from_millis(100)).await;
    }
    let asked = log.all();
    let as_it_is = json!({"uid": "u1", "resourceVersion": "7"});
    assert_eq!((&asked[1].method, &asked[1].body["preconditions"]), (&Method::DELETE, &as_it_is));
    assert_eq!(
        (&asked[2].method, &asked[2].body["metadata"]["ownerReferences"]),
        (&Method::POST, &json!(null))
    );

    let registration = read(&key("orders"), &pods()).map(Arc::new);
    let present = Present { uid: "u2".into(), at_once: false, registration, app: None };
    managed.present.insert(key("orders"), present);
    script.manage(managed);
    sleep(10 * DIFFERENT_FOR).await;
    assert_eq!(log.all().len(), 3, "it says what it should");
}
