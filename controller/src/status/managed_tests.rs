use http::Method;
use serde_json::json;
use std::{sync::Mutex, time::Duration};
use tokio::time::sleep;

use super::*;
use crate::{
    index::{Managed, Present},
    scripted_api::{Asked, Log, Reply, problem, scripted},
    status::{
        keeper::UNWANTED_FOR,
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

fn unwanting(name: &str, of_service: bool) -> Managed {
    let present = Present { uid: "u1".into(), of_service };
    Managed { present: [(key(name), present)].into(), ..Managed::default() }
}

fn at_work(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Script, Log, crate::lease::Seat) {
    let (client, log) = scripted(answer);
    let script = Script::default();
    let (seat, leadership) = holding();
    tokio::spawn(run(client, script.clone(), leadership, Arc::default()));
    (script, log, seat)
}

fn taken(asked: &Asked) -> Reply {
    match asked.method {
        Method::POST => Reply::Json(201, asked.body.clone()),
        _ => Reply::Json(200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
    }
}

/// As the index reads it, once the API server has made it an object.
fn read(mut written: ServiceRegistration) -> Result<(), rollcall_crds::SpecErrors> {
    let created = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
    written.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created));
    rollcall_crds::registration(&written).map(drop)
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
    assert_eq!(read(written), Ok(()));

    let origin = Origin::Service { name: "web".into(), uid: "s1".into() };
    let adopted = object(&key("web"), &ManagedSpec { service: "web.shop".parse().unwrap(), origin });
    let json = serde_json::to_value(&adopted).unwrap();
    let owner = json!([{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "s1"}]);
    assert_eq!(
        (&json["metadata"]["ownerReferences"], &json["spec"]),
        (&owner, &json!({"service": "web", "target": {"service": {"name": "web"}}}))
    );
    assert_eq!(read(adopted), Ok(()));

    let unnamed = Origin::Pods { version: None, ports: vec![Port::tcp(None, 80)] };
    let unnamed = object(&key("web"), &ManagedSpec { service: "web.shop".parse().unwrap(), origin: unnamed });
    assert_eq!(read(unnamed), Ok(()));
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
    for (of_service, after) in [(true, Duration::ZERO), (false, UNWANTED_FOR)] {
        let (script, log, _seat) = at_work(taken);
        let begin = Instant::now();
        script.manage(unwanting("orders", of_service));
        while log.all().is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
        let asked = log.all().remove(0);
        assert_eq!((asked.method, asked.path), (Method::DELETE, format!("{PATH}/orders")));
        assert_eq!(asked.body["preconditions"], json!({"uid": "u1"}));
        let took = asked.at - begin;
        assert!(took >= after && took <= after + 2 * KEEP_EVERY, "{took:?}");
    }
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
