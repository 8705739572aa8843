//! One trial: what is done, when, and what became of it.

use std::{
    collections::BTreeSet,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{Absence, Lab, Promise, Section, Truth, Watchers, judge, lab::SERVICES};

/// The page of all trials.
const REPORT: &str = "faults-report";
/// As often as a busy app asks.
const LOOK_EACH: Duration = Duration::from_millis(100);
/// All are heard before anything fails.
const BEFORE: Duration = Duration::from_secs(2);
/// What does not come by then never does.
const NEVER: Duration = Duration::from_secs(120);
const POLL_EVERY: Duration = Duration::from_millis(100);
/// An app that is well again is asked each second by two, and its kubelet tells the API server.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// Holds a trial while it goes on.
pub struct Trial<'a> {
    pub lab: &'a Lab,
    watchers: Watchers,
    truth: Truth,
    deeds: Vec<(u64, String)>,
    broken: Vec<String>,
}

// === impl Trial ===

impl<'a> Trial<'a> {
    /// Lookups run in all pods from now on.
    pub(crate) fn begin(lab: &'a Lab) -> Result<Self> {
        let watchers = Watchers::begin(Instant::now(), &lab.subjects()?, &SERVICES, LOOK_EACH);
        sleep(BEFORE);
        let truth = Truth { pods: lab.pods(), ..Truth::default() };
        Ok(Self { lab, watchers, truth, deeds: Vec::new(), broken: Vec::new() })
    }

    /// The time from which everything counts that is lost: the moment before the first of these.
    pub fn fault(&mut self, what: &str, act: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
        let at_ms = self.now_ms();
        self.truth.fault_ms.get_or_insert(at_ms);
        self.deeds.push((at_ms, what.to_owned()));
        act(self.lab).with_context(|| what.to_owned())
    }

    /// Another one, from which what is lost counts from now on: what was lost before must be there again.
    pub fn again(&mut self, what: &str, act: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
        self.truth.fault_ms = None;
        self.fault(what, act)
    }

    /// No replica reaches anybody from now on.
    pub fn lose_all_replicas(&mut self) {
        self.truth.cut_off = self.truth.pods.iter().map(|pod| pod.name.clone()).collect();
    }

    /// Something that is no failure, and loses nobody anything: how long a client is out of step counts by itself.
    pub fn act(&mut self, what: &str, act: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
        self.note(what);
        act(self.lab).with_context(|| what.to_owned())
    }

    /// Who was cut off can be reached again; the time counts from when that is done.
    pub fn healed(&mut self, what: &str, act: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
        self.note(what);
        // They may be back while others are still waited for, and have all of that time.
        let begun_ms = self.now_ms();
        act(self.lab).with_context(|| what.to_owned())?;
        let now_ms = self.now_ms();
        self.truth.healed_ms = Some(now_ms);
        let cut_off = &self.truth.cut_off;
        let over = |absence: &&mut Absence| absence.until_ms.is_none() && cut_off.contains(&absence.pod);
        for absence in self.truth.absences.iter_mut().filter(over) {
            absence.until_ms = Some(begun_ms);
            absence.back_within_ms += now_ms - begun_ms;
        }
        Ok(())
    }

    /// What happened now, for people.
    pub fn note(&mut self, what: &str) {
        self.deeds.push((self.now_ms(), what.to_owned()));
    }

    /// Lets things be as they are for so long.
    pub fn endure(&self, time: Duration) {
        sleep(time);
    }

    /// Lets things be as they are until so long after the fault.
    pub fn wait_until_after_the_fault(&self, time: Duration) {
        let since_ms = self.now_ms().saturating_sub(self.truth.fault_ms.unwrap_or(0));
        sleep(time.saturating_sub(Duration::from_millis(since_ms)));
    }

    /// No replica reaches the pods of this node from now on, and those elsewhere cannot reach them: all others must let them
    /// go within this time, and have them back within that.
    pub fn lose_node(&mut self, node: &str, out_within: Duration, back_within: Duration) {
        let (there, elsewhere): (Vec<_>, Vec<_>) =
            self.lab.pods().into_iter().partition(|pod| pod.node == node);
        self.truth.cut_off.extend(there.iter().map(|pod| pod.name.clone()));
        let told: BTreeSet<_> = elsewhere.into_iter().map(|pod| pod.name).collect();
        let from_ms = self.now_ms();
        let why = format!("{node} is cut off");
        let absences = there.into_iter().map(|pod| Absence {
            pod: pod.name,
            why: why.clone(),
            from_ms,
            until_ms: None,
            told: told.clone(),
            out_within_ms: millis(out_within),
            back_within_ms: millis(back_within),
        });
        self.truth.absences.extend(absences);
    }

