use std::collections::BTreeSet;

use rollcall_catalogue::{Instance, Reason};
use tokio::time::advance;

use super::*;
use crate::operate::api::fixtures::{instance, whole};

const PAGE: &str = include_str!("../../../docs/metrics.md");

/// A metric as Prometheus sees it: its name, its type, its label, and the values of that.
type Family = (String, String, Option<String>, BTreeSet<String>);

fn on_the_page() -> BTreeSet<Family> {
    let (ours, _) = PAGE.split_once("# The sidecar's metrics").unwrap();
    let rows = ours.lines().filter(|line| line.starts_with("| `rollcall_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, r#type, labels, _, _] = cells.as_slice() else { panic!("{row}") };
        let (label, values) = match labels.split_once(": ") {
            Some((label, values)) => {
                (Some(label.trim_matches('`').to_owned()), values.split(", ").map(str::to_owned).collect())
            }
            None => (None, BTreeSet::new()),
        };
        (name.trim_matches('`').to_owned(), (*r#type).to_owned(), label, values)
    })
    .collect()
}

/// Read from the older text, which a scraper reads as well.
fn in_the_text(text: &str) -> BTreeSet<Family> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .map(|(name, r#type)| {
            let labelled =
                text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once('='));
            let labelled: Vec<_> = labelled.collect();
            let label = labelled.first().map(|(label, _)| (*label).to_owned());
            let values = labelled.iter().filter_map(|(_, rest)| rest.strip_prefix('"')?.split_once('"'));
            (name.to_owned(), r#type.to_owned(), label, values.map(|(value, _)| value.to_owned()).collect())
        })
        .collect()
}

/// The value of this sample.
fn sample(metrics: &Metrics, name: &str) -> f64 {
    let text = metrics.render(&View::default(), Format::OpenMetrics);
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn the_page_and_the_registry_are_one() {
    let text = Metrics::new().render(&View::default(), Format::Text);
    assert_eq!(on_the_page(), in_the_text(&text), "{text}");
    for line in text.lines().filter(|line| line.starts_with("# HELP ")) {
        assert!(line.ends_with('.') && !line.ends_with(".."), "{line}");
    }
}

#[test]
fn what_is_counted_is_shown() {
    let metrics = Metrics::new();
    let clone = metrics.clone();
    clone.frozen(true);
    clone.sessions(3);
    clone.registrations(4);
    clone.consumers(5);
    clone.apps_failing(6);
    clone.without_sidecar(WithoutSidecar { exempt: 1, missed: 2 });
    clone.propagated(0.004);
    clone.propagated(-1.5);
    clone.turned(Duration::from_micros(30));
    clone.writes().count(WriteKind::TokenReview);
    clone.resynced(Resync::Digest);
    clone.session_ended(Ending::Slow);
    clone.reviewed(Outcome::Left);
    clone.drift().compared(Kind::Slice, 5);
    clone.drift().doubted(Kind::Pod);
    let failing = Instance { state: State::Failing, reason: Reason::ProbeRefused, ..instance(1) };
    let before = Snapshot::default().next([whole("orders", vec![instance(1)])], 1).unwrap().snapshot;
    clone.stepped(&before, &before.next([whole("orders", vec![failing])], 2).unwrap().deltas);
    let table = [
        ("rollcall_freeze", 1.0),
        ("rollcall_sessions", 3.0),
        ("rollcall_registrations", 4.0),
        ("rollcall_consumers", 5.0),
        ("rollcall_apps_failing", 6.0),
        ("rollcall_pods_without_sidecar{reason=\"exempt\"}", 1.0),
        ("rollcall_pods_without_sidecar{reason=\"missed\"}", 2.0),
        ("rollcall_propagation_seconds_count", 2.0),
        ("rollcall_propagation_seconds_bucket{le=\"0.001\"}", 1.0),
        ("rollcall_propagation_seconds_bucket{le=\"0.002\"}", 1.0),
        ("rollcall_propagation_seconds_bucket{le=\"0.005\"}", 2.0),
        ("rollcall_propagation_seconds_sum", 0.004),
        ("rollcall_index_turn_seconds_bucket{le=\"0.00005\"}", 1.0),
        ("rollcall_api_writes_total{kind=\"token-review\"}", 1.0),
        ("rollcall_api_writes_total{kind=\"lease\"}", 0.0),
        ("rollcall_stream_resyncs_total{reason=\"digest\"}", 1.0),
        ("rollcall_sessions_ended_total{reason=\"slow\"}", 1.0),
        ("rollcall_sessions_ended_total{reason=\"no-hello\"}", 0.0),
        ("rollcall_relist_drift_total{kind=\"EndpointSlice\"}", 5.0),
        ("rollcall_relist_doubts_total{kind=\"Pod\"}", 1.0),
        ("rollcall_relist_doubts_total{kind=\"Node\"}", 0.0),
        ("rollcall_injections_total{result=\"left\"}", 1.0),
        ("rollcall_injections_total{result=\"failed\"}", 0.0),
        ("rollcall_evictions_total{reason=\"ProbeRefused\"}", 1.0),
        ("rollcall_evictions_total{reason=\"Terminating\"}", 0.0),
    ];
    for (name, value) in table {
        assert!((sample(&metrics, name) - value).abs() < 1e-9, "{name}");
    }
    metrics.frozen(false);
    assert!(sample(&metrics, "rollcall_freeze").abs() < 1e-9);
}

#[test]
fn the_catalogue_is_counted_as_it_is_now() {
    let metrics = Metrics::new();
    let failing = Instance { state: State::Failing, reason: Reason::ProbeRefused, ..instance(2) };
    let updates = [whole("orders", vec![instance(1), failing]), whole("billing", vec![instance(1)])];
    let full = View { catalogue: Snapshot::default().next(updates, 1).unwrap().snapshot, ..View::default() };
    let text = metrics.render(&full, Format::OpenMetrics);
    for line in [
        "rollcall_services 2",
        "rollcall_instances{state=\"Serving\"} 2",
        "rollcall_instances{state=\"Failing\"} 1",
        "rollcall_instances{state=\"Draining\"} 0",
    ] {
        assert!(text.lines().any(|held| held == line), "{line}: {text}");
    }
    assert!(sample(&metrics, "rollcall_services").abs() < 1e-9, "of an empty view");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_says_nothing_grows_old() {
    let metrics = Metrics::new();
    let age =
        |kind: Kind| sample(&metrics, &format!("rollcall_watch_age_seconds{{kind=\"{}\"}}", kind.as_str()));
    advance(Duration::from_secs(90)).await;
    metrics.watch_ages().proven(Kind::Pod);
    advance(Duration::from_millis(1_500)).await;
    assert!((age(Kind::Pod) - 1.5).abs() < 0.002, "{}", age(Kind::Pod));
    assert!((age(Kind::Node) - 91.5).abs() < 0.002, "never heard: {}", age(Kind::Node));
}

#[test]
fn each_scraper_gets_what_it_reads() {
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
    for other in [None, Some("*/*"), Some("text/plain;version=0.0.4"), Some("")] {
        assert_eq!(Format::accepted(other), Format::Text, "{other:?}");
    }
    let metrics = Metrics::new();
    let open = metrics.render(&View::default(), Format::OpenMetrics);
    assert!(open.ends_with("# EOF\n") && open.contains("\n# TYPE rollcall_evictions counter\n"), "{open}");
    let text = metrics.render(&View::default(), Format::Text);
    assert!(!text.contains("# EOF"), "{text}");
    for line in ["# TYPE rollcall_evictions_total counter", "# TYPE rollcall_propagation_seconds histogram"] {
        assert!(text.lines().any(|held| held == line), "{line}: {text}");
    }
    let samples = |text: &str| {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    // The ages go on between the two.
    let still =
        |text: &str| samples(text).into_iter().filter(|line| !line.contains("_age_")).collect::<Vec<_>>();
    assert_eq!(still(&open), still(&text));
    assert_eq!(samples(&open).len(), samples(&text).len());
}
