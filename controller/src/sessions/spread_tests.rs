use proptest::{collection::vec, prelude::*};

use super::*;

fn load(replica: usize, sessions: u32) -> Load {
    Load { replica: format!("r{replica}").into(), sessions }
}

fn at(replica: usize) -> SocketAddr {
    ([10, 0, 0, u8::try_from(replica).unwrap()], 7310).into()
}

fn target(replica: usize, sessions: u32) -> Target {
    Target { load: load(replica, sessions), address: at(replica), sent: 0 }
}

#[test]
fn who_has_clearly_more_than_the_others_gives_some_to_the_emptiest() {
    let long = STABLE_AFTER;
    // What we have, what the others have, how many go in a second, and how many of them to each.
    let table: [(&str, u32, &[u32], &[usize]); 12] = [
        ("it is alone", 2_000, &[], &[]),
        ("all are even", 100, &[100, 100], &[0, 0]),
        ("a few more are no matter", 118, &[100, 100], &[0, 0]),
        ("nor a tenth", 1_060, &[940], &[0]),
        ("two percent, where that is more than one", 2_000, &[0], &[40]),
        ("one at least", 20, &[0], &[1]),
        ("and not below what it may have", 205, &[0, 200], &[4, 0]),
        ("to the emptiest", 900, &[0, 300], &[18, 0]),
        ("to all that lack", 900, &[0, 0], &[9, 9]),
        ("nobody has any", 0, &[0, 0], &[0, 0]),
        ("one that has too many shares with another that has", 600, &[600, 0], &[0, 12]),
        ("few beside a full one", 10, &[2_000], &[0]),
    ];
    for (what, own, others, expected) in table {
        let others: Vec<_> = others.iter().enumerate().map(|(n, count)| target(n + 1, *count)).collect();
        let goes = moves(&load(0, own), &others, long);
        let each: Vec<_> =
            others.iter().map(|other| goes.iter().filter(|to| **to == other.address).count()).collect();
        assert_eq!(each, expected, "{what}");
        assert_eq!(moves(&load(0, own), &others, long - Duration::from_millis(1)), [], "{what}: not yet");
    }
}

#[test]
fn there_are_to_be_places_for_a_share_of_the_largest_other_replica() {
    // What we have of 100 places, what the others have, and how many places are missing.
    let table: [(usize, &[u32], usize); 8] = [
        (100, &[], 0),
        (50, &[50], 0),
        (51, &[50], 1),
        (80, &[80], 60),
        (66, &[66, 66], 0),
        (70, &[70, 70], 5),
        (70, &[10, 70], 5),
        (100, &[0, 0], 0),
    ];
    for (own, others, missing) in table {
        assert_eq!(places_missing(own, 100, others), missing, "{own} {others:?}");
    }
}

#[test]
fn who_is_under_way_is_there_already() {
    let mut other = target(1, 0);
    // The mean is 10.
    for (sent, goes) in [(0, 1), (9, 1), (10, 0), (11, 0)] {
        other.sent = sent;
        assert_eq!(moves(&load(0, 20), std::slice::from_ref(&other), STABLE_AFTER).len(), goes, "{sent}");
    }
}

#[test]
fn those_who_share_what_one_lacks_do_not_fill_it_twice() {
    let counts = [500, 500, 500, 20];
    let all: Vec<_> = (0..4).map(|number| target(number, counts[number])).collect();
    let mean = counts.iter().sum::<u32>().div_ceil(4);
    let mut given = 0;
    for own in 0..3 {
        let mut others = all.clone();
        let own = others.remove(own).load;
        // Nobody tells anything new meanwhile.
        for _ in 0..1_000 {
            let goes = moves(&own, &others, STABLE_AFTER);
            assert!(goes.iter().all(|to| *to == at(3)));
            others.last_mut().unwrap().sent += u32::try_from(goes.len()).unwrap();
            given += u32::try_from(goes.len()).unwrap();
        }
    }
    assert_eq!(given, mean - 20);
}

