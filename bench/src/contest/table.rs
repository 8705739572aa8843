//! What a contest came to, for people: a table for each class, since only systems of one class are compared.

use rollcall_results::{Class, Configuration};

use super::{Contender, Contest, Load};
use crate::local::{Measured, Rounds};

const CLASSES: [(Class, &str); 4] = [
    (Class::Floor, "floor: what the harness and the protocol cost"),
    (Class::A, "class A: answered from the memory of the process that asks"),
    (Class::B, "class B: by an agent, one hop over loopback away"),
    (Class::C, "class C: by a server, which is somewhere in the network in real life"),
];

// === impl Contest ===

impl Contest {
    pub(crate) fn print(&self) {
        println!(
            "\n{}{} services of {} instances each; {} rounds, {:.2} s each load, and twice that where it keeps a pace; medians (and the middle half); /floor: medians of each round's ratio; busy: the share of its processor that the server took, and the load of its own; late: p99 of what the load was late by itself",
            self.terms.kind.map(|kind| format!("{kind}: ")).unwrap_or_default(),
            self.data.services,
            self.data.instances,
            self.terms.rounds,
            self.lasts.as_secs_f64()
        );
        let warm = self.contenders.iter().map(|one| (one, one.warm));
        let (steady, never): (Vec<_>, Vec<_>) = warm.partition(|(_, warm)| warm.is_steady);
        let longest = steady.iter().map(|(_, warm)| warm.took).max().unwrap_or_default();
        println!("{} were steady after {:.0} s of warm-up or less", steady.len(), longest.as_secs_f64());
        if !never.is_empty() {
            let names: Vec<_> = never.iter().map(|(one, _)| named(one)).collect();
            println!("never steady as long as they were warmed up: {}", names.join("; "));
        }
        for (class, title) in CLASSES {
            let is_of_class = |one: &&Contender| one.peer.class() == class;
            if self.contenders.iter().any(|one| is_of_class(&one)) {
                println!("\n{title}");
                self.print_closed(class);
                self.print_open(class);
            }
        }
    }

    fn print_closed(&self, class: Class) {
        println!(
            "{:<42}  {:>11}  {:>23}  {:>6}  {:>20}  {:>6}  {:>4}  {:>4}  {:>6}  {:>17}",
            "closed loop, by connections and names",
            "",
            "lookups/s",
            "/floor",
            "CPU us",
            "/floor",
            "busy",
            "load",
            "p50 us",
            "p99 us"
        );
        for (one, load, rounds) in self.results_of(class) {
            let Load::Closed { .. } = load else { continue };
            let Some(floor) = self.results.get(&(one.floor, load)) else { continue };
            println!(
                "{:<42}  {:>11}  {:>23}  {:>6.2}  {:>20}  {:>6.2}  {:>3.0}%  {:>3.0}%  {:>6.0}  {:>17}",
                named(one),
                load.told(),
                rounds.spread(Measured::a_second).told(0),
                rounds.ratio(floor, Measured::a_second),
                rounds.spread(|one| one.cpu_us).told(1),
                rounds.ratio(floor, |one| one.cpu_us),
                rounds.median(|one| one.busy) * 100.0,
                rounds.median(|one| one.outcome.load_busy_percent()),
                rounds.median(Measured::p50_us),
                rounds.spread(Measured::p99_us).told(0),
            );
        }
    }

    fn print_open(&self, class: Class) {
        if !self.terms.loads.iter().any(|load| !matches!(load, Load::Closed { .. })) {
            return;
        }
        println!(
            "{:<42}  {:>11}  {:>23}  {:>20}  {:>6}  {:>17}  {:>8}  {:>4}  {:>7}",
            "open loop, from when each was due",
            "asked",
            "lookups/s",
            "CPU us",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "load",
            "late us"
        );
        for (one, load, rounds) in self.results_of(class) {
            if matches!(load, Load::Closed { .. }) {
                continue;
            }
            println!(
                "{:<42}  {:>11}  {:>23}  {:>20}  {:>6.0}  {:>17}  {:>8.0}  {:>3.0}%  {:>7.0}",
                named(one),
                load.told(),
                rounds.spread(Measured::a_second).told(0),
                rounds.spread(|one| one.cpu_us).told(1),
                rounds.median(Measured::p50_us),
                rounds.spread(Measured::p99_us).told(0),
                rounds.median(|one| one.outcome.delay_us(0.999)),
                rounds.median(|one| one.outcome.load_busy_percent()),
                rounds.median(|one| one.outcome.late.at(0.99).as_micros() as f64),
            );
        }
    }

    /// All results of a class, load by load.
    fn results_of(&self, class: Class) -> impl Iterator<Item = (&Contender, Load, &Rounds)> {
        let loads = self.terms.loads.iter().copied();
        loads.flat_map(move |load| {
            let contenders = self.contenders.iter().enumerate();
            let of_class = contenders.filter(move |(_, one)| one.peer.class() == class);
            of_class.filter_map(move |(place, one)| Some((one, load, self.results.get(&(place, load))?)))
        })
    }
}

fn named(contender: &Contender) -> String {
    let Contender { peer, bytes, .. } = contender;
    let how = match peer.configuration() {
        Configuration::Default => "",
        Configuration::Tuned => ", tuned",
    };
    format!("{}{how} ({bytes} B)", peer.name())
}
