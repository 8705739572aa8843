use super::*;
use crate::{
    Instance,
    liveness::{Settled, Standing},
    testing,
};

/// One row of the table in docs/liveness.md; an empty list matches everything.
struct Row {
    line: String,
    pod: Vec<PodWitness>,
    endpoint: Vec<EndpointWitness>,
    session: Vec<SessionWitness>,
    probe: Vec<ProbeWitness>,
    intent: Vec<Intent>,
    registry: Vec<RegistryHealth>,
    verdict: Verdict,
}

impl Row {
    fn matches(&self, witnesses: &Witnesses) -> bool {
        fn one<T: PartialEq>(list: &[T], value: &T) -> bool {
            list.is_empty() || list.contains(value)
        }
        one(&self.pod, &witnesses.pod)
            && one(&self.endpoint, &witnesses.endpoint)
            && one(&self.session, &witnesses.session)
            && one(&self.probe, &witnesses.probe)
            && one(&self.intent, &witnesses.intent)
            && one(&self.registry, &witnesses.registry)
    }
}

fn cell<T: std::str::FromStr<Err = ()>>(text: &str, line: &str) -> Vec<T> {
    match text {
        "any" => Vec::new(),
        list => list
            .split(", ")
            .map(|word| word.parse().unwrap_or_else(|()| panic!("`{word}` in: {line}")))
            .collect(),
    }
}

fn table() -> Vec<Row> {
    let text = include_str!("../../../docs/liveness.md");
    let (_, table) = text.split_once("| pod | endpoint | session |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [pod, endpoint, session, probe, intent, registry, state, reason] = cells[..] else {
            panic!("not eight cells: {line}");
        };
        let state = match state {
            "removed" => None,
            word => Some(serde_json::from_value::<State>(word.into()).unwrap_or_else(|_| panic!("{line}"))),
        };
        let reason = Reason::from(reason.to_owned());
        assert!(state.is_none() || !matches!(reason, Reason::Other(_)), "{line}");
        Row {
            pod: cell(pod, line),
            endpoint: cell(endpoint, line),
            session: cell(session, line),
            probe: cell(probe, line),
            intent: cell(intent, line),
            registry: cell(registry, line),
            verdict: state.map_or(Verdict::Removed, |state| Verdict::Listed(state, reason)),
            line: line.to_owned(),
        }
    })
    .collect()
}

fn every_case() -> Vec<Witnesses> {
    let mut cases = Vec::new();
    for &pod in PodWitness::ALL {
        for &endpoint in EndpointWitness::ALL {
            for &session in SessionWitness::ALL {
                for &probe in ProbeWitness::ALL {
                    for &intent in Intent::ALL {
                        for &registry in RegistryHealth::ALL {
                            cases.push(Witnesses { pod, endpoint, session, probe, intent, registry });
                        }
                    }
                }
            }
        }
    }
    cases
}

#[test]
fn the_document_and_the_code_say_the_same() {
    let rows = table();
    let mut decided = vec![0; rows.len()];
    let cases = every_case();
    assert_eq!(cases.len(), 15_120, "docs/liveness.md names this number");
    for witnesses in cases {
        let number =
            rows.iter().position(|row| row.matches(&witnesses)).expect("the last row matches everything");
        decided[number] += 1;
        assert_eq!(verdict(&witnesses), rows[number].verdict, "{witnesses:?}\n{}", rows[number].line);
    }
    for (row, decided) in rows.iter().zip(decided) {
        assert!(decided > 0, "this row decides nothing: {}", row.line);
    }
}

#[test]
fn every_reason_is_given_by_the_verdict() {
    let rows = table();
    let said = |reason: &Reason| {
        rows.iter().any(|row| matches!(&row.verdict, Verdict::Listed(_, said) if said == reason))
    };
    assert!(Reason::KNOWN.iter().all(said), "a reason that nobody gives");
}

/// For each witness, what is worse news than what, with all other witnesses as they are.
#[test]
fn more_bad_news_never_makes_an_instance_healthier() {
    use {PodWitness as P, ProbeWitness as B, SessionWitness as S};
    fn hold<T: Copy + std::fmt::Debug>(chain: &[T], set: impl Fn(&mut Witnesses, T)) {
        for case in every_case() {
            let ranks: Vec<_> = chain
                .iter()
                .map(|&value| {
                    let mut witnesses = case;
                    set(&mut witnesses, value);
                    verdict(&witnesses).rank()
                })
                .collect();
            assert!(
                ranks.is_sorted_by(|better, worse| better >= worse),
                "{case:?} along {chain:?}: {ranks:?}"
            );
        }
    }
    hold(&[P::Ready, P::NodeUnknown, P::NotReady, P::Terminating, P::Ended], |w, v| w.pod = v);
    hold(&[P::Terminating, P::Gone], |w, v| w.pod = v);
    for bad in [EndpointWitness::Ready, EndpointWitness::Published] {
        hold(&[bad, EndpointWitness::NotReady, EndpointWitness::Terminating], |w, v| w.endpoint = v);
    }
    for ears in [S::Live, S::HeardByPeer] {
        hold(&[ears, S::Quiet, S::Silent], |w, v| w.session = v);
        hold(&[ears, S::NeverCame], |w, v| w.session = v);
        hold(&[ears, S::Lost, S::LostLong], |w, v| w.session = v);
    }
    for bad in [B::AwaitingBeat, B::Dead, B::Unwell, B::LoopbackOnly, B::BeatMissed, B::SaysFailing] {
        hold(&[B::Passing, bad], |w, v| w.probe = v);
        hold(&[B::NotAsked, bad], |w, v| w.probe = v);
    }
    hold(&[Intent::Stay, Intent::Drain], |w, v| w.intent = v);
}

