//! Whether the controllers know what there is, and all the same; and what of it needs a person.

use std::collections::BTreeSet;

use super::unseen;
use crate::{
    check::{
        facts::{Asked, Catalogue, Dump, Facts, Many, Metrics, Replied, Silence},
        finding::{Finding, Topic},
    },
    print::{counted, first_of},
};

/// A call of a watch lasts 50 s at most (docs/metrics.md).
const WATCH_AGE_MAX_S: f64 = 120.0;
const NAMED_MAX: usize = 5;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    // Who may not see the controllers knows nothing of their answers.
    let right = format!("list pods in {}", facts.system);
    let not_asked = unseen(Topic::Answers, "the controllers", &right, &facts.installation.replicas);
    let facts = &facts.catalogue;
    let mut findings = vec![not_asked.unwrap_or_else(|| answers(&facts.told))];
    findings.extend(in_step(&facts.told));
    let metrics: Vec<_> =
        facts.told.iter().filter_map(|one| Some((one.pod.as_str(), one.metrics.as_ref().ok()?))).collect();
    if !metrics.is_empty() {
        findings.push(freeze(&metrics));
        findings.push(watches(&metrics));
    }
    findings.extend(without_sidecar(facts));
    findings.push(registrations(facts));
    findings.extend(failing(facts));
    findings
}

fn answers(told: &[Replied]) -> Finding {
    let topic = Topic::Answers;
    let silent: Vec<_> = told
        .iter()
        .filter_map(|one| match &one.dump {
            Err(Silence::Other(why)) => Some(format!("{} ({why})", one.pod)),
            Err(Silence::Forbidden) | Ok(_) => None,
        })
        .collect();
    if told.iter().any(|one| one.dump == Err(Silence::Forbidden)) {
        return Finding::skipped(
            topic,
            "the controllers were not asked",
            "you need pods/portforward in the controller's namespace",
        );
    }
    match (told.len(), silent.len()) {
        (0, _) => {
            Finding::fail(topic, "there is no controller to be asked", "see the findings on the installation")
        }
        (_, 0) => Finding::ok(
            topic,
            format!(
                "{} the catalogue",
                if told.len() == 1 { "the controller tells" } else { "all controllers tell" }
            ),
        ),
        (all, silent_now) if all == silent_now => Finding::fail(
            topic,
            format!("no controller tells the catalogue: {}", first_of(&silent, NAMED_MAX)),
            "the controllers' logs say what they wait for; `kubectl describe pods` why they do not run",
        ),
        _ => Finding::warn(
            topic,
            format!("some controllers do not tell the catalogue: {}", first_of(&silent, NAMED_MAX)),
            "one that has just begun is given a moment; the log of any other says what it waits for",
        ),
    }
}

fn in_step(told: &[Replied]) -> Option<Finding> {
    let topic = Topic::InStep;
    let dumps: Vec<_> = told.iter().filter_map(|one| one.dump.as_ref().ok()).collect();
    let (first, rest) = dumps.split_first()?;
    let differ: BTreeSet<&str> = rest.iter().flat_map(|other| differing(first, other)).collect();
    if differ.is_empty() {
        return Some(Finding::ok(
            topic,
            format!("they hold the same {}", counted(first.instances(), "instance")),
        ));
    }
    let lines: Vec<_> = differ.iter().map(|line| short(line)).collect();
    Some(Finding::warn(
        topic,
        format!("the controllers do not hold the same: {}", first_of(&lines, 2)),
        "run it again; where it stays, restart the controllers one by one and tell us (docs/read-api.md, the dump)",
    ))
}

/// The lines that only one of the two has.
fn differing<'a>(one: &'a Dump, other: &'a Dump) -> impl Iterator<Item = &'a str> {
    let [ours, theirs] = [one, other].map(|dump| dump.0.iter().map(String::as_str).collect::<BTreeSet<_>>());
    ours.symmetric_difference(&theirs).copied().collect::<Vec<_>>().into_iter()
}

impl Dump {
    fn instances(&self) -> usize {
        self.0.iter().filter(|line| line.contains("\"state\":")).count()
    }
}

/// The beginning of a line, which names the service and the instance.
fn short(line: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    line.trim().chars().take(CHARACTERS_MAX).collect()
}

