use rollcall_catalogue::liveness::Phase;
use rollcall_injection::{Exemption, Namespaces, Wish};

use super::{pods::nothing_stays_behind, *};

/// Of what the pods of `shop` lack.
fn without(exempt: usize, missed: usize) -> WithoutSidecar {
    WithoutSidecar { exempt, missed }
}

fn looking_out() -> Bench {
    looking_out_in(Namespaces::default(), "rollcall-system")
}

fn looking_out_in(namespaces: Namespaces, own: &str) -> Bench {
    let mut bench = Bench::new();
    bench.index = std::mem::take(&mut bench.index).expecting_sidecars(namespaces, namespace(own));
    bench
}

fn says(number: u8, wish: Wish, exemption: Option<Exemption>) -> PodSeen {
    PodSeen { injection: InjectionFacts { wish, exemption }, ..pod(number, "a", None) }
}

fn namespace_asks(injects: bool) -> Change {
    Change::Namespace(namespace("shop"), NamespaceFacts { injects, ..NamespaceFacts::default() })
}

/// Whom people hear of now, and why.
fn told(bench: &mut Bench) -> Vec<(NoticeReason, String, String)> {
    let name = |about: &About| match about {
        About::Pod { object, .. } => object.name.to_string(),
        about => panic!("{about:?}"),
    };
    let mut told = Vec::new();
    loop {
        let mut notices = bench.index.take_notices(10);
        notices.extend(bench.index.take_skipped());
        if notices.is_empty() {
            return told;
        }
        told.extend(notices.into_iter().map(|notice| (notice.reason, name(&notice.about), notice.message)));
    }
}

#[test]
fn who_asked_and_has_none_is_counted_and_told_once() {
    let mut bench = looking_out();
    let mut with = says(4, Wish::Asked, None);
    with.facts.has_sidecar = true;
    let pods = [
        says(1, Wish::Asked, None),
        says(2, Wish::Asked, Some(Exemption::HostNetwork)),
        says(3, Wish::Declined, Some(Exemption::HostNetwork)),
        with,
        pod(5, "a", None),
    ];
    bench.apply(pods.iter().cloned().map(seen));
    assert_eq!(bench.index.without_sidecar(), without(1, 1));
    let heard = told(&mut bench);
    let names: Vec<_> = heard.iter().map(|(reason, name, _)| (*reason, name.as_str())).collect();
    assert_eq!(names, [(NoticeReason::InjectionSkipped, "p1"), (NoticeReason::InjectionSkipped, "p2")]);
    assert!(heard[0].2.contains("delete it"), "{heard:?}");
    assert_eq!(heard[1].2, Exemption::HostNetwork.to_string());

    bench.apply([namespace_asks(true)]);
    assert_eq!(bench.index.without_sidecar(), without(1, 2), "all of the namespace ask, but who declines");
    assert!(matches!(&told(&mut bench)[..], [(_, name, _)] if name == "p5"));
    let mut turned = says(1, Wish::Asked, None);
    turned.facts.life.ready = false;
    bench.apply([seen(turned), namespace_asks(true)]);
    assert_eq!(told(&mut bench), [], "no news");
    bench.apply((1..=5).map(gone_pod).chain([Change::Gone(Key::Namespace(namespace("shop")))]));
    nothing_stays_behind(&bench);
}

#[test]
fn they_are_listed_by_their_names_as_many_as_are_asked_for() {
    let mut bench = looking_out();
    assert_eq!(bench.index.lacking(None, 10), (vec![], 0));
    bench.apply([3, 1, 2].map(|number| seen(says(number, Wish::Asked, None))));
    bench.apply([seen(says(4, Wish::Declined, None))]);
    let names = |(lacking, total): (Vec<Lacking>, usize)| -> (Vec<String>, usize) {
        (lacking.into_iter().map(|one| one.pod.name.to_string()).collect(), total)
    };
    let shop = namespace("shop");
    assert_eq!(names(bench.index.lacking(Some(&shop), 2)), (vec!["p1".to_owned(), "p2".to_owned()], 3));
    assert_eq!(bench.index.lacking(Some(&namespace("bank")), 2), (vec![], 0));
}

