//! Who was told what is not so: a function of what was told and what was.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Absence, Client, History, Instance, Look, Said, Told, Truth, truth::Duty};

/// More examples of what was wrong help nobody.
const EXAMPLES_MAX: usize = 5;
/// A client that loses its step within this of the fault has lost it by the fault: 9 s of silence end each session, whatever
/// else is known, and a second is for the clocks that look.
const REACH_MS: u64 = 10_000;

/// Holds what became of a run.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub clients: Vec<OfClient>,
    pub absences: Vec<OfAbsence>,
}

/// Holds what one client was told.
#[derive(Debug, Clone)]
pub struct OfClient {
    pub client: Client,
    /// No replica reached it for a while.
    pub was_cut_off: bool,
    pub lookups: usize,
    pub failed: usize,
    /// Answers without a pod that was well, and that this client had been told of: false evictions.
    pub missing: usize,
    /// Answers with a pod that was gone for longer than is promised, with an address that is not its own, with a pod that
    /// there never was, or with an identity that was another pod's.
    pub wrong: usize,
    pub longest_age_s: u64,
    /// Answers that no session had confirmed.
    pub from_disk: usize,
    /// The longest time out of step; none where it did not end.
    pub out_of_step_ms: Option<u64>,
    /// When that began, by the clock of the run.
    pub out_of_step_at_ms: Option<u64>,
    /// The longest time without a question.
    pub silence_ms: u64,
    pub slowest_ms: u64,
    /// The first things that were wrong, in words.
    pub examples: Vec<String>,
}

/// Holds how word of an absence came to those who could be told. None: it never was so.
#[derive(Debug, Clone)]
pub struct OfAbsence {
    pub pod: String,
    pub why: String,
    /// From its beginning to the first answer without the pod.
    pub first_without_ms: Option<u64>,
    /// And to the last answer with it.
    pub last_with_ms: Option<u64>,
    /// From its end to the last answer without it.
    pub last_without_ms: Option<u64>,
}

/// What of one client is looked at so far.
struct Witness<'a> {
    truth: &'a Truth,
    known: BTreeSet<&'a str>,
    of: OfClient,
}

/// Judges the histories of a run that lasted so long.
pub fn judge(histories: &[History], truth: &Truth, lasted_ms: u64) -> Verdict {
    let identities = identities(histories);
    let clients = histories.iter().map(|history| of_client(history, truth, &identities, lasted_ms)).collect();
    // What nobody could be told of is not measured either.
    let told = truth.absences.iter().filter(|absence| !absence.told.is_empty());
    let absences = told.map(|absence| of_absence(histories, truth, absence)).collect();
    Verdict { clients, absences }
}

/// Whose each identity is: of those who were called so, the first.
fn identities(histories: &[History]) -> BTreeMap<&str, &str> {
    let mut whose = BTreeMap::new();
    let all = histories.iter().flat_map(History::told).flat_map(|(_, told)| told.instances.iter());
    for instance in all {
        whose.entry(instance.id.as_str()).or_insert(instance.pod.as_str());
    }
    whose
}

fn of_client(history: &History, truth: &Truth, whose: &BTreeMap<&str, &str>, lasted_ms: u64) -> OfClient {
    let (out_of_step_ms, out_of_step_at_ms) = out_of_step(history, truth);
    let of = OfClient {
        client: history.client.clone(),
        was_cut_off: truth.cut_off.contains(&history.client.name),
        lookups: history.looks.len(),
        failed: 0,
        missing: 0,
        wrong: 0,
        longest_age_s: 0,
        from_disk: 0,
        out_of_step_ms,
        out_of_step_at_ms,
        silence_ms: silence_ms(history, lasted_ms),
        slowest_ms: history
            .looks
            .iter()
            .map(|look| look.answered_ms.saturating_sub(look.asked_ms))
            .max()
            .unwrap_or(0),
        examples: Vec::new(),
    };
    let mut witness = Witness { truth, known: BTreeSet::new(), of };
    for look in &history.looks {
        match &look.said {
            Said::Failed(why) => {
                witness.of.failed += 1;
                witness.example(look, &format!("failed: {why}"));
            }
            Said::Told(told) => witness.hear(look, told, whose),
        }
    }
    witness.of
}

// === impl Witness ===

impl<'a> Witness<'a> {
    fn hear(&mut self, look: &Look, told: &'a Told, whose: &BTreeMap<&str, &str>) {
        self.of.longest_age_s = self.of.longest_age_s.max(told.age_s);
        self.of.from_disk += usize::from(!told.is_live);
        let mut wrong: Vec<String> =
            told.instances.iter().filter_map(|one| self.wrong_of(look, one, whose)).collect();
        let mut missing = Vec::new();
        for pod in self.truth.pods.iter().filter(|pod| *pod.service == *look.service) {
            if told.has(&pod.name) {
                self.known.insert(&pod.name);
            } else if self.known.contains(pod.name.as_str()) && self.duty(look, &pod.name) == Duty::Named {
                missing.push(pod.name.as_str());
            }
        }
        if !wrong.is_empty() {
            self.of.wrong += 1;
            self.example(look, &wrong.swap_remove(0));
        }
        if !missing.is_empty() {
            self.of.missing += 1;
            self.example(look, &format!("without {}", missing.join(" and ")));
        }
    }

