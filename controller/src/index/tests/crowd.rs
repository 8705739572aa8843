//! One tenant who writes very many objects: what they cost is bounded, and who is left out follows from what there is.

use crate::index::registrations::COUNTING_MAX;

use std::collections::BTreeSet;

use super::*;

fn name(number: usize) -> String {
    format!("r{number:03}")
}

/// A registration of `orders` for the pods of this app, as old as all others.
fn one_of_many(number: usize, app: &str, ports: u16) -> Change {
    let name = name(number);
    let mut object = object(&name, "orders", select(app));
    let registration = Arc::make_mut(object.registration.as_mut().unwrap());
    let of_its_own = |port| Port::tcp(Some(&format!("port-{port:02}")), 1_000 + number as u16 * 32 + port);
    registration.attributes.ports = (0..ports).map(of_its_own).collect();
    Change::Registration(named(&name), Box::new(object))
}

fn crowd(pods: u8, registrations: usize, ports: u16) -> Bench {
    let mut bench = Bench::new();
    bench.apply((0..pods).map(|number| seen(pod(number, "a", None))));
    bench.apply((0..registrations).map(|number| one_of_many(number, "a", ports)));
    bench
}

/// The names of those that are told that they do not count.
fn surplus(bench: &mut Bench) -> Vec<String> {
    let mut told = Vec::new();
    while !bench.index.reports.is_empty() {
        let reports = bench.index.take_reports(usize::MAX).into_iter();
        told.extend(reports.filter(|report| report.findings[0].reason.as_str() == "Invalid").map(|report| {
            let said = "service: 64 older registrations of `orders.shop` count, and no more do; ";
            assert!(report.findings[0].message.starts_with(said), "{report:?}");
            assert_eq!((report.findings[1].reason.as_str(), report.total), ("NotAccepted", 0));
            report.object.name.to_string()
        }));
    }
    told.sort();
    told
}

#[test]
fn the_oldest_count_in_whatever_order_they_came() {
    let (last, next) = (COUNTING_MAX + 1, COUNTING_MAX);
    let mut forth: Vec<_> = (0..last).map(|number| one_of_many(number, "a", 1)).collect();
    // The youngest alone means the pod of another app.
    forth.push(one_of_many(last, "b", 1));
    let mut back = forth.clone();
    back.reverse();
    let pods = [seen(pod(1, "a", None)), seen(pod(2, "b", None))];
    for changes in [forth, back] {
        for at_once in [true, false] {
            let mut bench = Bench::new();
            bench.apply(pods.clone());
            for change in changes.clone() {
                bench.index.apply(change);
                if !at_once {
                    bench.publish();
                    bench.index.take_reports(usize::MAX);
                }
            }
            let orders = bench.publish()["orders.shop"].clone();
            assert_eq!(orders, ["p1:1000 Ready"], "p2 is meant by one that does not count");
            bench.index.report_all();
            assert_eq!(surplus(&mut bench), [name(next), name(last)]);
            // Places become free, and those that take them are told.
            let gone = |number: usize| Change::Gone(Key::Registration(named(&name(number))));
            assert_eq!(bench.apply([gone(5)])["orders.shop"].len(), 1);
            assert_eq!(surplus(&mut bench), Vec::<String>::new());
            assert_eq!(bench.apply([gone(6)])["orders.shop"].len(), 2, "p2 is meant by one that counts now");
            bench.index.report_all();
            assert_eq!(surplus(&mut bench), Vec::<String>::new());
            // An older one comes back, and who must go is told without being asked about.
            let told = bench.apply([one_of_many(5, "a", 1)])["orders.shop"].len();
            assert_eq!((told, surplus(&mut bench)), (1, vec![name(last)]));
        }
    }
}

#[test]
fn members_keep_one_conflict_for_each_loser_and_share_them() {
    let bench = crowd(100, COUNTING_MAX + 10, 32);
    let entry = &bench.index.services[&key("orders.shop")];
    let first = &entry.members.iter().next().unwrap().1.findings;
    // One is the oldest. Of the others each is told, and not of each port.
    assert_eq!((entry.members.len(), first.len()), (100, COUNTING_MAX - 1));
    assert!(entry.members.iter().all(|(_, member)| Arc::ptr_eq(&member.findings, first)));
}

#[test]
fn a_look_at_the_reports_has_an_end_and_the_next_goes_on() {
    let mut bench = crowd(250, 100, 1);
    let mut told = BTreeSet::new();
    let mut looks = 0;
    while !bench.index.reports.is_empty() {
        let reports = bench.index.take_reports(usize::MAX);
        assert!((1..=80).contains(&reports.len()), "20,000 members");
        told.extend(reports.into_iter().map(|report| report.object.name));
        looks += 1;
    }
    assert_eq!((told.len(), looks), (100, 2));
    assert_eq!(bench.index.take_reports(usize::MAX).len(), 0);
}