fn freeze(metrics: &[(&str, &Metrics)]) -> Finding {
    let frozen: Vec<_> = metrics.iter().filter(|(_, one)| one.frozen).map(|(pod, _)| *pod).collect();
    if frozen.is_empty() {
        return Finding::ok(Topic::Freeze, "the mass-loss guard is at rest");
    }
    Finding::warn(
        Topic::Freeze,
        format!(
            "the mass-loss guard holds at {}: nobody is taken out for a lost session",
            first_of(&frozen, NAMED_MAX)
        ),
        "the Event MassLossGuard on the Lease rollcall-controller says why; look at the network, the nodes and the API server",
    )
}

fn watches(metrics: &[(&str, &Metrics)]) -> Finding {
    let stale: Vec<_> = metrics
        .iter()
        .filter_map(|(pod, one)| {
            let (kind, age_s) = one.oldest_watch.as_ref().filter(|(_, age_s)| *age_s > WATCH_AGE_MAX_S)?;
            Some(format!("{kind} at {pod} ({age_s:.0} s)"))
        })
        .collect();
    let missing = metrics.iter().map(|(_, one)| one.places_missing).fold(0.0, f64::max);
    if !stale.is_empty() {
        return Finding::fail(
            Topic::Watches,
            format!("the controllers do not hear the API server: {}", first_of(&stale, NAMED_MAX)),
            "look at the way from the controllers to the API server; their logs say what they get",
        );
    }
    if missing > 0.0 {
        return Finding::warn(
            Topic::Watches,
            format!("if a controller were lost, {missing:.0} sidecars would find no place"),
            "run more replicas: `--set replicas=3` of the chart",
        );
    }
    Finding::ok(Topic::Watches, "all watches are alive")
}

fn without_sidecar(facts: &Catalogue) -> Option<Finding> {
    let topic = Topic::WithoutSidecar;
    let Many { pods, total } = match &facts.without_sidecar {
        Asked::Told(told) => told,
        Asked::NotKnown | Asked::Unanswered(_) => return None,
    };
    let missed: Vec<_> = pods
        .iter()
        .filter(|one| one.reason == "missed")
        .map(|one| format!("{}/{}", one.namespace, one.pod))
        .collect();
    if !missed.is_empty() {
        return Some(Finding::warn(
            topic,
            format!("pods that asked for a sidecar and have none: {}", first_of(&missed, NAMED_MAX)),
            "delete them, so that they are made anew; of a Deployment `kubectl rollout restart`",
        ));
    }
    let says = match total {
        0 => "all pods that asked for a sidecar have one".to_owned(),
        exempt => {
            format!("{} asked for a sidecar and can have none; all others have one", counted(*exempt, "pod"))
        }
    };
    Some(Finding::ok(topic, says))
}

fn registrations(facts: &Catalogue) -> Finding {
    let topic = Topic::Registrations;
    let Some(refused) = facts.registrations.here() else {
        let right = "list serviceregistrations";
        return unseen(topic, "the registrations", right, &facts.registrations)
            .unwrap_or_else(|| Finding::ok(topic, "there are none"));
    };
    if refused.items.is_empty() {
        return Finding::ok(topic, "no registration is refused");
    }
    let named: Vec<_> =
        refused.items.iter().map(|one| format!("{}/{} ({})", one.namespace, one.name, one.message)).collect();
    Finding::warn(
        topic,
        format!("{} refused: {}", is_or_are(named.len()), first_of(&named, 3)),
        "`kubectl -n NAMESPACE describe sreg NAME` says which field and what to do",
    )
}

fn is_or_are(number: usize) -> String {
    if number == 1 { "1 registration is".to_owned() } else { format!("{number} registrations are") }
}

