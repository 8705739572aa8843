//! What is known of the app's health: by its probes, by its beats, by its own word. A value; time comes in as an argument.

use std::collections::BTreeMap;

use rollcall_catalogue::{ServiceName, liveness::ProbeWitness};
use rollcall_wire::HealthOf;

/// Names one instance that the pod is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Spot {
    pub(crate) service: ServiceName,
    /// The primary one.
    pub(crate) port: u16,
}

/// Says what the app says of all that the pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppWord {
    pub(crate) failing: bool,
    /// It must be said again within this; none: it stands.
    pub(crate) ttl_ms: Option<u64>,
    /// For people.
    pub(crate) output: String,
}

/// Holds what is known of each instance, and what was said of it.
#[derive(Debug, Default)]
pub(super) struct Health {
    spots: BTreeMap<Spot, Known>,
    app: Option<App>,
    /// None is all of the pod. Only what differs from this is to be said.
    said: BTreeMap<Option<Spot>, ProbeWitness>,
}

#[derive(Debug, Default)]
struct Known {
    probe: Option<ProbeWitness>,
    beat: Option<Beat>,
    /// It was registered with another process of ours, and nothing was heard of it since.
    doubted: bool,
}

/// Holds the app's own word.
#[derive(Debug)]
struct App {
    word: AppWord,
    said_ms: u64,
    /// It was not said again in time.
    missed: bool,
}

/// Holds how an instance beats. It is judged here: between the app and us no beat is lost.
#[derive(Debug)]
struct Beat {
    ttl_ms: u64,
    until_ms: u64,
    /// None before the first beat, and before the first that was missed.
    word: Option<ProbeWitness>,
}

// === impl Health ===

impl Health {
    /// These are the instances, and for how long a beat of each is good, where it beats. What is known of the others is
    /// forgotten.
    pub(super) fn set_spots(&mut self, spots: &BTreeMap<Spot, Option<u64>>, now_ms: u64) {
        self.spots.retain(|spot, _| spots.contains_key(spot));
        for (spot, ttl_ms) in spots {
            let known = self.spots.entry(spot.clone()).or_default();
            match (ttl_ms, &mut known.beat) {
                (None, beat) => *beat = None,
                (Some(ttl_ms), Some(beat)) if beat.ttl_ms != *ttl_ms => {
                    let since_ms = beat.until_ms.saturating_sub(beat.ttl_ms);
                    *beat =
                        Beat { ttl_ms: *ttl_ms, until_ms: since_ms.saturating_add(*ttl_ms), word: beat.word };
                }
                (Some(_), Some(_)) => {}
                (Some(ttl_ms), beat @ None) => {
                    *beat =
                        Some(Beat { ttl_ms: *ttl_ms, until_ms: now_ms.saturating_add(*ttl_ms), word: None });
                }
            }
        }
    }

    /// Nobody knows whether this instance still runs, until something is heard of it.
    pub(super) fn doubt(&mut self, spot: &Spot) {
        if let Some(known) = self.spots.get_mut(spot) {
            known.doubted = true;
        }
    }

    pub(super) fn doubts(&self, spot: &Spot) -> bool {
        self.spots.get(spot).is_some_and(|known| known.doubted)
    }

    /// What asking this instance came to.
    pub(super) fn probed(&mut self, spot: &Spot, probe: Option<ProbeWitness>) {
        if let Some(known) = self.spots.get_mut(spot) {
            known.probe = probe;
            known.doubted &= probe.is_none();
        }
    }

    /// This instance says that it is well. Where it does not beat, that says no more than that it is there.
    pub(super) fn beat(&mut self, spot: &Spot, now_ms: u64) {
        if let Some(known) = self.spots.get_mut(spot) {
            known.heard(now_ms);
        }
    }

    /// The app speaks for all of the pod. That it is well is a beat of all that beats.
    pub(super) fn app_says(&mut self, word: AppWord, now_ms: u64) {
        if !word.failing {
            self.spots.values_mut().for_each(|known| known.heard(now_ms));
        }
        self.restore_word(word, now_ms);
    }

    pub(super) fn restore_word(&mut self, word: AppWord, now_ms: u64) {
        self.app = Some(App { word, said_ms: now_ms, missed: false });
    }

    pub(super) fn app_word(&self) -> Option<&AppWord> {
        self.app.as_ref().map(|app| &app.word)
    }

