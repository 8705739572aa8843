//! The model as tables and a list, for its page.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Answer, Answers, LARGEST, PAGE_OBJECTS, SESSIONS_OF_A_REPLICA, STATUSES_MAX, TOKEN_RENEWED_S, answers,
};
use crate::{
    file::Results,
    number::number,
    table::{Align, Table},
};

/// What is taken for granted: the name of each, and what it says.
fn assumed() -> Vec<(&'static str, String)> {
    let replicas = LARGEST.replicas();
    vec![
        ("pods", format!(
            "{} pods on {} nodes, of {} services: what Kubernetes is made for at most. A third of the services is registered by annotations, a third by a selector and a third by Services and their EndpointSlices, with twenty pods each where it was measured and {} here.",
            number(LARGEST.pods), number(LARGEST.nodes), number(LARGEST.services), number(LARGEST.pods / LARGEST.services),
        )),
        ("sidecars", "Every pod has a sidecar, and every sidecar a session.".to_owned()),
        ("held", format!("A sidecar holds {} services, as in the measurement; what it holds is what its app has asked for.", number(LARGEST.held))),
        ("replicas", format!(
            "{} replicas: a replica has places for {} sessions, and one more is there than is needed. Each has the same share of the sessions, {}.",
            number(replicas), number(SESSIONS_OF_A_REPLICA), number(LARGEST.sessions_of_a_replica().round()),
        )),
        ("even", format!(
            "All services are held alike: a change is told to {} sessions of each replica. A service that every sidecar holds is told to all of them, {}.",
            number(LARGEST.holders()), number(LARGEST.sessions_of_a_replica().round()),
        )),
        ("idle", "A session with nothing to be told costs what it does in the measurement: heartbeats in both directions, and what it says of what it holds. Who is told of changes needs fewer heartbeats; they are counted all the same.".to_owned()),
        ("straight", "What was measured goes on as a straight line. ± is what the scatter of the measured points allows (95 %), and says nothing of a bend behind the last of them.".to_owned()),
        ("alone", "The controller has processors like those of the measurement. What several replicas tell each other of changes is not in it.".to_owned()),
        ("frames", "Bytes are those of the frames, without TLS, HTTP/2, TCP and IP.".to_owned()),
        ("crowd", "In the measurement the crowd of sidecars is on the same two processors as the controller, and pays for its own side of each handshake there: in a cluster that is elsewhere, and the storm is shorter. That sidecars wait before they come again is not in it.".to_owned()),
        ("kinds", format!("As many changes set a status off as in the measurement, where pods turn ready and unready and say other metadata, each as often. One replica writes statuses, {} a second at most; those that wait are written once.", number(STATUSES_MAX))),
        ("tokens", format!("A token lasts an hour and is renewed by the kubelet after {} minutes; each is reviewed once, by one replica, which tells the others. Who restarts with all others has to ask again.", number(TOKEN_RENEWED_S / 60.0))),
        (
            "pages",
            format!(
                "A list comes in pages of {} objects; each service has a slice and a registration.",
                number(PAGE_OBJECTS)
            ),
        ),
    ]
}

/// What the model takes for granted, as a list.
pub fn assumptions() -> String {
    let item = |(name, says): (&str, String)| format!("- **{name}**: {says}\n");
    format!("\n{}\n", assumed().into_iter().map(item).collect::<String>())
}

/// All that the model says, from what was kept of the measurements.
pub fn tables(kept: &BTreeMap<String, Results>) -> String {
    let all = answers(kept);
    let mut text = String::from("\n");
    for Answers { title, answers } in &all {
        text += &format!("**{title}**\n\n");
        let mut table = Table::default().with_column("what", Align::Words).with_columns([
            ("value", Align::Numbers),
            ("±", Align::Numbers),
            ("by", Align::Words),
            ("measured up to", Align::Words),
            ("takes for granted", Align::Words),
        ]);
        answers.iter().for_each(|answer| table.push(row(answer, kept)));
        text += &table.markdown();
        text.push('\n');
    }
    text
}