#[test]
fn a_pod_that_is_gone_or_going_is_never_served() {
    for witnesses in every_case() {
        let going = matches!(witnesses.pod, PodWitness::Gone | PodWitness::Ended | PodWitness::Terminating)
            || witnesses.endpoint == EndpointWitness::Terminating
            || witnesses.intent == Intent::Drain;
        if going {
            assert!(verdict(&witnesses).rank() <= 1, "{witnesses:?}");
        }
    }
}

/// With the app's word as it was: by `ProbeWitness::BeatMissed`, no beat is missed while the sidecar is away. If a beat
/// that was missed counted no more once the sidecar is lost as well, the worse news would be the better.
#[test]
fn a_restarted_sidecar_evicts_nobody() {
    for mut witnesses in every_case() {
        witnesses.session = SessionWitness::Live;
        let before = verdict(&witnesses).rank();
        for session in [SessionWitness::Lost, SessionWitness::NeverCame] {
            witnesses.session = session;
            // Where Kubernetes has lost the node as well, two have bad news: doubted, and still served as the last.
            let expected = if node_is_unknown(&witnesses) { before.min(2) } else { before };
            if witnesses.registry == RegistryHealth::Well {
                assert_eq!(verdict(&witnesses).rank(), expected, "{witnesses:?}");
            }
        }
    }
}

#[test]
fn session_evidence_alone_never_takes_the_last_instance() {
    for mut witnesses in every_case() {
        witnesses.session = SessionWitness::Live;
        // Nobody else has bad news, and Kubernetes still sees the node.
        if verdict(&witnesses).rank() < 3 || witnesses.pod == PodWitness::NodeUnknown {
            continue;
        }
        for &session in SessionWitness::ALL {
            witnesses.session = session;
            if session == SessionWitness::NotExpected && witnesses.endpoint == EndpointWitness::NotReady {
                continue; // Then the slice's word counts, and it is bad.
            }
            let Verdict::Listed(state, reason) = verdict(&witnesses) else {
                panic!("removed: {witnesses:?}")
            };
            let alone = Instance { state, reason: reason.clone(), ..testing::instance(1) };
            let settled = Standing::of([&alone]).settled();
            assert!(matches!(settled.state(&alone), State::Serving | State::Suspect), "{witnesses:?}");
            assert!(reason != Reason::SessionSilent || settled == Settled::Spared);
        }
    }
}

#[test]
fn a_registry_that_doubts_itself_takes_nobody_out_for_silence() {
    for mut witnesses in every_case() {
        witnesses.registry = RegistryHealth::Well;
        witnesses.session = SessionWitness::Live;
        let before = verdict(&witnesses).rank();
        witnesses.registry = RegistryHealth::Frozen;
        for &session in SessionWitness::ALL {
            witnesses.session = session;
            assert!(verdict(&witnesses).rank() >= before, "{witnesses:?}");
        }
    }
}

#[test]
fn who_only_observes_hears_kubernetes_alone() {
    for case in every_case() {
        let outside = (case.pod, case.endpoint) == (PodWitness::NoPod, EndpointWitness::NoEndpoint);
        let expected = case.session != SessionWitness::NotExpected;
        if case.registry != RegistryHealth::Observing || outside {
            continue;
        }
        for &session in SessionWitness::ALL {
            for &probe in ProbeWitness::ALL {
                // Whether there is a sidecar is a fact of Kubernetes.
                if (session != SessionWitness::NotExpected) == expected {
                    assert_eq!(verdict(&Witnesses { session, probe, ..case }), verdict(&case));
                }
            }
        }
    }
}

/// Only these two say that sessions matter: everything else is Kubernetes', the app's, or a person's word.
#[test]
fn without_bad_news_everyone_is_served() {
    let good = Witnesses {
        pod: PodWitness::Ready,
        endpoint: EndpointWitness::NoEndpoint,
        session: SessionWitness::Live,
        probe: ProbeWitness::Passing,
        intent: Intent::Stay,
        registry: RegistryHealth::Well,
    };
    for pod in [PodWitness::Ready, PodWitness::NoPod] {
        for endpoint in [EndpointWitness::NoEndpoint, EndpointWitness::Ready, EndpointWitness::Published] {
            for session in [SessionWitness::NotExpected, SessionWitness::Live, SessionWitness::HeardByPeer] {
                for probe in [ProbeWitness::NotAsked, ProbeWitness::Passing] {
                    for &registry in RegistryHealth::ALL {
                        let witnesses = Witnesses { pod, endpoint, session, probe, registry, ..good };
                        assert_eq!(verdict(&witnesses), Verdict::Listed(State::Serving, Reason::Ready));
                    }
                }
            }
        }
    }
}
