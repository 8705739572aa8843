//! The promises, each a function that says how it was broken.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Answer, History, Life, Reader, Run};
use crate::Millis;

/// Lines that are told of a promise: a system that is broken breaks it a thousand times.
const TOLD_MAX: usize = 12;

/// A reader looks up a few times a second: what is true at one moment is seen at the next lookup.
const LOOK_MS: Millis = 300;

/// What is held is on the disk so much later, at the latest.
const DISK_MS: Millis = 10_000;

/// Everything that was broken; the first times of each promise.
pub fn broken(history: &History) -> Vec<String> {
    type Promise = fn(&History) -> Vec<String>;
    let promises: [Promise; 6] = [
        nobody_well_is_taken_out,
        who_is_to_leave_leaves_in_time,
        nobody_who_is_gone_comes_back,
        addresses_are_of_those_who_have_them,
        revisions_grow_and_stand_for_one_content,
        a_lost_replica_is_replaced_in_time,
    ];
    promises.iter().flat_map(|promise| promise(history).into_iter().take(TOLD_MAX)).collect()
}

/// The runs of each reader about each service, in their order.
fn by_reader(history: &History) -> BTreeMap<(&Reader, &Arc<str>), Vec<&Run>> {
    let mut found: BTreeMap<_, Vec<&Run>> = BTreeMap::new();
    for run in &history.runs {
        found.entry((&run.reader, &run.service)).or_default().push(run);
    }
    found.values_mut().for_each(|runs| runs.sort_by_key(|run| run.from_ms));
    found
}

fn lives_of<'a>(history: &'a History, service: &'a str) -> impl Iterator<Item = &'a Life> {
    history.lives.iter().filter(move |life| &*life.service == service)
}

/// Who was told of a pod is told of it each time while it is well.
pub fn nobody_well_is_taken_out(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    for ((reader, service), runs) in by_reader(history) {
        for life in lives_of(history, service) {
            for (from_ms, until_ms) in &life.well {
                let until_ms = until_ms.unwrap_or(Millis::MAX);
                let while_well = runs.iter().filter(|run| run.until_ms >= *from_ms && run.from_ms < until_ms);
                let mut knew = false;
                for run in while_well {
                    let shows = run.answer.shows(&life.pod);
                    // A process that is killed takes with it what was not on its disk yet.
                    let too_new = run.answer.is_from_disk() && run.from_ms.saturating_sub(*from_ms) < DISK_MS;
                    if knew && !shows && !too_new {
                        let (at_ms, pod) = (run.from_ms, &life.pod);
                        broken.push(format!("{at_ms} ms: {reader} is not told of {pod} of {service} any more, which is well since {from_ms} ms: {:?}", run.answer));
                    }
                    // An answer of before it was well says nothing; one that goes on into that does.
                    knew = shows;
                }
            }
        }
    }
    broken
}

/// Who is to leave the lookups is in none after its time, unless something explains that.
pub fn who_is_to_leave_leaves_in_time(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    for ((reader, service), runs) in by_reader(history) {
        for life in lives_of(history, service) {
            for leave in &life.leaves {
                let until_ms = leave.until_ms.unwrap_or(Millis::MAX);
                let due_ms = excused(history, reader, leave.at_ms, leave.at_ms + leave.within_ms);
                let late = runs.iter().find(|run| {
                    run.answer.shows(&life.pod)
                        && run.until_ms > due_ms
                        && run.from_ms.max(due_ms + 1) < until_ms
                });
                if let Some(run) = late {
                    let (pod, at_ms) = (&life.pod, leave.at_ms);
                    let last_ms = run.until_ms.min(until_ms);
                    broken.push(format!("{last_ms} ms: {reader} is still told of {pod} of {service}, which was to leave at {at_ms} ms, and to be out by {due_ms} ms"));
                }
            }
        }
    }
    broken
}

/// When what happened then is to be seen, with what was in the way.
fn excused(history: &History, reader: &Reader, at_ms: Millis, due_ms: Millis) -> Millis {
    let within_ms = due_ms - at_ms;
    let mut due_ms = due_ms;
    loop {
        let later = history
            .troubles
            .iter()
            .filter(|trouble| trouble.readers.as_ref().is_none_or(|readers| readers.contains(reader)))
            .filter(|trouble| trouble.from_ms <= due_ms && trouble.until_ms >= at_ms)
            .map(|trouble| trouble.until_ms + within_ms)
            .max();
        match later {
            Some(later) if later > due_ms => due_ms = later,
            _ => return due_ms,
        }
    }
}

