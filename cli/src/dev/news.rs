//! What has changed, in lines for people.

use std::{collections::BTreeMap, net::SocketAddr};

use rollcall_catalogue::{Instance, InstanceId, ServiceKey, Snapshot};
use rollcall_controller::embedded::{FileState, Shelf};

use crate::print::plain;

/// Lines on one change of the catalogue: more at once nobody reads.
const LINES_MAX: usize = 20;

/// What is new in the folder.
pub(super) fn of_files(before: &Shelf, after: &Shelf) -> Vec<String> {
    let none = FileState::default();
    let mut lines = Vec::new();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        lines.push(format!("- {}: gone", plain(name)));
    }
    for (name, state) in after {
        let (is_new, held) = (!before.contains_key(name), before.get(name).unwrap_or(&none));
        let name = plain(name);
        let services: Vec<_> = state.services.iter().map(String::as_str).collect();
        let recovers = !held.problems.is_empty() && state.problems.is_empty();
        if !services.is_empty() && (is_new || recovers || held.services != state.services) {
            lines.push(format!("+ {name}: {}", services.join(", ")));
        } else if recovers {
            lines.push(format!("+ {name}: registers nothing"));
        }
        let problems = state.problems.iter().filter(|problem| !held.problems.contains(problem));
        lines.extend(
            problems.map(|problem| format!("! {name}:{}: {}", problem.line, plain(&problem.sentence))),
        );
        let remarks = state.remarks.iter().filter(|remark| !held.remarks.contains(remark));
        lines.extend(remarks.map(|remark| format!("  {name}:{}: {}", remark.line, plain(&remark.sentence))));
    }
    lines
}

/// What is new in the catalogue.
pub(super) fn of_catalogue(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let (held, now) = (instances(before), instances(after));
    let gone = held.iter().filter(|(id, _)| !now.contains_key(*id));
    let mut lines: Vec<_> = gone.map(|(_, (place, _))| format!("- {place}: gone")).collect();
    for (_, (place, says)) in now.iter().filter(|(id, says)| held.get(*id) != Some(*says)) {
        lines.push(format!("~ {place}: {says}"));
    }
    let more = lines.len().saturating_sub(LINES_MAX);
    if more > 0 {
        lines.truncate(LINES_MAX);
        lines.push(format!("  and {more} more"));
    }
    lines
}

/// Where and what each instance is: two may be at one place, by a manifest and by an app.
fn instances(catalogue: &Snapshot) -> BTreeMap<(&ServiceKey, &InstanceId), (String, String)> {
    let says = |key: &ServiceKey, instance: &Instance| {
        let version =
            instance.profile.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        let place = SocketAddr::new(instance.address(), instance.profile.port);
        (format!("{key} {place}{version}"), format!("{} ({})", instance.state, instance.reason))
    };
    let all = catalogue.iter().flat_map(|(key, service)| service.instances.iter().map(move |one| (key, one)));
    all.map(|(key, instance)| ((key, &instance.id), says(key, instance))).collect()
}

#[cfg(test)]
mod tests {
    use rollcall_crds::Problem;

    use super::*;

    fn state(services: &[&str], problems: &[(usize, &str)], remarks: &[(usize, &str)]) -> FileState {
        let of = |all: &[(usize, &str)]| {
            all.iter()
                .map(|(line, sentence)| Problem { line: *line, sentence: (*sentence).to_owned() })
                .collect()
        };
        FileState {
            services: services.iter().map(|service| (*service).to_owned()).collect(),
            problems: of(problems),
            remarks: of(remarks),
        }
    }

    fn shelf<const N: usize>(files: [(&str, FileState); N]) -> Shelf {
        files.map(|(name, state)| (name.to_owned(), state)).into()
    }

    #[test]
    fn only_what_is_new_is_said() {
        let none = Shelf::new();
        let good = shelf([("a.yaml", state(&["orders.default"], &[], &[(3, "means nothing")]))]);
        let bad = shelf([("a.yaml", state(&["orders.default"], &[(5, "spec.version: no")], &[]))]);
        let empty = shelf([("a.yaml", state(&[], &[], &[]))]);
        let table: [(&Shelf, &Shelf, &[&str]); 7] = [
            (&none, &good, &["+ a.yaml: orders.default", "  a.yaml:3: means nothing"]),
            (&good, &good, &[]),
            (&good, &bad, &["! a.yaml:5: spec.version: no"]),
            (&bad, &bad, &[]),
            (&bad, &good, &["+ a.yaml: orders.default", "  a.yaml:3: means nothing"]),
            (&bad, &empty, &["+ a.yaml: registers nothing"]),
            (&good, &none, &["- a.yaml: gone"]),
        ];
        for (before, after, lines) in table {
            assert_eq!(of_files(before, after), lines);
        }
    }

    #[test]
    fn a_file_steers_no_terminal() {
        let strange = shelf([("a\u{1b}[2J.yaml", state(&[], &[(1, "\u{1b}]0;x")], &[]))]);
        let lines = of_files(&Shelf::new(), &strange);
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')), "{lines:?}");
    }
}