    /// When something is missed, if nothing is heard before.
    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        let beats = self.spots.values().filter_map(|known| known.beat.as_ref());
        let running = beats.filter(|beat| beat.word != Some(ProbeWitness::BeatMissed));
        let app = self.app.as_ref().filter(|app| !app.missed).and_then(App::until_ms);
        running.map(|beat| beat.until_ms).chain(app).min()
    }

    /// What is missed by now.
    pub(super) fn tick(&mut self, now_ms: u64) {
        let beats = self.spots.values_mut().filter_map(|known| known.beat.as_mut());
        beats
            .filter(|beat| beat.until_ms <= now_ms)
            .for_each(|beat| beat.word = Some(ProbeWitness::BeatMissed));
        if let Some(app) = &mut self.app {
            app.missed = app.until_ms().is_some_and(|until_ms| until_ms <= now_ms);
        }
    }

    /// We stood still for so long, and what was said meanwhile may still be on its way to us.
    pub(super) fn stood_still(&mut self, for_ms: u64) {
        for beat in self.spots.values_mut().filter_map(|known| known.beat.as_mut()) {
            beat.until_ms = beat.until_ms.saturating_add(for_ms);
        }
        if let Some(app) = &mut self.app {
            app.said_ms = app.said_ms.saturating_add(for_ms);
        }
    }

    /// What all that is known of an instance comes to: of several words the bad one counts.
    pub(super) fn of(&self, spot: &Spot) -> Option<ProbeWitness> {
        let of_it = self.spots.get(spot).and_then(Known::word);
        [of_it, self.of_all()].into_iter().flatten().reduce(ProbeWitness::worse)
    }

    /// Whether something is to be said.
    pub(super) fn is_due(&self) -> bool {
        self.words() != self.said
    }

    /// What is to be said, which counts as said from now on.
    pub(super) fn take(&mut self) -> Vec<(Option<HealthOf>, ProbeWitness)> {
        let words = self.words();
        let forgotten = self.said.keys().filter(|of| !words.contains_key(*of));
        let forgotten = forgotten.map(|of| (of.clone(), ProbeWitness::NotAsked));
        let news = words.iter().filter(|(of, word)| self.said.get(*of) != Some(*word));
        let news: Vec<_> = forgotten.chain(news.map(|(of, word)| (of.clone(), *word))).collect();
        self.said = words;
        let named = |spot: Spot| HealthOf { service: spot.service, port: Some(spot.port) };
        news.into_iter().map(|(of, word)| (of.map(named), word)).collect()
    }

    fn words(&self) -> BTreeMap<Option<Spot>, ProbeWitness> {
        let spots = self.spots.iter().filter_map(|(spot, known)| Some((Some(spot.clone()), known.word()?)));
        spots.chain(self.of_all().map(|word| (None, word))).collect()
    }

    fn of_all(&self) -> Option<ProbeWitness> {
        let app = self.app.as_ref()?;
        Some(match (app.word.failing, app.missed) {
            (true, _) => ProbeWitness::SaysFailing,
            (false, true) => ProbeWitness::BeatMissed,
            (false, false) => ProbeWitness::Passing,
        })
    }
}

// === impl App ===

impl App {
    /// Of a word that the app is failing there is no end: silence does not make it well.
    fn until_ms(&self) -> Option<u64> {
        let ttl_ms = self.word.ttl_ms.filter(|_| !self.word.failing)?;
        Some(self.said_ms.saturating_add(ttl_ms))
    }
}

// === impl Known ===

impl Known {
    fn word(&self) -> Option<ProbeWitness> {
        let beat = self.beat.as_ref().and_then(|beat| beat.word);
        let doubt = self.doubted.then_some(ProbeWitness::AwaitingBeat);
        [self.probe, beat, doubt].into_iter().flatten().reduce(ProbeWitness::worse)
    }

    fn heard(&mut self, now_ms: u64) {
        self.doubted = false;
        if let Some(beat) = &mut self.beat {
            beat.heard(now_ms);
        }
    }
}

// === impl Beat ===

impl Beat {
    fn heard(&mut self, now_ms: u64) {
        (self.until_ms, self.word) = (now_ms.saturating_add(self.ttl_ms), Some(ProbeWitness::Passing));
    }
}