/// Who was told without a pod that Kubernetes has forgotten is not told of it again.
pub fn nobody_who_is_gone_comes_back(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    for ((reader, service), runs) in by_reader(history) {
        for life in lives_of(history, service) {
            let Some(gone_ms) = life.gone_ms else { continue };
            let mut was_out = None;
            for run in runs.iter().filter(|run| run.until_ms >= gone_ms) {
                // What an earlier process kept may be a few seconds old, and says so.
                let Answer::Known { from_disk: false, .. } = run.answer else { continue };
                if !run.answer.shows(&life.pod) {
                    was_out = Some(run.from_ms);
                } else if let Some(out_ms) = was_out {
                    let (at_ms, pod) = (run.from_ms, &life.pod);
                    broken.push(format!("{at_ms} ms: {reader} is told of {pod} of {service} again, which is gone since {gone_ms} ms, and was out at {out_ms} ms"));
                    was_out = None;
                }
            }
        }
    }
    broken
}

/// Whoever is shown is there, at its own address and in its own service.
pub fn addresses_are_of_those_who_have_them(history: &History) -> Vec<String> {
    let lives: HashMap<_, _> = history.lives.iter().map(|life| (&*life.pod, life)).collect();
    let mut broken = Vec::new();
    for run in &history.runs {
        for shown in run.answer.shown() {
            let is_right = lives
                .get(&*shown.pod)
                .is_some_and(|life| life.address == shown.address && life.service == run.service);
            if !is_right {
                let (at_ms, reader, service) = (run.from_ms, &run.reader, &run.service);
                broken.push(format!(
                    "{at_ms} ms: {reader} is told of {shown:?} in {service}, and nobody is that"
                ));
            }
        }
    }
    broken
}

/// A revision never falls within a process, and stands for one content.
pub fn revisions_grow_and_stand_for_one_content(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    for ((reader, service), runs) in by_reader(history) {
        let mut last: Option<(u32, u64)> = None;
        let mut contents: HashMap<(u32, u64), &Arc<[super::Shown]>> = HashMap::new();
        for run in runs {
            let Answer::Known { revision, shown, .. } = &run.answer else { continue };
            let at_ms = run.from_ms;
            if let Some((life, before)) = last
                && life == run.life
                && *revision < before
            {
                broken.push(format!(
                    "{at_ms} ms: {reader} is told of {service} at revision {revision} after {before}"
                ));
            }
            last = Some((run.life, *revision));
            let content = contents.entry((run.life, *revision)).or_insert(shown);
            if *content != shown {
                broken.push(format!("{at_ms} ms: {reader} is told at revision {revision} of {service} {shown:?}, and was told {content:?}"));
            }
        }
    }
    broken
}

/// After the loss of a replica every reader is in step again in time.
pub fn a_lost_replica_is_replaced_in_time(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    let mut steps: BTreeMap<&Reader, Vec<&super::Step>> = BTreeMap::new();
    for step in &history.steps {
        steps.entry(&step.reader).or_default().push(step);
    }
    for loss in &history.losses {
        for (reader, steps) in &steps {
            let due_ms = excused(history, reader, loss.at_ms, loss.at_ms + loss.within_ms) + LOOK_MS;
            let was_there = steps.first().is_some_and(|first| first.from_ms < loss.at_ms);
            let at_due = steps.iter().find(|step| step.from_ms <= due_ms && due_ms <= step.until_ms);
            if was_there && at_due.is_some_and(|step| !step.in_step) {
                let at_ms = loss.at_ms;
                broken.push(format!(
                    "{due_ms} ms: {reader} is not in step again after the loss of a replica at {at_ms} ms"
                ));
            }
        }
    }
    broken
}

impl History {
    /// Answers that were told, and those among them that rest on a disk.
    pub fn size(&self) -> (usize, usize) {
        (self.runs.len(), self.runs.iter().filter(|run| run.answer.is_from_disk()).count())
    }
}
