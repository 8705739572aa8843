//! The agenda: what is to happen and when, in virtual time. Nothing else makes time pass.

use std::collections::BTreeMap;

/// Milliseconds of virtual time since the run began.
pub(crate) type Millis = u64;

/// Holds what is to happen, in the order in which it will: by time, and at one time in the order in which it was noted.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    now_ms: Millis,
    noted: u64,
    entries: BTreeMap<(Millis, u64), T>,
}

// === impl Agenda ===

impl<T> Agenda<T> {
    pub(crate) fn beginning_at(now_ms: Millis) -> Self {
        Self { now_ms, noted: 0, entries: BTreeMap::new() }
    }

    pub(crate) fn now_ms(&self) -> Millis {
        self.now_ms
    }

    /// Notes what is to happen then; what should have happened already happens next.
    pub(crate) fn at(&mut self, at_ms: Millis, event: T) {
        self.noted += 1;
        self.entries.insert((at_ms.max(self.now_ms), self.noted), event);
    }

    pub(crate) fn after(&mut self, pause_ms: Millis, event: T) {
        self.at(self.now_ms.saturating_add(pause_ms), event);
    }

    /// The next thing that happens before `end_ms`, with the time moved on to it; none, with the time moved on to the end.
    pub(crate) fn next_before(&mut self, end_ms: Millis) -> Option<T> {
        let entry = self.entries.first_entry().filter(|entry| entry.key().0 < end_ms);
        match entry {
            Some(entry) => {
                self.now_ms = entry.key().0;
                Some(entry.remove())
            }
            None => {
                self.now_ms = self.now_ms.max(end_ms);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_time_and_then_in_the_order_of_noting() {
        let mut agenda = Agenda::beginning_at(5);
        agenda.at(9, "late");
        agenda.at(7, "first");
        agenda.after(2, "second");
        agenda.at(1, "overdue");
        let mut seen = Vec::new();
        while let Some(event) = agenda.next_before(9) {
            seen.push((agenda.now_ms(), event));
        }
        assert_eq!(seen, [(5, "overdue"), (7, "first"), (7, "second")]);
        assert_eq!((agenda.now_ms(), agenda.next_before(10)), (9, Some("late")));
    }
}