    /// An app dies, which all clients that a replica reaches are told of within this time, whatever else is lost.
    pub fn app_dies(&mut self, pod: &str, out_within: Duration) -> Result<()> {
        let all = self.truth.pods.iter().map(|pod| pod.name.clone());
        self.truth.absences.push(Absence {
            pod: pod.to_owned(),
            why: "its app has died".to_owned(),
            from_ms: self.now_ms(),
            until_ms: None,
            told: all.filter(|client| !self.truth.cut_off.contains(client)).collect(),
            out_within_ms: millis(out_within),
            back_within_ms: millis(BACK_WITHIN),
        });
        self.lab.crash(pod)
    }

    /// It is there again.
    pub fn app_is_back(&mut self, pod: &str) -> Result<()> {
        self.lab.revive(pod)?;
        let now_ms = self.now_ms();
        let dead = |absence: &&mut Absence| absence.pod == pod && absence.until_ms.is_none();
        for absence in self.truth.absences.iter_mut().filter(dead) {
            absence.until_ms = Some(now_ms);
        }
        Ok(())
    }

    /// An app dies and is back after so long, at the earliest when all must know.
    pub fn lose_app(&mut self, pod: &str, lasts: Duration, out_within: Duration) -> Result<()> {
        self.app_dies(pod, out_within)?;
        self.endure(lasts.max(out_within));
        self.app_is_back(pod)
    }

    /// Somebody declares a service, and a replica writes what became of it; within this time of the fault.
    pub fn writes_resume(&mut self, within: Duration) -> Result<()> {
        let name = format!("declared-{}", self.now_ms());
        let registration = json!({
            "apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration", "metadata": {"name": name},
            "spec": {
                "target": {"selector": {"matchLabels": {"app": "orders"}}},
                "ports": [{"name": "http", "port": 8080}],
            },
        });
        self.lab.install.shop.apply(&[registration])?;
        let object = format!("serviceregistration/{name}");
        self.comes("a status is written", within, |lab| {
            let status = ["get", &object, "-o", "jsonpath={.status.observedGeneration}"];
            Ok(!lab.install.shop.kubectl(&status)?.is_empty())
        })?;
        self.lab.install.shop.kubectl(&["delete", &object])?;
        Ok(())
    }

    /// Waits until this holds, and notes how long after the fault it did: within this time, by the promise.
    pub fn comes(
        &mut self,
        what: &str,
        within: Duration,
        mut holds: impl FnMut(&Lab) -> Result<bool>,
    ) -> Result<()> {
        let from_ms = self.truth.fault_ms.context("nothing has failed")?;
        let begin = Instant::now();
        let mut last = None;
        loop {
            match holds(self.lab) {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => last = Some(error),
            }
            ensure!(begin.elapsed() < NEVER, "never: {what}; last error: {last:?}");
            sleep(POLL_EVERY);
        }
        let after_ms = self.now_ms().saturating_sub(from_ms);
        self.note(&format!("{what}, {after_ms} ms after the fault"));
        if after_ms > millis(within) {
            self.broken.push(format!("{what} only {after_ms} ms after the fault, not within {within:?}"));
        }
        Ok(())
    }

    /// What must hold now.
    pub fn expect(&mut self, holds: bool, what: &str) {
        if !holds {
            self.broken.push(what.to_owned());
        }
    }

    /// Everything is healed, whichever way the trial went: who was absent is so no more.
    pub(crate) fn all_is_healed(&mut self) {
        let now_ms = self.now_ms();
        self.truth.healed_ms.get_or_insert(now_ms);
        for absence in &mut self.truth.absences {
            absence.until_ms.get_or_insert(now_ms);
        }
    }

    /// Judges what was told, writes the report's section, and fails where something was not kept, or went wrong on the way.
    pub(crate) fn finish<const STEPS: usize>(
        mut self,
        title: &str,
        promise: Promise,
        steps: [Result<()>; STEPS],
    ) -> Result<()> {
        self.note("all is well");
        // The last answers of the time before may still be on their way.
        sleep(BEFORE);
        let Self { lab, watchers, truth, deeds, mut broken } = self;
        let lasted_ms = millis(watchers.elapsed());
        let verdict = judge(&watchers.finish()?, &truth, lasted_ms);
        broken.extend(promise.broken(&verdict));
        broken.extend(steps.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")));
        let section = Section { title, deeds: &deeds, verdict: Some(&verdict), broken: &broken };
        section.write(REPORT)?;
        println!("{}", section.text());
        if !broken.is_empty() {
            eprintln!("{}", lab.install.scene());
        }
        ensure!(broken.is_empty(), "{title}: {}", broken.join("\n"));
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        millis(self.watchers.elapsed())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
