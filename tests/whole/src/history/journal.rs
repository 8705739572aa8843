//! The journal: what apps are told, noted as they are told it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Answer, Reader, Run, Step};
use crate::Millis;

/// Holds what all apps of a world note. Equal answers are noted once, or a minute of lookups would be a gigabyte.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    runs: Vec<Run>,
    steps: Vec<Step>,
    /// Where in `runs` the last one of each is.
    last: HashMap<(Reader, Arc<str>), usize>,
    last_step: HashMap<Reader, usize>,
}

// === impl Journal ===

impl Journal {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This reader was told this, in this life of its sidecar.
    pub fn note(&self, now_ms: Millis, reader: &Reader, life: u32, service: &Arc<str>, answer: Answer) {
        let mut notes = self.notes();
        let key = (reader.clone(), service.clone());
        if let Some(place) = notes.last.get(&key).copied() {
            let run = &mut notes.runs[place];
            if run.life == life && run.answer == answer {
                run.until_ms = now_ms;
                return;
            }
        }
        let place = notes.runs.len();
        notes.last.insert(key, place);
        let (reader, service) = (reader.clone(), service.clone());
        notes.runs.push(Run { reader, life, service, answer, from_ms: now_ms, until_ms: now_ms });
    }

    pub fn note_step(&self, now_ms: Millis, reader: &Reader, in_step: bool) {
        let mut notes = self.notes();
        if let Some(place) = notes.last_step.get(reader).copied() {
            let step = &mut notes.steps[place];
            if step.in_step == in_step {
                step.until_ms = now_ms;
                return;
            }
        }
        let place = notes.steps.len();
        notes.last_step.insert(reader.clone(), place);
        notes.steps.push(Step { reader: reader.clone(), in_step, from_ms: now_ms, until_ms: now_ms });
    }

    /// What this reader was told last.
    pub fn last(&self, reader: &Reader, service: &Arc<str>) -> Option<Run> {
        let notes = self.notes();
        let place = notes.last.get(&(reader.clone(), service.clone()))?;
        notes.runs.get(*place).cloned()
    }

    pub fn runs(&self) -> Vec<Run> {
        self.notes().runs.clone()
    }

    pub fn steps(&self) -> Vec<Step> {
        self.notes().steps.clone()
    }
}
