//! What is promised to apps while something fails.

use std::time::Duration;

use crate::Verdict;

/// A client asks again after a tenth of a second; one that has not asked for so long tells nothing of the time between, on a
/// loaded machine either.
const SILENCE_MAX_MS: u64 = 5_000;

/// Holds what must be kept in a run. That no lookup fails, that nobody who is well is missing, and nothing wrong is told is
/// promised always.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// For so long at most a client is out of step, from the fault on.
    pub in_step_within: Duration,
    /// And one that no replica reached, from when it could be reached again.
    pub back_within: Duration,
}

// === impl Promise ===

impl Promise {
    /// What was not kept, each in a sentence.
    pub fn broken(&self, verdict: &Verdict) -> Vec<String> {
        let mut broken = Vec::new();
        for client in &verdict.clients {
            let within = if client.was_cut_off { self.back_within } else { self.in_step_within };
            let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
            let mut say = |what: String| broken.push(format!("{}: {what}", client.client.name));
            for (count, what) in [
                (client.failed, "lookups failed"),
                (client.missing, "answers without one that was well"),
                (client.wrong, "wrong answers"),
            ] {
                if count > 0 {
                    say(format!("{count} {what}, as {:?}", client.examples));
                }
            }
            let since =
                client.out_of_step_at_ms.map(|at_ms| format!(", since {at_ms} ms")).unwrap_or_default();
            match client.out_of_step_ms {
                Some(out_ms) if out_ms <= within_ms => {}
                Some(out_ms) => {
                    say(format!("out of step for {out_ms} ms, not for {within_ms} ms at most{since}"));
                }
                None => say(format!("never in step again{since}")),
            }
            if client.silence_ms > SILENCE_MAX_MS {
                say(format!("asked nothing for {} ms", client.silence_ms));
            }
        }
        if verdict.clients.is_empty() {
            broken.push("nobody asked".to_owned());
        }
        broken
    }
}
