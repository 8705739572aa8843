//! The sidecar's measurements, written by hand: there are seven of them, and a library for them would be larger than what it
//! measures. docs/metrics.md lists them for people; a test holds the two together.

use std::fmt::{Display, Write as _};

use rollcall_wire::Reports;

use crate::{
    dns::{Counts, Outcome},
    store::{Believed, Contact, Dialect, Store},
};

/// The older of the two texts that Prometheus reads; who asks for the newer one takes this as well.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Why authorities that a controller tells are not believed, as [`crate::store::Believed::refused`] counts them.
const REFUSED: [&str; 3] = ["too-large", "unreadable", "stranger"];

/// What a session can be like. `in-step`: all that was asked for is current. `catching-up`: it is open, and something
/// awaits its answer, the controller is silent, or its replica is behind. `lost`, `never`: there is none now, or was none yet.
const STATES: [&str; 4] = ["never", "catching-up", "in-step", "lost"];

/// All of them as they are now. Nothing of the catalogue's contents is among them: anyone in the cluster can read this.
pub(crate) fn render(store: &Store, dns: &Counts) -> String {
    let mut text = String::new();
    let says = "Seconds since all that is held was last known to be current; 0 in step.";
    family(&mut text, "rollcall_age_seconds", "gauge", says, None, [("", store.age())]);
    let lookups = Dialect::ALL.map(|dialect| (dialect.as_str(), store.lookups(dialect)));
    family(&mut text, "rollcall_lookups_total", "counter", "Lookups answered.", Some("api"), lookups);
    let Reports { success, failure, latency_ms } = store.reports();
    let outcomes = [("success", success), ("failure", failure)];
    let says = "Reports of the app on its calls.";
    family(&mut text, "rollcall_reports_total", "counter", says, Some("outcome"), outcomes);
    let says = "What the calls took that were reported on, together.";
    let seconds = [("", latency_ms as f64 / 1e3)];
    family(&mut text, "rollcall_reported_seconds_total", "counter", says, None, seconds);
    let queries = Outcome::ALL.map(|outcome| (outcome.as_str(), dns.total(outcome)));
    let says = "DNS queries, by what came of them.";
    family(&mut text, "rollcall_dns_queries_total", "counter", says, Some("result"), queries);
    let subscriptions = [("", store.names().len())];
    family(&mut text, "rollcall_subscriptions", "gauge", "Names subscribed to.", None, subscriptions);
    let now = state(store);
    let states = STATES.map(|state| (state, u8::from(state == now)));
    let says = "1 for what the session to the controller is like now.";
    family(&mut text, "rollcall_session_state", "gauge", says, Some("state"), states);
    let Believed { authorities, refused } = store.around().believed.clone();
    let says = "1 for each authority that is believed.";
    let authorities = authorities.into_iter().map(|authority| (authority, 1));
    family(&mut text, "rollcall_authority", "gauge", says, Some("sha256"), authorities);
    let says = "Authorities told by a controller and not believed.";
    let refused = REFUSED.into_iter().zip(refused);
    family(&mut text, "rollcall_authorities_refused_total", "counter", says, Some("reason"), refused);
    text
}

fn state(store: &Store) -> &'static str {
    match store.contact() {
        Contact::Never => "never",
        Contact::Live { .. } if store.in_step() => "in-step",
        Contact::Live { .. } => "catching-up",
        Contact::Lost => "lost",
    }
}