#[test]
fn who_ends_needs_none() {
    for end in 0..4 {
        let mut bench = looking_out();
        let mut one = says(1, Wish::Asked, None);
        bench.apply([seen(one.clone())]);
        assert_eq!(bench.index.without_sidecar(), without(0, 1));
        match end {
            0 => one.facts.life.deleting = true,
            1 => one.facts.life.phase = Phase::Succeeded,
            2 => one.facts.life.phase = Phase::Failed,
            _ => one.injection.wish = Wish::Declined,
        }
        bench.apply([seen(one)]);
        assert_eq!(bench.index.without_sidecar(), without(0, 0), "{end}");
        assert_eq!(told(&mut bench), [], "it is over before anybody heard of it: {end}");
    }
}

#[test]
fn pods_that_nobody_gives_a_sidecar_are_not_looked_out_for() {
    let only = |only: &str| Namespaces { only: vec![only.to_owned()], except: Vec::new() };
    let except = Namespaces { only: Vec::new(), except: vec!["shop".to_owned()] };
    for (mut bench, missed) in [
        (looking_out(), 1),
        (Bench::new(), 0),
        (looking_out_in(Namespaces::default(), "shop"), 0),
        (looking_out_in(only("shop"), "rollcall-system"), 1),
        (looking_out_in(only("bank"), "rollcall-system"), 0),
        (looking_out_in(except, "rollcall-system"), 0),
    ] {
        bench.apply([seen(says(1, Wish::Asked, None))]);
        assert_eq!((bench.index.without_sidecar(), told(&mut bench).len()), (without(0, missed), missed));
    }
}

#[test]
fn a_namespace_of_many_pods_keeps_nobody_else_waiting() {
    let mut bench = looking_out();
    bench.apply((0..=u8::MAX).map(|number| seen(pod(number, "a", None))));
    bench.apply([namespace_asks(true)]);
    assert_eq!(bench.index.without_sidecar(), without(0, 256));
    bench.index.apply(Change::Registration(named("orders"), Box::new(refused("orders"))));
    let reasons: Vec<_> = bench.index.take_notices(256).iter().map(|notice| notice.reason).collect();
    assert_eq!(reasons, [NoticeReason::RegistrationRefused]);
    let first = bench.index.take_skipped().map(|notice| notice.reason);
    assert_eq!(first, Some(NoticeReason::InjectionSkipped), "one of them at a time");
    bench.apply([gone_pod(255)]);
    assert_eq!(told(&mut bench).len(), 254, "each of those that are left");
    assert_eq!(told(&mut bench), []);
    bench.index.tell_skipped_anew();
    assert_eq!(told(&mut bench).len(), 255, "somebody else tells of all that are there");
}

#[test]
fn a_start_without_what_is_required_is_told_when_it_is_news() {
    let says = |number: u8, phase: Phase, gave_up: Option<&str>| {
        let mut one = pod(number, "a", None);
        one.facts.life.phase = phase;
        seen(PodSeen { gave_up: gave_up.map(Into::into), ..one })
    };
    let mut bench = Bench::new();
    let (waiting, running) = (Phase::Pending, Phase::Running);
    let changes = [
        // Seen all the way; one that was not seen meanwhile; one that a controller finds that has just begun.
        says(1, waiting, None),
        says(1, waiting, Some("over")),
        says(1, running, Some("over")),
        says(2, waiting, Some("over")),
        says(3, running, Some("over")),
        says(3, running, Some("over again")),
        says(4, waiting, None),
        says(4, running, Some("over")),
    ];
    bench.apply(changes);
    let heard = told(&mut bench);
    assert!(heard.iter().all(|(reason, ..)| *reason == NoticeReason::RequiresTimedOut));
    let names: Vec<_> = heard.iter().map(|(_, name, message)| (name.as_str(), message.as_str())).collect();
    assert_eq!(names, [("p1", "over"), ("p2", "over"), ("p4", "over")]);
    bench.apply([says(1, running, None), says(1, running, Some("over"))]);
    assert_eq!(told(&mut bench).len(), 1, "its containers were begun anew");
}
