use http_body_util::BodyExt;
use proptest::prelude::*;
use rollcall_catalogue::{Snapshot, State, Update, Visibility};
use tokio::{sync::Semaphore, time::advance};

use super::*;
use crate::operate::api::fixtures::{instance, key, whole};

fn view(catalogue: Snapshot) -> View {
    View { catalogue, generation: 7, complete: true, ..View::default() }
}

fn text(view: &View, namespace: Option<&str>) -> String {
    let namespace = namespace.map(|name| name.parse().unwrap());
    let pieces: Vec<Bytes> = Dump::of(view, "r1", namespace.as_ref()).collect();
    String::from_utf8(pieces.concat()).unwrap()
}

#[test]
fn a_dump_is_json_with_one_instance_a_line() {
    let mut far = whole("stock", vec![instance(9)]);
    far.0 = "stock.far".parse().unwrap();
    let mut hidden = whole("billing", vec![]);
    if let Update::Whole { settings, .. } = &mut hidden.1 {
        settings.visibility = Visibility::own();
    }
    let updates = [whole("orders", vec![instance(2), instance(1)]), far, hidden];
    let view = view(Snapshot::default().next(updates, 1).unwrap().snapshot);
    let all = text(&view, None);
    let value: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(
        (&value["replica"], &value["generation"], &value["complete"]),
        (&"r1".into(), &7.into(), &true.into())
    );
    let lines: Vec<&str> = all.lines().collect();
    let begin = [
        r#"{"replica":"r1","generation":7,"complete":true,"services":["#,
        r#"{"service":"stock","namespace":"far","hash":""#,
        r#"{"id":"u9-8080","address":"10.0.0.9""#,
        "]},",
        r#"{"service":"billing","namespace":"shop","hash":""#,
        "]},",
        r#"{"service":"orders","namespace":"shop","hash":""#,
        r#"{"id":"u1-8080","address":"10.0.0.1""#,
        r#"{"id":"u2-8080","address":"10.0.0.2""#,
        "]}",
        "]}",
    ];
    assert_eq!(lines.len(), begin.len(), "{all}");
    for (line, begin) in lines.iter().zip(begin) {
        assert!(line.starts_with(begin), "{line}");
    }
    assert!(lines[4].contains(r#""policy":"RoundRobin","visibility":"namespace","truncated":false,"versions":[],"serving":0,"total":0"#));
    assert!(lines[8].ends_with(r#""state":"Serving","reason":"Ready"}"#), "no revision: {}", lines[8]);

    let far: serde_json::Value = serde_json::from_str(&text(&view, Some("far"))).unwrap();
    assert_eq!(far["services"].as_array().unwrap().len(), 1);
    let none: serde_json::Value = serde_json::from_str(&text(&view, Some("elsewhere"))).unwrap();
    assert_eq!(none["services"], serde_json::json!([]));
}

#[test]
fn a_large_catalogue_comes_in_bounded_pieces() {
    let services = (0..40).map(|number| whole(&format!("s{number}"), (0..100).map(instance).collect()));
    let view = view(Snapshot::default().next(services, 1).unwrap().snapshot);
    let pieces: Vec<usize> = Dump::of(&view, "r1", None).map(|piece| piece.len()).collect();
    assert!(pieces.len() > 10, "{pieces:?}");
    assert!(pieces.iter().all(|length| *length < PIECE_BYTES + 1_024), "{pieces:?}");
    let value: serde_json::Value = serde_json::from_str(&text(&view, None)).unwrap();
    let services = value["services"].as_array().unwrap();
    assert_eq!(services.iter().map(|one| one["instances"].as_array().unwrap().len()).sum::<usize>(), 4_000);
}

/// One thing that is known of one instance.
type Fact = (u8, u8, State);

fn any_facts() -> impl Strategy<Value = Vec<Fact>> {
    let states = proptest::sample::select(vec![State::Serving, State::Failing, State::Draining]);
    proptest::collection::btree_map((0u8..3, 0u8..6), states, 1..12).prop_map(|facts| {
        facts.into_iter().map(|((service, number), state)| (service, number, state)).collect()
    })
}

fn put((service, number, state): Fact) -> (ServiceKey, Update) {
    let upserts = vec![rollcall_catalogue::Instance { state, ..instance(number) }];
    (
        key(&format!("s{service}")),
        Update::Part {
            settings: Some(rollcall_catalogue::consolidate::Settings::default()),
            upserts,
            removes: Vec::new(),
        },
    )
}

proptest! {
    #[test]
    fn equal_catalogues_have_equal_dumps_whatever_happened_before(
        (facts, shuffled) in any_facts().prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
        detours in any_facts(),
        now_ms in 0u64..1_000_000,
    ) {
        let straight = Snapshot::default().next(facts.into_iter().map(put), 1).unwrap().snapshot;
        // What was there before and is gone, one by one, and then all of it in another order.
        let mut detour = Snapshot::default();
        for fact in detours {
            detour = detour.next([put(fact)], now_ms).map_or(detour, |step| step.snapshot);
        }
        let gone: Vec<_> = detour.iter().map(|(key, _)| (key.clone(), Update::Gone)).collect();
        detour = detour.next(gone, now_ms).unwrap().snapshot;
        for fact in shuffled {
            detour = detour.next([put(fact)], now_ms).unwrap().snapshot;
        }
        let (one, other) = (text(&view(straight), None), text(&View { generation: 99, ..view(detour) }, None));
        let content = |text: &str| text.split_once('\n').unwrap().1.to_owned();
        prop_assert_eq!(content(&one), content(&other));
        prop_assert_ne!(one, other);
    }
}

/// Longer than what one place between writer and reader holds.
fn long() -> Dump {
    let services = (0..40).map(|number| whole(&format!("s{number}"), (0..100).map(instance).collect()));
    Dump::of(&view(Snapshot::default().next(services, 1).unwrap().snapshot), "r1", None)
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_keeps_up_gets_all_and_one_that_stops_is_cut() {
    let places = Arc::new(Semaphore::new(1));
    let place = || places.clone().try_acquire_owned().unwrap();
    let whole = streamed(long(), place()).collect().await.unwrap().to_bytes();
    assert!(serde_json::from_slice::<serde_json::Value>(&whole).is_ok());

    let mut body = streamed(long(), place());
    assert!(body.frame().await.unwrap().is_ok());
    assert_eq!(places.available_permits(), 0);
    advance(DUMP_TIME_MAX + Duration::from_secs(1)).await;
    drop(places.acquire().await.unwrap());
    let mut last = None;
    while let Some(frame) = body.frame().await {
        last = Some(frame.map(|_| ()));
    }
    assert_eq!(last, Some(Err(Cut)), "what is not all of it must not look so");
}

#[tokio::test]
async fn a_reader_that_goes_away_gives_its_place_back() {
    let places = Arc::new(Semaphore::new(1));
    let mut body = streamed(long(), places.clone().try_acquire_owned().unwrap());
    assert!(body.frame().await.unwrap().is_ok());
    drop(body);
    drop(places.acquire().await.unwrap());
}