#[test]
fn who_ends_sends_everybody_away_evenly_and_in_time() {
    assert_eq!(gone_within(0), Duration::ZERO);
    assert_eq!(gone_within(50), Duration::from_secs(1));
    assert_eq!(gone_within(100_000), GONE_WITHIN);
    for sessions in [0, 1, 7, 250, 4_096] {
        let within = gone_within(sessions);
        let mut before = 0;
        for tenth in 0..=10 {
            let gone = gone_by(sessions, within * tenth / 10);
            assert!(gone >= before && gone <= sessions && gone.abs_diff(sessions * tenth as usize / 10) <= 1);
            before = gone;
        }
        assert_eq!(gone_by(sessions, within), sessions);
        assert_eq!(gone_by(sessions, within * 2), sessions);
    }
}

#[test]
fn hints_fill_the_emptiest_first_and_forget_who_no_longer_serves() {
    let mut hints = Hints::of([(at(1), 10), (at(2), 8)]);
    let next: Vec<_> = (0..6).filter_map(|_| hints.next()).collect();
    assert_eq!(next.iter().filter(|to| **to == at(2)).count(), 4, "{next:?}");
    hints.retain(|address| address == at(1));
    assert_eq!([hints.next(), hints.next()], [Some(at(1)), Some(at(1))]);
    hints.retain(|_| false);
    assert_eq!(hints.next(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each second every replica decides by what it knows, which is up to a second old; who is sent away is there one or two
    /// seconds later.
    #[test]
    fn moving_ends_and_nobody_is_sent_to_and_fro(
        counts in vec(0u32..1_500, 2..9),
        late in vec(any::<u64>(), 600),
    ) {
        let replicas = counts.len();
        let mut draws = late.iter().copied().cycle();
        let mut coin = move || draws.next().is_some_and(|draw| draw % 2 == 0);
        let mut counts = counts;
        let all = counts.iter().sum::<u32>();
        let mean = all / u32::try_from(replicas).unwrap();
        let surplus: u32 = counts.iter().map(|count| count.saturating_sub(mean)).sum();
        let mut before = counts.clone();
        // Where they go, and in how many seconds they are there.
        let mut under_way: Vec<(usize, u32)> = Vec::new();
        let mut sent: Vec<Vec<(usize, usize)>> = vec![Vec::new(); replicas];
        let (mut given, mut gave, mut got) = (0, vec![false; replicas], vec![false; replicas]);
        let mut quiet = 0;
        for second in 0..600 {
            let mut now = counts.clone();
            under_way.retain_mut(|(to, after)| {
                *after -= 1;
                now[*to] += u32::from(*after == 0);
                *after > 0
            });
            let told = now.clone();
            quiet += 1;
            for own in 0..replicas {
                sent[own].retain(|(_, then)| second - then < 3);
                let others: Vec<_> = (0..replicas).filter(|other| *other != own).map(|other| {
                    let known = if coin() { told[other] } else { before[other] };
                    let sent = sent[own].iter().filter(|(to, _)| *to == other).count();
                    Target { sent: u32::try_from(sent).unwrap(), ..target(other, known) }
                }).collect();
                for address in moves(&load(own, now[own]), &others, STABLE_AFTER) {
                    let to = (0..replicas).find(|to| at(*to) == address).unwrap();
                    now[own] -= 1;
                    given += 1;
                    (gave[own], got[to], quiet) = (true, true, 0);
                    sent[own].push((to, second));
                    under_way.push((to, if coin() { 1 } else { 2 }));
                }
            }
            before = told;
            counts = now;
            let both: Vec<_> = (0..replicas).filter(|one| gave[*one] && got[*one]).collect();
            prop_assert!(both.is_empty(), "{both:?} gave and got: {counts:?}");
            if quiet > 10 {
                break;
            }
        }
        prop_assert!(quiet > 10, "they still move: {counts:?}");
        let most = u64::from(all) * TOO_MANY_PERCENT / 100 / u64::try_from(replicas).unwrap() + TOO_MANY_MORE;
        prop_assert!(counts.iter().all(|count| u64::from(*count) <= most), "{counts:?}");
        prop_assert!(given <= surplus, "{given} moves for {surplus}");
    }
}
