//! What a run under overload comes to.

use anyhow::{Result, ensure};
use rollcall_catalogue::liveness::QUIET_AFTER_MS;
use rollcall_faults::{OfClient, Verdict};
use rollcall_results::{Class, Configuration, Record};
use rollcall_wire::limits::HEARTBEAT_EVERY;

use super::fleet::{Counted, EVICTED};

/// Holds what clients were told, and what controllers counted.
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) counted: Counted,
    pub(super) minutes: u32,
    pub(super) controllers: usize,
}

const SYSTEM: &str = "rollcall sidecars";
const MINUTES_IN_AN_HOUR: f64 = 60.0;

// === impl Outcome ===

impl Outcome {
    /// With nothing measured yet.
    pub(super) fn nothing(sidecars: usize) -> Record {
        Record::new(SYSTEM, Class::B, Configuration::Default, 1)
            .with_case("event", "overload")
            .with_case("sidecars", sidecars as u64)
    }

    /// How often somebody was evicted who was well, beside what makes a sidecar be believed in.
    pub(super) fn record(&self) -> Record {
        let clients = &self.verdict.clients;
        let sum = |of: fn(&OfClient) -> usize| clients.iter().map(of).sum::<usize>() as f64;
        let most = |of: fn(&OfClient) -> u64| clients.iter().map(of).max().unwrap_or(0) as f64;
        let hours = f64::from(self.minutes) / MINUTES_IN_AN_HOUR;
        let mut record = Self::nothing(clients.len())
            .with_case("controllers", self.controllers as u64)
            .with_value("hours", hours)
            .with_value("ttl_ms", QUIET_AFTER_MS as f64)
            .with_value("beat_ms", HEARTBEAT_EVERY.as_millis() as f64)
            .with_value("lookups", sum(|client| client.lookups))
            .with_value("lookups_failed", sum(|client| client.failed))
            .with_value("lookups_without_one", sum(|client| client.missing))
            .with_value("lookups_wrong", sum(|client| client.wrong))
            .with_value("slowest_lookup_ms", most(|client| client.slowest_ms))
            .with_value("longest_age_s", most(|client| client.longest_age_s));
        for (name, count) in self.counted.named() {
            record = record.with_value(name, count);
            if name == EVICTED {
                record = record.with_value("false_evictions_an_hour", count / hours);
            }
        }
        record
    }

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
