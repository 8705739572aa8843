use rollcall_catalogue::ProbeCheck;

use super::*;

/// Of the middle: each interval is as it is written.
const DRAW: u32 = u32::MAX / 2;

fn target(service: &str, interval_ms: u32) -> OutsideTarget {
    OutsideTarget {
        id: OutsideId { service: service.parse().unwrap(), address: IpAddr::from([10, 0, 0, 1]) },
        probe: ProbeSpec { interval_ms, ..ProbeSpec::new(ProbeCheck::Tcp { port: None }) },
        port: 5_432,
        epoch: 0,
    }
}

fn peer(targets: &[OutsideTarget]) -> Peer {
    let mut peer = Peer::new(PeerKey::of(&targets[0]).unwrap());
    for target in targets {
        peer.add(target, 0, 0);
    }
    peer
}

fn next_ms(peer: &Peer) -> u64 {
    *peer.wanted().values().min().unwrap()
}

/// Who hears something new when the next attempt, as soon as it may begin, ends so after this long.
fn ask(peer: &mut Peer, answer: Answer, after_ms: u64) -> Vec<(String, ProbeWitness)> {
    let began_ms = next_ms(peer);
    peer.begin(Ticket(began_ms), began_ms);
    let news = peer.ended(Ticket(began_ms), answer, began_ms + after_ms, DRAW);
    news.into_iter().map(|(id, witness)| (id.service.to_string(), witness)).collect()
}

#[test]
fn only_who_asks_the_same_of_the_same_shares_attempts() {
    let key = |change: fn(&mut OutsideTarget)| {
        let mut other = target("bills.pay", 700);
        change(&mut other);
        PeerKey::of(&other).unwrap()
    };
    let orders = PeerKey::of(&target("orders.shop", 500)).unwrap();
    let same: [fn(&mut OutsideTarget); 4] = [
        |_| {},
        |other| other.epoch = 7,
        |other| other.probe.timeout_ms = 100,
        |other| other.id.address = "::ffff:10.0.0.1".parse().unwrap(),
    ];
    for change in same {
        assert_eq!(key(change), orders);
    }
    let differs: [fn(&mut OutsideTarget); 4] = [
        |other| other.port = 1,
        |other| other.id.address = "10.0.0.2".parse().unwrap(),
        |other| other.probe.check = ProbeCheck::Http { path: "/".into(), port: None },
        |other| other.probe.timeout_ms = 1_001,
    ];
    for change in differs {
        assert_ne!(key(change), orders);
    }
}

#[test]
fn one_attempt_answers_all_and_each_makes_of_it_what_it_will() {
    let mut hasty = target("a.ns", 500);
    hasty.probe.failure_threshold = 1;
    let mut peer = peer(&[hasty, target("b.ns", 500)]);
    let unwell = |name: &str| (name.to_owned(), ProbeWitness::Unwell);
    assert_eq!(ask(&mut peer, Answer::BadReply, 1), [unwell("a.ns")]);
    assert_eq!(ask(&mut peer, Answer::BadReply, 1), []);
    assert_eq!(ask(&mut peer, Answer::BadReply, 1), [unwell("b.ns")]);
}

#[test]
fn the_shortest_interval_counts_for_all_and_only_its_namespace_is_charged_for_it() {
    let mut peer = peer(&[target("often.a", 500), target("seldom.b", 60_000)]);
    ask(&mut peer, Answer::Passing, 1);
    let wanted: Vec<_> = peer.wanted().into_values().collect();
    assert!((499..=500).contains(&wanted[0]) && wanted[1] >= 59_999, "{wanted:?}");
}

#[test]
fn nobody_is_asked_more_often_than_the_pause_but_to_confirm_a_refusal() {
    let mut peer = peer(&[target("a.ns", 100), target("b.ns", 100)]);
    let mut began_ms = Vec::new();
    for _ in 0..5 {
        began_ms.push(next_ms(&peer));
        ask(&mut peer, Answer::Passing, 1);
    }
    assert_eq!(began_ms, [0, 200, 400, 600, 800]);
    // At 1,000 it refuses, and is asked after; whoever comes then is no reason to ask after that.
    ask(&mut peer, Answer::Refused, 1);
    assert_eq!(next_ms(&peer), 1_021);
    peer.add(&target("late.ns", 100), 1_010, 0);
    assert_eq!(next_ms(&peer), 1_021);
    let dead = |name: &str| (name.to_owned(), ProbeWitness::Dead);
    assert_eq!(ask(&mut peer, Answer::Refused, 1), [dead("a.ns"), dead("b.ns")]);
    assert_eq!(next_ms(&peer), 1_200);
}

#[test]
fn somebody_elses_patience_is_not_ones_own() {
    let (mut short, mut long) = (target("short.ns", 500), target("long.ns", 500));
    (short.probe.timeout_ms, short.probe.failure_threshold) = (100, 1);
    long.probe.timeout_ms = 900;
    let mut peer = peer(&[short, long]);
    let mut news = ask(&mut peer, Answer::Passing, 101);
    news.sort();
    let expected = [("long.ns", ProbeWitness::Passing), ("short.ns", ProbeWitness::Unwell)];
    assert_eq!(news, expected.map(|(name, witness)| (name.to_owned(), witness)));
    assert_eq!(ask(&mut peer, Answer::Unasked, 101), [], "a fault of our own is nobody's timeout");
    assert_eq!(ask(&mut peer, Answer::Passing, 100), [("short.ns".to_owned(), ProbeWitness::Passing)]);
}

#[test]
fn an_attempt_speaks_to_those_who_were_there_when_it_began() {
    let (stays, goes) = (target("stays.ns", 500), target("goes.ns", 500));
    let mut peer = peer(&[stays.clone(), goes.clone()]);
    peer.begin(Ticket(1), 0);
    assert_eq!(peer.wanted().len(), 0, "asked once at a time");
    // One of them goes and is back at once; the attempt is the other's as before.
    assert_eq!(peer.remove(&goes.id), None);
    peer.add(&goes, 10, 0);
    assert_eq!(peer.ended(Ticket(1), Answer::Passing, 20, DRAW), [(stays.id.clone(), ProbeWitness::Passing)]);

    assert_eq!(next_ms(&peer), 200);
    peer.begin(Ticket(2), 200);
    assert_eq!(peer.remove(&goes.id), None);
    assert_eq!(peer.remove(&stays.id), Some(Ticket(2)), "with the last who waits for it, it is over");
    assert!(!peer.has_askers());
    peer.add(&stays, 210, 0);
    assert_eq!(next_ms(&peer), 400, "the pause holds for whoever comes back, too");
    assert_eq!(peer.ended(Ticket(2), Answer::Passing, 220, DRAW), []);
}