fn family<T: Display>(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    label: Option<&str>,
    samples: impl IntoIterator<Item = (impl Display, T)>,
) {
    // A String takes all that is written to it.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (value, sample) in samples {
        let _ = match label {
            Some(label) => writeln!(text, "{name}{{{label}=\"{value}\"}} {sample}"),
            None => writeln!(text, "{name} {sample}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::store;

    const PAGE: &str = include_str!("../../docs/metrics.md");

    /// A metric as Prometheus sees it: its name, its type, its label, and the values of that.
    type Family = (String, String, String, BTreeSet<String>);

    fn on_the_page() -> BTreeSet<Family> {
        let (_, ours) = PAGE.split_once("# The sidecar's metrics").unwrap();
        let rows = ours.lines().filter(|line| line.starts_with("| `rollcall_"));
        let family = |row: &str| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let (label, values) = cells[3].split_once(": ").unwrap_or_default();
            let values = values.split(", ").filter(|value| !value.is_empty()).map(str::to_owned).collect();
            let bare = |cell: &str| cell.trim_matches('`').to_owned();
            (bare(cells[1]), cells[2].to_owned(), bare(label), values)
        };
        rows.map(family).collect()
    }

    fn in_the_text(text: &str) -> BTreeSet<Family> {
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let family = |(name, kind): (&str, &str)| {
            let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
            let labels: Vec<_> = samples.filter_map(|rest| rest.split_once("=\"")).collect();
            let label = labels.first().map(|(label, _)| (*label).to_owned()).unwrap_or_default();
            let values = labels.iter().filter_map(|(_, rest)| rest.split_once('"'));
            let values = values.map(|(value, _)| value.to_owned()).collect();
            (name.to_owned(), kind.to_owned(), label, values)
        };
        types.map(family).collect()
    }

    #[test]
    fn the_page_and_the_text_are_one() {
        let ((_writer, store), dns) = (store(), Counts::default());
        let text = render(&store, &dns);
        assert_eq!(on_the_page(), in_the_text(&text), "{text}");
    }

    #[tokio::test]
    async fn they_follow_what_happens() {
        let ((writer, store), dns) = (store(), Counts::default());
        let has = |sample: &str| {
            let text = render(&store, &dns);
            assert!(text.lines().any(|line| line == sample), "{sample} in {text}");
        };
        has("rollcall_session_state{state=\"never\"} 1");
        writer.add(["orders.shop".parse().unwrap()]);
        let slot = store.names().find("orders.shop").cloned().unwrap();
        store.looked_up(&slot, Dialect::Classic);
        store.looked_up(&slot, Dialect::Classic);
        store.looked_up(&slot, Dialect::Dns);
        store.reported(&slot, rollcall_catalogue::balance::Outcome::Failure, 1_500);
        dns.count(Outcome::NxDomain);
        writer.set_contact(Contact::Live { caught_up: false, synced: false });
        has("rollcall_subscriptions 1");
        has("rollcall_lookups_total{api=\"native\"} 0");
        has("rollcall_lookups_total{api=\"classic\"} 2");
        has("rollcall_lookups_total{api=\"dns\"} 1");
        has("rollcall_reports_total{outcome=\"success\"} 0");
        has("rollcall_reports_total{outcome=\"failure\"} 1");
        has("rollcall_reported_seconds_total 1.5");
        has("rollcall_dns_queries_total{result=\"NXDOMAIN\"} 1");
        has("rollcall_dns_queries_total{result=\"NOERROR\"} 0");
        has("rollcall_session_state{state=\"catching-up\"} 1");
        writer.current();
        writer.set_contact(Contact::Live { caught_up: true, synced: true });
        has("rollcall_age_seconds 0");
        has("rollcall_session_state{state=\"in-step\"} 1");
        writer.set_contact(Contact::Lost);
        has("rollcall_age_seconds 1");
        has("rollcall_session_state{state=\"lost\"} 1");
        has("rollcall_session_state{state=\"in-step\"} 0");
        writer.change_around(|around| {
            around.believed = Believed { authorities: vec!["0a1b".to_owned()], refused: [0, 1, 2] };
        });
        has("rollcall_authority{sha256=\"0a1b\"} 1");
        has("rollcall_authorities_refused_total{reason=\"too-large\"} 0");
        has("rollcall_authorities_refused_total{reason=\"stranger\"} 2");
        assert!(!render(&store, &dns).contains("orders"), "nothing of the catalogue");
    }
}