fn row(answer: &Answer, kept: &BTreeMap<String, Results>) -> Vec<String> {
    let sources: BTreeSet<_> = answer.by.iter().map(|source| source.bench).collect();
    let (value, off) = match answer.value {
        None => {
            let lacking =
                answer.by.iter().filter(|source| source.line(kept).is_none()).map(|source| source.bench);
            let commands: BTreeSet<_> = lacking.map(|bench| format!("`cargo xtask bench {bench}`")).collect();
            let commands: Vec<_> = commands.into_iter().collect();
            (format!("not measured yet: {}", commands.join(", ")), String::new())
        }
        Some(estimate) => {
            let unit = if answer.unit.is_empty() { String::new() } else { format!(" {}", answer.unit) };
            let off = match estimate.off {
                0.0 => String::new(),
                off if off.is_infinite() => "two points".to_owned(),
                off => number(off),
            };
            (format!("{}{unit}", number(estimate.value)), off)
        }
    };
    let by = match sources.is_empty() {
        true => "its own limits".to_owned(),
        false => sources.into_iter().collect::<Vec<_>>().join(", "),
    };
    let ranges: BTreeSet<_> = answer.by.iter().filter_map(|source| source.range(kept)).collect();
    let ranges = ranges.into_iter().collect::<Vec<_>>().join(", ");
    vec![answer.what.to_owned(), value, off, by, ranges, answer.assumes.join(", ")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, Configuration, Record, Run};

    fn results(bench: &str, records: Vec<Record>) -> (String, Results) {
        let run = Run { bench: bench.to_owned(), ..Run::default() };
        (bench.to_owned(), Results { run, records, ..Results::default() })
    }

    fn record(system: &str) -> Record {
        Record::new(system, Class::C, Configuration::Default, 1)
    }

    /// A controller that costs exactly so much of each.
    fn kept() -> BTreeMap<String, Results> {
        let scale = [1_000.0, 5_000.0, 20_000.0].into_iter().flat_map(|instances: f64| {
            let of = |system: &str, event: &str| {
                record(system).with_case("event", event).with_case("instances", instances as u32)
            };
            [
                of("rollcall controller", "settled")
                    .with_value("rss_mib", 40.0 + instances / 1e3)
                    .with_value("idle_cpu_us_a_second", 1_000.0),
                of("rollcall controller", "start")
                    .with_value("ready_s", instances / 1e4)
                    .with_value("peak_mib", 50.0 + instances / 500.0),
                of("bare lists", "start")
                    .with_value("listed_mib", instances / 200.0)
                    .with_value("ready_s", 0.1),
                of("rollcall controller", "changes")
                    .with_value("cpu_us_per_change", 300.0)
                    .with_value("status_writes", 60.0)
                    .with_value("changes", 600.0),
            ]
        });
        let sessions = [100.0, 500.0, 2_000.0].into_iter().map(|sessions: f64| {
            record("rollcall controller's half")
                .with_case("sessions", sessions as u32)
                .with_value("rss_mib", 30.0 + sessions / 32.0)
                .with_value("warm_s", sessions / 2e3)
                .with_value("cold_s", sessions / 1e3)
                .with_value("cold_peak_mib", 30.0 + sessions / 16.0)
                .with_value("changes", 300.0)
                .with_value("deliveries", sessions * 30.0)
                .with_value("bytes_of_changes", sessions * 30.0 * 512.0)
                .with_value("idle_cpu_us_a_second", 500.0 + sessions * 50.0)
                .with_value("idle_bytes_a_second", sessions * 20.0)
                .with_value("idle_up_bytes_a_second", sessions * 30.0)
                .with_value("cpu_us_per_change", 200.0 + sessions)
        });
        let index = [1_000_u32, 20_000, 150_000].map(|instances| {
            record("rollcall index")
                .with_case("instances", instances)
                .with_value("index_mib", f64::from(instances) / 1_024.0)
        });
        [
            results("scale", scale.collect()),
            results("sessions", sessions.collect()),
            results("index", index.to_vec()),
        ]
        .into()
    }

    fn value(text: &str, what: &str) -> String {
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| {what} |")))
            .unwrap_or_else(|| panic!("{what}: {text}"));
        row.split(" | ").nth(1).expect("a value").to_owned()
    }

    #[test]
    fn a_controller_whose_slopes_are_known_comes_to_what_they_say() {
        let text = tables(&kept());
        for (what, expected) in [
            ("its index alone, measured at this size where there is no ±", "146 MiB"),
            ("a controller without sessions", "190 MiB"),
            // 150,000 sessions at 16 replicas are 9,375 each, of 32 KiB.
            ("its sessions", "293 MiB"),
            ("a controller with its sessions", "483 MiB"),
            ("the most while it starts", "350 MiB"),
            ("processor time of a change, nobody told", "300 µs"),
            // 0.1 deliveries a change with each session, and a µs with each.
            ("processor time of one delivery", "10 µs"),
            ("processor time of an idle session in a second", "50 µs"),
            // A millisecond, and 9,375 sessions of 50 µs.
            ("processors busy with nothing to tell", "0.47"),
            // Beside that 300 µs and 18.75 deliveries of 10 µs, twenty times a second.
            ("processors busy at 20 changes/s", "0.48"),
            ("processors busy at 200 changes/s", "0.57"),
            ("bytes of an idle session in a second, to it and from it", "50.0 B"),
            ("bytes to and from its sessions with nothing to tell", "0.45 MiB/s"),
            // 0.18 with nothing to tell, and 1.83 of deliveries.
            ("bytes to its sessions at 200 changes/s", "2.01 MiB/s"),
            ("a replica is lost: its sessions are in step at the others after", "0.31 s"),
            ("all replicas start at once: every session is in step after", "24.4 s"),
            ("watches that are open, of all replicas", "96"),
            ("what a replica lists when it starts", "750 MiB"),
            ("statuses written at 20 changes/s, of all replicas", "2.00 1/s"),
            ("statuses written at 200 changes/s, of all replicas", "20 1/s"),
            ("TokenReviews, of all replicas", "52.1 1/s"),
        ] {
            assert_eq!(value(&text, what), expected, "{what}");
        }
        assert!(!text.contains("not measured"), "{text}");
        let ends = |what: &str, range: &str| {
            let row = text.lines().find(|line| line.starts_with(&format!("| {what} |"))).expect("a row");
            assert!(row.contains(&format!("| {range} |")), "{row}");
        };
        ends("a controller without sessions", "20,000 instances");
        ends("processor time of one delivery", "200 deliveries for each of the changes");
        ends("a controller with its sessions", "2,000 sessions, 20,000 instances");
    }

    #[test]
    fn what_was_not_measured_names_the_command_that_does() {
        let mut some = kept();
        some.remove("sessions");
        let text = tables(&some);
        assert_eq!(value(&text, "a controller without sessions"), "190 MiB");
        assert_eq!(
            value(&text, "a controller with its sessions"),
            "not measured yet: `cargo xtask bench sessions`"
        );
        let nothing = tables(&BTreeMap::new());
        for bench in ["scale", "sessions", "index"] {
            assert!(nothing.contains(&format!("`cargo xtask bench {bench}`")), "{nothing}");
        }
        assert_eq!(value(&nothing, "watches that are open, of all replicas"), "96");
    }

    #[test]
    fn all_that_is_taken_for_granted_is_named_and_used() {
        let named: BTreeSet<_> = assumed().into_iter().map(|(name, _)| name).collect();
        let used: BTreeSet<_> = answers(&BTreeMap::new())
            .iter()
            .flat_map(|group| &group.answers)
            .flat_map(|answer| answer.assumes.iter().copied())
            .collect();
        assert_eq!(named, used);
    }
}
