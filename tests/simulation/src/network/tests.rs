//! The network keeps the order, whatever else it does.

use super::*;

type Events = Agenda<Signal>;

const NODE: Host = Host::Node(0);
const REPLICA: Host = Host::Replica(0);

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|number| (number % 251) as u8).collect()
}

/// Writes as there is room and reads what comes, until nothing more happens.
fn play(
    network: &mut Network,
    id: ConnectionId,
    all: &[u8],
    chance: &mut Chance,
    agenda: &mut Events,
) -> Vec<u8> {
    let until_ms = agenda.now_ms() + 1_000_000;
    let mut sent = network.send(id, End::Listener, all, chance, agenda);
    let mut read = Vec::new();
    while let Some(signal) = agenda.next_before(until_ms) {
        match signal {
            Signal::Arrive(id, end) => {
                network.arrive(id, end);
                let most = usize::try_from(chance.within(1..=3_000)).unwrap();
                while network.has_unread(id, end) {
                    read.extend(network.read(id, end, most, chance, agenda));
                }
            }
            Signal::Writable(id, end) => sent += network.send(id, end, &all[sent..], chance, agenda),
        }
        if sent < all.len() {
            sent += network.send(id, End::Listener, &all[sent..], chance, agenda);
        }
    }
    read
}

#[test]
fn all_bytes_come_in_order_through_any_sockets() {
    for seed in 0..50 {
        let (mut chance, mut agenda, mut network) =
            (Chance::new(seed), Events::beginning_at(0), Network::default());
        let id = network.open(NODE, REPLICA, &mut chance);
        let all = bytes(100_000);
        assert_eq!(play(&mut network, id, &all, &mut chance, &mut agenda), all, "seed {seed}");
        network.leave(id, End::Listener, Farewell::Close, &mut chance, &mut agenda);
        assert_eq!(agenda.next_before(2_000_000), Some(Signal::Arrive(id, End::Dialler)));
        assert_eq!(network.arrive(id, End::Dialler), Arrival::End);
    }
}

#[test]
fn what_is_cut_off_comes_when_it_is_healed_and_what_is_lost_never() {
    let (mut chance, mut agenda, mut network) = (Chance::new(1), Events::beginning_at(0), Network::default());
    let (kept, lost) = (network.open(NODE, REPLICA, &mut chance), network.open(NODE, REPLICA, &mut chance));
    network.cut((REPLICA, NODE));
    network.lose(lost, End::Dialler);
    assert_eq!(play(&mut network, kept, &bytes(500), &mut chance, &mut agenda), b"");
    assert_eq!(play(&mut network, lost, &bytes(500), &mut chance, &mut agenda), b"");
    assert!(!network.is_whole(NODE, REPLICA) && network.reaches(NODE, REPLICA));
    network.heal(&[(REPLICA, NODE)], &mut chance, &mut agenda);
    assert_eq!(play(&mut network, kept, &[], &mut chance, &mut agenda), bytes(500));
    assert!(!network.has_unread(lost, End::Dialler));
}

#[test]
fn a_reset_overtakes_what_is_under_way_and_a_close_does_not() {
    for (how, comes) in [(Farewell::Close, 300), (Farewell::Reset, 0), (Farewell::Vanish, 300)] {
        let (mut chance, mut agenda, mut network) =
            (Chance::new(7), Events::beginning_at(0), Network::default());
        let id = network.open(NODE, REPLICA, &mut chance);
        let sent = network.send(id, End::Dialler, &bytes(300), &mut chance, &mut agenda);
        assert_eq!(sent, 300);
        if how == Farewell::Vanish {
            while let Some(Signal::Arrive(id, end)) = agenda.next_before(100_000) {
                network.arrive(id, end);
            }
        }
        network.leave(id, End::Dialler, how, &mut chance, &mut agenda);
        let mut ended = false;
        while let Some(Signal::Arrive(id, end)) = agenda.next_before(200_000) {
            ended |= network.arrive(id, end) == Arrival::End;
        }
        assert_eq!(ended, how != Farewell::Vanish);
        let read = network.read(id, End::Listener, usize::MAX, &mut chance, &mut agenda);
        assert_eq!(read.len(), comes);
    }
}
