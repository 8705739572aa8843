use rollcall_catalogue::liveness::{Phase, SessionWitness};

use super::*;

#[test]
fn each_pod_with_a_sidecar_is_told_with_how_its_session_stands() {
    let mut bench = Bench::new();
    let with = |number: u8, has_sidecar: bool, phase: Phase| {
        let mut one = pod(number, "a", None);
        one.facts.has_sidecar = has_sidecar;
        one.facts.life.phase = phase;
        seen(one)
    };
    bench.apply([
        with(2, true, Phase::Running),
        with(1, true, Phase::Running),
        with(3, false, Phase::Running),
        with(4, true, Phase::Succeeded),
    ]);
    let hello = Hello { incarnation: "i".to_owned(), sequence: 1, registrations: Vec::new() };
    bench.index.open_session(&"u1".into(), &hello, 1_000);

    let told = |bench: &Bench, namespace: Option<Namespace>, max, now_ms| {
        let (hearings, total) = bench.index.hearings(namespace.as_ref(), max, now_ms);
        let words = hearings.into_iter().map(|one| (one.pod.name.to_string(), one.session, one.open_ms));
        (words.collect::<Vec<_>>(), total)
    };
    let name = |number: u8| bench.index.pod(&format!("u{number}").as_str().into()).unwrap().name.to_string();
    let (first, second) = (name(1), name(2));
    assert_eq!(
        told(&bench, None, 10, 4_000),
        (
            vec![
                (first.clone(), SessionWitness::Live, Some(3_000)),
                (second, SessionWitness::NeverCame, None)
            ],
            2
        )
    );
    assert_eq!(told(&bench, Some(namespace("shop")), 1, 4_000).0.len(), 1, "not more than was asked for");
    assert_eq!(told(&bench, Some(namespace("bank")), 10, 4_000), (vec![], 0));

    bench.index.session_ended(&"u1".into(), 4_000, true, 5_000);
    assert_eq!(told(&bench, None, 1, 6_000), (vec![(first, SessionWitness::Lost, None)], 2));
}
