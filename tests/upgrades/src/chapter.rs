//! One chapter of the story: what is done, who comes and goes meanwhile, and what all of them were told.

use std::{
    collections::BTreeSet,
    io::Read,
    thread::{self, ScopedJoinHandle, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use rollcall_faults::{Absence, History, Promise, Section, Truth, Watchers, judge};
use serde_json::Deserializer;

use crate::{Census, SERVICES, Stage, census::Event, stage::Seen};

/// The page of all chapters.
const REPORT: &str = "upgrades-report";
/// As often as a busy app asks.
const LOOK_EACH: Duration = Duration::from_millis(100);
/// All are heard before anything is done, and after it.
const AROUND: Duration = Duration::from_secs(3);
/// What does not come by then never does.
const NEVER: Duration = Duration::from_secs(100);
const POLL_EVERY: Duration = Duration::from_millis(250);
/// Word of an app that died: who was just sent away finds another controller first.
const TOLD_WITHIN_MS: u64 = 10_000;

/// Holds a chapter while it goes on.
pub struct Chapter<'a> {
    pub stage: &'a Stage,
    begin: Instant,
    deeds: Vec<(u64, String)>,
    broken: Vec<String>,
    absences: Vec<Absence>,
    /// No controller is there from then on, until then.
    alone: Option<(u64, Option<u64>)>,
}

/// Holds what those who follow the pods have seen.
#[derive(Default)]
struct Followed {
    census: Census,
    /// By the name of the pod that each asks in.
    watchers: Vec<(String, Watchers)>,
}

// === impl Chapter ===

impl<'a> Chapter<'a> {
    /// Does something while lookups run in every pod, in those too that come meanwhile. Gives what was not kept.
    pub fn tell(
        stage: &'a Stage,
        title: &str,
        promise: Promise,
        act: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Vec<String>> {
        eprintln!("== {title}");
        let begin = Instant::now();
        let chapter =
            Self { stage, begin, deeds: Vec::new(), broken: Vec::new(), absences: Vec::new(), alone: None };
        // Events, and not lists: who comes and goes between two looks was there too.
        let watch = ["get", "pods", "--watch", "--output-watch-events", "-o=json"];
        let (process, output) = stage.install.shop.streaming(&watch)?;
        thread::scope(|scope| {
            let following = scope.spawn(move || follow(stage, output, begin));
            let mut chapter = chapter;
            sleep(AROUND);
            let acted = act(&mut chapter);
            let well = stage.well();
            chapter.note("all is well");
            sleep(AROUND);
            let lasted_ms = chapter.now_ms();
            // Its output ends with it.
            drop(process);
            chapter.finish(title, promise, lasted_ms, following, [acted, well])
        })
    }

    /// What happened now, for people.
    pub fn note(&mut self, what: &str) {
        eprintln!("   {} ms: {what}", self.now_ms());
        self.deeds.push((self.now_ms(), what.to_owned()));
    }

    pub fn act(&mut self, what: &str, act: impl FnOnce(&Stage) -> Result<()>) -> Result<()> {
        self.note(what);
        act(self.stage).with_context(|| what.to_owned())
    }

    /// Something that takes controllers away and brings others; notes how they change. Once both kinds are ready beside each
    /// other, an app dies, and is back after the change.
    pub fn change_controllers(
        &mut self,
        what: &str,
        dies: &str,
        act: impl FnOnce(&Stage) -> Result<()> + Send,
    ) -> Result<()> {
        self.note(what);
        let stage = self.stage;
        let mut seen = Vec::new();
        let mut dead = None;
        thread::scope(|scope| {
            let acting = scope.spawn(move || act(stage));
            while !acting.is_finished() {
                // One that ends is not there between two questions.
                if let Ok(now) = stage.controllers()
                    && now != seen
                {
                    self.note(&said(&now));
                    let both =
                        [true, false].map(|old| now.iter().any(|one| one.is_ready && one.is_old == old));
                    if both == [true; 2] && dead.is_none() {
                        dead = Some(self.app_dies(dies)?);
                    }
                    seen = now;
                }
                sleep(POLL_EVERY);
            }
            acting.join().map_err(|_| anyhow!("what was done died"))?.with_context(|| what.to_owned())
        })?;
        self.note(&format!("{what}: done"));
        self.expect(dead.is_some(), "both kinds of controllers were never seen side by side");
        dead.map_or(Ok(()), |pod| self.app_is_back(&pod))
    }

    /// An app of this service dies, and is back after a while, in which all must know it.
    pub fn lose_app(&mut self, service: &str) -> Result<()> {
        let pod = self.app_dies(service)?;
        sleep(Duration::from_millis(TOLD_WITHIN_MS + 1_000));
        self.app_is_back(&pod)
    }

    fn app_dies(&mut self, service: &str) -> Result<String> {
        let pods = self.stage.install.shop.pods(Some(service))?;
        let pod = pods.first().with_context(|| format!("no pod of {service}"))?.name().to_owned();
        self.note(&format!("the app of {pod} dies"));
        self.absences.push(Absence {
            pod: pod.clone(),
            why: "its app has died".to_owned(),
            from_ms: self.now_ms(),
            until_ms: None,
            // Filled in at the end, when all clients are known.
            told: BTreeSet::new(),
            out_within_ms: TOLD_WITHIN_MS,
            back_within_ms: TOLD_WITHIN_MS,
        });
        self.stage.signal_app(&pod, "USR1")?;
        Ok(pod)
    }

    fn app_is_back(&mut self, pod: &str) -> Result<()> {
        self.stage.signal_app(pod, "USR2")?;
        self.note(&format!("the app of {pod} is back"));
        let now_ms = self.now_ms();
        let dead = |absence: &&mut Absence| absence.pod == pod && absence.until_ms.is_none();
        for absence in self.absences.iter_mut().filter(dead) {
            absence.until_ms = Some(now_ms);
        }
        Ok(())
    }

    /// There is no controller from now on.
    pub fn nobody_serves(&mut self) {
        self.alone = Some((self.now_ms(), None));
    }

    /// There is one again.
    pub fn somebody_serves(&mut self) {
        let now_ms = self.now_ms();
        if let Some((_, until_ms)) = &mut self.alone {
            *until_ms = Some(now_ms);
        }
    }

    /// Waits until this holds, and notes when.
    pub fn comes(&mut self, what: &str, mut holds: impl FnMut(&Stage) -> Result<bool>) -> Result<()> {
        let begin = Instant::now();
        loop {
            let held = holds(self.stage);
            if matches!(held, Ok(true)) {
                break;
            }
            ensure!(begin.elapsed() < NEVER, "never: {what}; last error: {:?}", held.err());
            sleep(POLL_EVERY);
        }
        self.note(what);
        Ok(())
    }

    /// What must hold now.
    pub fn expect(&mut self, holds: bool, what: &str) {
        if !holds {
            self.broken.push(what.to_owned());
        }
    }

    fn finish<const STEPS: usize>(
        self,
        title: &str,
        promise: Promise,
        lasted_ms: u64,
        following: ScopedJoinHandle<'_, Result<Followed>>,
        steps: [Result<()>; STEPS],
    ) -> Result<Vec<String>> {
        let Self { stage, deeds, mut broken, absences, alone, .. } = self;
        let followed = following.join().map_err(|_| anyhow!("who follows the pods died"))??;
        let Followed { census, watchers } = followed;
        let mut histories = Vec::new();
        // In the network of a pod that is gone nobody answers, and each question there takes its time.
        watchers.iter().for_each(|(_, watchers)| watchers.stop());
        for (_, watchers) in watchers {
            histories.extend(watchers.finish()?);
        }
        for history in &mut histories {
            if let Some(ends_ms) = census.ends_ms(&history.client.name) {
                history.end_at(ends_ms);
            }
        }
        let truth = truth(&census, &histories, absences, alone);
        let verdict = judge(&histories, &truth, lasted_ms);
        broken.extend(promise.broken(&verdict));
        broken.extend(steps.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")));
        let section = Section { title, deeds: &deeds, verdict: Some(&verdict), broken: &broken };
        section.write(REPORT)?;
        println!("{}", section.text());
        if !broken.is_empty() {
            eprintln!("{}", stage.install.scene());
        }
        Ok(broken.into_iter().map(|what| format!("{title}: {what}")).collect())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Follows the pods by what kubectl tells of them, until it ends; who is ready looks others up from then on.
fn follow(stage: &Stage, output: impl Read, begin: Instant) -> Result<Followed> {
    let mut followed = Followed::default();
    for event in Deserializer::from_reader(output).into_iter::<Event>() {
        // A watch that is ended ends in the middle of a word.
        let Ok(event) = event else { break };
        let now_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(comer) = followed.census.hear(event, now_ms) {
            let subject = stage.subject(&comer.name, &comer.uid, &comer.node)?;
            let watchers = Watchers::begin(begin, &[subject], &SERVICES, LOOK_EACH);
            followed.watchers.push((comer.name, watchers));
        }
        let ended = followed.watchers.iter().filter(|(name, _)| followed.census.ends_ms(name).is_some());
        ended.for_each(|(_, watchers)| watchers.stop());
    }
    Ok(followed)
}

/// What the histories are held against.
fn truth(
    census: &Census,
    histories: &[History],
    absences: Vec<Absence>,
    alone: Option<(u64, Option<u64>)>,
) -> Truth {
    let clients: BTreeSet<_> = histories.iter().map(|history| history.client.name.clone()).collect();
    let mut truth = census.truth(&clients);
    truth.absences.extend(absences.into_iter().map(|absence| Absence { told: clients.clone(), ..absence }));
    if let Some((from_ms, until_ms)) = alone {
        (truth.fault_ms, truth.healed_ms, truth.cut_off) = (Some(from_ms), until_ms, clients);
    }
    truth
}

/// How the controllers are, in words.
fn said(controllers: &[Seen]) -> String {
    let said = controllers.iter().map(|one| {
        let kind = if one.is_old { "old" } else { "new" };
        let ready = if one.is_ready { "ready" } else { "not ready" };
        let sessions = one.sessions.map_or("silent".to_owned(), |sessions| format!("{sessions} sessions"));
        format!("{kind} {} {ready}, {sessions}", one.replica.rsplit('-').next().unwrap_or_default())
    });
    said.collect::<Vec<_>>().join("; ")
}