/// Of the apps that fail, those whom nobody will restart.
fn failing(facts: &Catalogue) -> Option<Finding> {
    let topic = Topic::Failing;
    let Asked::Told(Many { pods, total }) = &facts.failing else { return None };
    let alone: Vec<_> = pods
        .iter()
        .filter(|one| !one.liveness_probe)
        .map(|one| format!("{}/{}", one.namespace, one.pod))
        .collect();
    Some(match (total, alone.is_empty()) {
        (0, _) => Finding::ok(topic, "no app fails"),
        (_, true) => {
            Finding::ok(topic, format!("{} failing, and Kubernetes restarts them", counted(*total, "app")))
        }
        (_, false) => Finding::warn(
            topic,
            format!("apps that fail and that nobody restarts: {}", first_of(&alone, NAMED_MAX)),
            "give them a livenessProbe; `rollcall explain pod/NAME` says why each fails",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::{
            facts::{FailingApp, Lacking, Refused},
            finding::Level,
            judge::sample,
        },
        reach::{Listed, Seen},
    };

    fn found(change: impl FnOnce(&mut Catalogue)) -> Vec<(Topic, Level)> {
        let mut facts = sample::facts();
        change(&mut facts.catalogue);
        findings(&facts).iter().map(|one| (one.topic, one.level)).collect()
    }

    fn metrics(facts: &mut Catalogue) -> &mut Metrics {
        facts.told[0].metrics.as_mut().unwrap()
    }

    #[test]
    fn a_catalogue_that_is_well_has_nothing_to_say() {
        assert!(found(|_| {}).iter().all(|(_, level)| *level == Level::Ok));
    }

    #[test]
    fn what_is_wrong_with_the_catalogue_is_told() {
        type Change = fn(&mut Catalogue);
        let table: [(Change, Topic, Level); 14] = [
            (|facts| facts.told.clear(), Topic::Answers, Level::Fail),
            (|facts| facts.told[0].dump = Err(Silence::Forbidden), Topic::Answers, Level::Skipped),
            (|facts| facts.told[0].dump = Err(Silence::Other("late".into())), Topic::Answers, Level::Warn),
            (
                |facts| facts.told.iter_mut().for_each(|one| one.dump = Err(Silence::Other("x".into()))),
                Topic::Answers,
                Level::Fail,
            ),
            (|facts| facts.told[1].dump = Ok(Dump(vec!["other".into()])), Topic::InStep, Level::Warn),
            (|facts| metrics(facts).frozen = true, Topic::Freeze, Level::Warn),
            (|facts| metrics(facts).oldest_watch = Some(("Pod".into(), 121.0)), Topic::Watches, Level::Fail),
            (|facts| metrics(facts).oldest_watch = Some(("Pod".into(), 119.0)), Topic::Watches, Level::Ok),
            (|facts| metrics(facts).places_missing = 3.0, Topic::Watches, Level::Warn),
            (|facts| facts.without_sidecar = lacking("missed"), Topic::WithoutSidecar, Level::Warn),
            (|facts| facts.without_sidecar = lacking("exempt"), Topic::WithoutSidecar, Level::Ok),
            (|facts| facts.registrations = refused(), Topic::Registrations, Level::Warn),
            (|facts| facts.failing = failing(false), Topic::Failing, Level::Warn),
            (|facts| facts.failing = failing(true), Topic::Failing, Level::Ok),
        ];
        for (change, topic, level) in table {
            let found = found(change);
            assert!(found.contains(&(topic, level)), "{topic:?}: {found:?}");
        }
    }

    #[test]
    fn what_an_older_controller_does_not_tell_is_passed_over() {
        let found = found(|facts| {
            (facts.failing, facts.without_sidecar) = (Asked::NotKnown, Asked::NotKnown);
        });
        let topics: Vec<_> = found.iter().map(|(topic, _)| *topic).collect();
        assert!(!topics.contains(&Topic::Failing) && !topics.contains(&Topic::WithoutSidecar), "{topics:?}");
    }

    fn lacking(reason: &str) -> Asked<Many<Lacking>> {
        let pod = Lacking { namespace: "shop".into(), pod: "web-1".into(), reason: reason.to_owned() };
        Asked::Told(Many { pods: vec![pod], total: 1 })
    }

    fn failing(liveness_probe: bool) -> Asked<Many<FailingApp>> {
        let pod = FailingApp { namespace: "shop".into(), pod: "web-1".into(), liveness_probe };
        Asked::Told(Many { pods: vec![pod], total: 1 })
    }

    fn refused() -> Seen<Listed<Refused>> {
        let one = Refused { namespace: "shop".into(), name: "a".into(), message: "two targets".into() };
        Seen::Here(Listed { items: vec![one], truncated: false })
    }
}
