//! What a run under overload comes to.

use anyhow::{Result, ensure};
use rollcall_faults::{OfClient, Verdict};

use super::fleet::Counted;

/// Holds what clients were told, and what controllers counted.
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) counted: Counted,
}

// === impl Outcome ===

impl Outcome {
    /// An error where somebody who was well was left out: that is wrong on the slowest machine too.
    pub(super) fn tell(&self) -> Result<()> {
        let clients = &self.verdict.clients;
        let sum = |of: fn(&OfClient) -> usize| clients.iter().map(of).sum::<usize>();
        let most = |of: fn(&OfClient) -> u64| clients.iter().map(of).max().unwrap_or(0);
        let (missing, wrong) = (sum(|client| client.missing), sum(|client| client.wrong));
        println!(
            "{} lookups: {} failed, {missing} without one that was well, {wrong} wrong; the slowest took {} ms",
            sum(|client| client.lookups),
            sum(|client| client.failed),
            most(|client| client.slowest_ms),
        );
        let never = clients.iter().filter(|client| client.out_of_step_ms.is_none()).count();
        println!(
            "longest Age {} s; longest time out of step {} ms; {never} out of step at the end",
            most(|client| client.longest_age_s),
            most(|client| client.out_of_step_ms.unwrap_or(0)),
        );
        println!("by the controllers' own count: {}", self.counted);
        println!("goal: 0 false evictions");
        for client in clients.iter().filter(|client| !client.examples.is_empty()) {
            println!("  {}: {}", client.client.name, client.examples.join("; "));
        }
        ensure!(missing == 0 && wrong == 0, "somebody was told what is not so");
        Ok(())
    }
}
