use http::Method;
use serde_json::Value;
use tokio::time::sleep;

use super::*;
use crate::{
    index::NoticeReason,
    lease::Seat,
    scripted_api::{Asked, Log, Reply, problem, scripted},
    status::{
        notices::{EVENTS_MAX, KEPT_FOR, SERIES_EVERY},
        script::{Script, holding, key},
    },
};

fn notice(name: &str) -> Notice {
    let about = About::Registration { object: key(name), uid: format!("u-{name}").into() };
    Notice { about, reason: NoticeReason::RegistrationRefused, message: "ports: 0".to_owned() }
}

fn at_work(
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Script, Log, Seat, Arc<WriteCounts>) {
    let (client, log) = scripted(answer);
    let (script, counts) = (Script::default(), Arc::<WriteCounts>::default());
    let (seat, leadership) = holding();
    tokio::spawn(run(client, script.clone(), leadership, "rollcall-controller-1".to_owned(), counts.clone()));
    (script, log, seat, counts)
}

fn taken(asked: &Asked) -> Reply {
    Reply::Json(
        200,
        match asked.method {
            Method::POST => asked.body.clone(),
            _ => json!({"metadata": {"name": "e"}, "eventTime": null}),
        },
    )
}

#[tokio::test(start_paused = true)]
async fn an_event_says_all_that_the_api_server_asks_for() {
    let (script, log, _seat, counts) = at_work(taken);
    script.notice(notice("orders"));
    script.notice(notice("orders"));
    sleep(Duration::from_secs(5)).await;
    let asked = log.all();
    assert_eq!((asked.len(), counts.of(WriteKind::Event)), (1, 1));
    assert_eq!(
        (&asked[0].method, asked[0].path.as_str()),
        (&Method::POST, "/apis/events.k8s.io/v1/namespaces/shop/events")
    );
    let event = &asked[0].body;
    assert_eq!(
        event["regarding"],
        json!({
            "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration", "namespace": "shop", "name": "orders",
            "uid": "u-orders",
        })
    );
    for (field, value) in [
        ("reason", "RegistrationRefused"),
        ("note", "ports: 0"),
        ("type", "Warning"),
        ("action", ACTION),
        ("reportingController", REPORTER),
        ("reportingInstance", "rollcall-controller-1"),
    ] {
        assert_eq!(event[field], value, "{field}");
    }
    assert!(event["eventTime"].is_string());

    script.notice(notice("orders"));
    sleep(SERIES_EVERY + Duration::from_secs(1)).await;
    let patch = log.of(&Method::PATCH).remove(0);
    assert!(patch.path.ends_with(event["metadata"]["name"].as_str().unwrap()));
    assert_eq!(patch.body["series"]["count"], 3);
    assert_eq!(patch.content_type, "application/merge-patch+json");
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_the_registry_as_a_whole_stands_at_its_lease() {
    for (lease, uid) in [(200, json!("lease-uid")), (403, json!(null))] {
        let (script, log, _seat, counts) = at_work(move |asked| match asked.method {
            Method::GET => Reply::Json(lease, json!({"metadata": {"name": "rollcall", "uid": "lease-uid"}})),
            _ => taken(asked),
        });
        let about = About::Lease { object: key("rollcall") };
        let message = "half of the nodes".to_owned();
        script.notice(Notice { about, reason: NoticeReason::MassLossGuard, message });
        sleep(Duration::from_secs(5)).await;
        let asked = log.of(&Method::GET);
        assert_eq!(asked[0].path, "/apis/coordination.k8s.io/v1/namespaces/shop/leases/rollcall");
        let event = &log.of(&Method::POST)[0].body;
        assert_eq!(
            (&event["regarding"]["kind"], &event["reason"]),
            (&json!("Lease"), &json!("MassLossGuard"))
        );
        assert_eq!(event["regarding"]["uid"], uid, "the Event is written all the same");
        assert_eq!((asked.len(), counts.of(WriteKind::Event)), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_paced_and_what_is_left_out_is_counted() {
    let (script, log, _seat, counts) = at_work(taken);
    for number in 0..1_000 {
        script.notice(notice(&format!("s{number}")));
    }
    sleep(Duration::from_secs(600)).await;
    let times: Vec<_> = log.all().iter().map(|asked| asked.at).collect();
    assert!(times.windows(EVENTS_MAX + 1).all(|many| many[EVENTS_MAX] - many[0] >= Duration::from_secs(1)));
    assert_eq!(times.len() as u64 + counts.events_dropped(), 1_000);
    assert!(counts.events_dropped() > 0 && times.len() >= WAITING_MAX);
}

#[tokio::test(start_paused = true)]
async fn only_the_holder_speaks_and_a_new_one_knows_the_last_half_minute() {
    let (script, log, seat, _) = at_work(taken);
    seat.publish(None);
    script.notice(notice("old"));
    sleep(KEPT_FOR * 2).await;
    script.notice(notice("recent"));
    sleep(KEPT_FOR / 2).await;
    assert!(log.all().is_empty());
    seat.publish(Some(Instant::now() + Duration::from_secs(3_600)));
    sleep(Duration::from_secs(5)).await;
    let names: Vec<_> = log.all().iter().map(|asked| asked.body["regarding"]["name"].clone()).collect();
    assert_eq!(names, ["recent"]);
}

#[tokio::test(start_paused = true)]
async fn pods_without_a_sidecar_wait_for_a_holder_and_each_one_tells_of_all() {
    let (script, log, seat, _) = at_work(taken);
    seat.publish(None);
    ["a", "b"].into_iter().for_each(|name| script.skip(notice(name)));
    let told = || -> Vec<Value> {
        log.of(&Method::POST).iter().map(|asked| asked.body["regarding"]["name"].clone()).collect()
    };
    sleep(KEPT_FOR * 20).await;
    assert!(told().is_empty());
    seat.publish(Some(Instant::now() + Duration::from_secs(3_600)));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(told(), ["a", "b"]);
    seat.publish(None);
    sleep(Duration::from_secs(5)).await;
    script.skip(notice("c"));
    sleep(KEPT_FOR * 200).await;
    assert_eq!(told(), ["a", "b"]);
    seat.publish(Some(Instant::now() + Duration::from_secs(3_600)));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(told(), ["a", "b", "a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn losing_the_lease_drops_what_waits() {
    let (script, log, seat, _) = at_work(taken);
    (0..100).for_each(|number| script.notice(notice(&format!("s{number}"))));
    sleep(Duration::from_millis(600)).await;
    seat.publish(None);
    sleep(Duration::from_secs(5)).await;
    seat.publish(Some(Instant::now() + Duration::from_secs(3_600)));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(log.all().len(), EVENTS_MAX);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_in_trouble_costs_a_few_tries() {
    for failing in [problem(500), Reply::Hang] {
        let (script, log, _seat, counts) = at_work(move |_| failing.clone());
        script.notice(notice("orders"));
        sleep(Duration::from_secs(600)).await;
        let names: Vec<_> = log.all().iter().map(|asked| asked.body["metadata"]["name"].clone()).collect();
        assert_eq!((names.len(), counts.events_dropped()), (3, 1));
        assert!(names.iter().all(|name| *name == names[0]), "a second try is no second Event");
    }
}