    /// What is wrong with an instance of an answer.
    fn wrong_of(&self, look: &Look, instance: &Instance, whose: &BTreeMap<&str, &str>) -> Option<String> {
        let Instance { id, pod: name, address } = instance;
        let Some(pod) = self.truth.pods.iter().find(|pod| pod.name == *name && *pod.service == *look.service)
        else {
            return Some(format!("with `{name}` at {address}, which is none of {}", look.service));
        };
        if pod.address != *address {
            return Some(format!("with {name} at {address}, and not at {}", pod.address));
        }
        if whose.get(id.as_str()).is_some_and(|first| first != name) {
            return Some(format!("with {name} by another's identity, {id}"));
        }
        (self.duty(look, name) == Duty::LeftOut).then(|| format!("with {name}, which is gone"))
    }

    fn duty(&self, look: &Look, pod: &str) -> Duty {
        self.truth.duty(&self.of.client.name, pod, look.asked_ms, look.answered_ms)
    }

    fn example(&mut self, look: &Look, what: &str) {
        if self.of.examples.len() < EXAMPLES_MAX {
            self.of.examples.push(format!("{} ms, {}: {what}", look.asked_ms, look.service));
        }
    }
}

/// The longest time between two questions, the beginning and the end of the client included.
fn silence_ms(history: &History, lasted_ms: u64) -> u64 {
    let asked = history.looks.iter().map(|look| look.asked_ms);
    let later = asked.clone().chain([history.until_ms.unwrap_or(lasted_ms)]);
    [history.from_ms]
        .into_iter()
        .chain(asked)
        .zip(later)
        .map(|(one, next)| next.saturating_sub(one))
        .max()
        .unwrap_or(lasted_ms)
}

/// The longest time out of step, from when it could have been known; none where it did not end. And when it began.
fn out_of_step(history: &History, truth: &Truth) -> (Option<u64>, Option<u64>) {
    let cut_off = truth.cut_off.contains(&history.client.name);
    let (mut longest, mut since_ms) = ((0, None), None);
    for (look, told) in history.told() {
        if told.age_s > 0 {
            since_ms.get_or_insert(look.asked_ms);
            continue;
        }
        if let Some(since_ms) = since_ms.take() {
            let from_ms = counted_from_ms(truth, cut_off, since_ms, look.answered_ms);
            longest = longest.max((look.answered_ms.saturating_sub(from_ms), Some(since_ms)));
        }
    }
    match since_ms {
        Some(_) => (None, since_ms),
        None => (Some(longest.0), longest.1),
    }
}

/// From when a time out of step counts.
fn counted_from_ms(truth: &Truth, cut_off: bool, since_ms: u64, until_ms: u64) -> u64 {
    let Some(fault_ms) = truth.fault_ms else { return since_ms };
    // What a session does not hear it cannot know to be lost: the time counts from the loss.
    let by_the_fault = (fault_ms..=fault_ms + REACH_MS).contains(&since_ms);
    match truth.healed_ms {
        // Nobody could have reached it before.
        Some(healed_ms) if cut_off && since_ms <= healed_ms + REACH_MS => {
            healed_ms.clamp(fault_ms, until_ms.max(fault_ms))
        }
        _ if by_the_fault => fault_ms,
        _ => since_ms,
    }
}

fn of_absence(histories: &[History], truth: &Truth, absence: &Absence) -> OfAbsence {
    let Absence { pod, why, from_ms, until_ms, told: can_be_told, .. } = absence;
    let service = truth.pods.iter().find(|known| known.name == *pod).map(|known| known.service.as_str());
    let (mut first_without_ms, mut last_with_ms, mut last_without_ms) = (None, None, None);
    let histories = histories.iter().filter(|history| can_be_told.contains(&history.client.name));
    for (look, told) in histories.flat_map(History::told).filter(|(look, _)| service == Some(&*look.service))
    {
        let Some(after_ms) = look.asked_ms.checked_sub(*from_ms) else { continue };
        let before = until_ms.is_none_or(|until_ms| look.answered_ms < until_ms);
        match until_ms.and_then(|until_ms| look.asked_ms.checked_sub(until_ms)) {
            None if before && told.has(pod) => last_with_ms = last_with_ms.max(Some(after_ms)),
            None if before => {
                let after_ms = look.answered_ms.saturating_sub(*from_ms);
                first_without_ms = Some(first_without_ms.map_or(after_ms, |first: u64| first.min(after_ms)));
            }
            Some(after_ms) if !told.has(pod) => last_without_ms = last_without_ms.max(Some(after_ms)),
            None | Some(_) => {}
        }
    }
    OfAbsence { pod: pod.clone(), why: why.clone(), first_without_ms, last_with_ms, last_without_ms }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
