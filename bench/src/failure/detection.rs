//! One system, and how soon it finds each event, round by round.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use anyhow::Context;
use futures::future::try_join_all;
use tokio::time::{sleep, timeout};

use super::{
    WATCHERS,
    event::Event,
    record,
    victim::{Victim, Whom},
};
use crate::{
    kept::Kept,
    local::Draws,
    peers::{Data, Registry},
    propagation::{Tally, Watchers},
};

/// Who is not seen by then never is.
pub(super) const SEEN_MAX: Duration = Duration::from_secs(100);
/// Before an event, so that the one before it is over.
pub(super) const APART: Duration = Duration::from_secs(1);

/// Holds what happens to whom.
pub(super) struct Detection {
    /// For each round and event one; each registers anew.
    pub(super) lives: Vec<Whom>,
    pub(super) events: Vec<Event>,
    /// Those that are measured here.
    pub(super) rounds: RangeInclusive<u32>,
    /// Here or elsewhere.
    pub(super) all_rounds: u32,
    pub(super) out_within: Duration,
    pub(super) seed: u32,
}

/// Tells of each round and event what came of it, or why nothing did.
pub(super) async fn each_event(detection: Detection, kept: Arc<Kept>) -> anyhow::Result<()> {
    let Detection { lives, events, rounds, all_rounds, out_within, seed } = detection;
    let service = Data::service(0);
    let (mut order, mut lives, mut watchers) = (Draws::new(seed), lives.into_iter(), Vec::new());
    for round in rounds {
        for place in order.order(events.len()) {
            let (Some(event), Some(whom)) = (events.get(place).copied(), lives.next()) else { continue };
            let phase = phase(event, round, all_rounds, seed);
            let wait = APART + Duration::from_millis(whom.pace().beat_ms).mul_f64(phase);
            let witnesses = whom.witnesses();
            match once(&whom, &witnesses, &service, event, wait, out_within, &mut watchers).await {
                Ok(outs) => {
                    for (witness, out) in witnesses.iter().zip(outs) {
                        let record = record(&**witness, event.name(), round);
                        let (system, configuration) = (&record.system, record.configuration);
                        let told = told(out, out_within);
                        println!("{round} {system:36} {configuration:?} {:32}: {told}", event.name());
                        kept.push(&match out {
                            Some(out) => record.with_value("out_ms", out.as_secs_f64() * 1e3),
                            None => record.with_value("never_within_s", out_within.as_secs_f64()),
                        })?;
                    }
                }
                Err(error) => {
                    // Those who watch may be what failed.
                    watchers.clear();
                    let error = error.context(event.name());
                    for witness in &witnesses {
                        kept.miss(record(&**witness, event.name(), round), &error)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Where between two beats it happens: in each round in another part of that time, in an order of the event's own.
pub(super) fn phase(event: Event, round: u32, all_rounds: u32, seed: u32) -> f64 {
    let mut draws = Draws::new(seed.wrapping_mul(Event::OF_POD.len() as u32).wrapping_add(event as u32));
    let part = draws.order(all_rounds as usize).get(round.saturating_sub(1) as usize).copied();
    let within = (0..round).map(|_| draws.share()).last().unwrap_or_default();
    (part.unwrap_or_default() as f64 + within) / f64::from(all_rounds.max(1))
}

/// By each witness; none where it never was out.
async fn once(
    whom: &Whom,
    witnesses: &[Arc<dyn Registry>],
    service: &str,
    event: Event,
    wait: Duration,
    out_within: Duration,
    watchers: &mut Vec<Watchers>,
) -> anyhow::Result<Vec<Option<Duration>>> {
    if watchers.is_empty() {
        let opening = witnesses.iter().map(|witness| Watchers::open(&**witness, service, WATCHERS));
        *watchers = try_join_all(opening).await?;
    }
    let tallies = |since| witnesses.iter().map(|_| Tally::new(WATCHERS, since)).collect::<Vec<_>>();
    let victim = Victim::start(whom, service).await?;
    let mut came = tallies(victim.since);
    timeout(SEEN_MAX, until_all(watchers, &mut came, &victim.instance, true))
        .await
        .context("never seen")??;
    sleep(wait).await;
    let (victim, since) = victim.suffer(event).await?;
    let mut gone = tallies(since);
    // That it never is out is a value too.
    if let Ok(ended) = timeout(out_within, until_all(watchers, &mut gone, &victim.instance, false)).await {
        ended?;
    }
    victim.end().await?;
    whom.forget(service).await;
    Ok(gone.iter().map(Tally::last).collect())
}

/// Of each witness, beside each other: one who is never told keeps no other from being heard.
async fn until_all(
    watchers: &mut [Watchers],
    tallies: &mut [Tally],
    instance: &str,
    is_there: bool,
) -> anyhow::Result<()> {
    let each = watchers.iter_mut().zip(tallies);
    try_join_all(each.map(|(watchers, tally)| until(watchers, tally, instance, is_there))).await.map(drop)
}

pub(super) async fn until(
    watchers: &mut Watchers,
    tally: &mut Tally,
    instance: &str,
    is_there: bool,
) -> anyhow::Result<()> {
    while tally.missing() > 0 {
        let news = watchers.next().await?;
        if news.has(instance) == is_there {
            tally.seen(news.watcher, news.at);
        }
    }
    Ok(())
}

/// For people.
pub(super) fn told(out: Option<Duration>, out_within: Duration) -> String {
    match out {
        Some(out) => format!("out after {:.3} s", out.as_secs_f64()),
        None => format!("never within {} s", out_within.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_came_is_told_with_how_long_it_was_waited_for() {
        let within = Duration::from_secs(45);
        assert_eq!(told(Some(Duration::from_millis(1_234)), within), "out after 1.234 s");
        assert_eq!(told(None, within), "never within 45 s");
    }

    #[test]
    fn rounds_take_all_parts_of_the_time_between_two_beats_in_no_order() {
        let phases = |event| (1..=10).map(|round| phase(event, round, 10, 3) * 10.0).collect::<Vec<_>>();
        let parts = |event| phases(event).iter().map(|phase| phase.floor() as u32).collect::<Vec<_>>();
        for event in Event::OF_POD {
            let mut sorted = parts(*event);
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
            assert_ne!(parts(*event), sorted);
            let within: Vec<_> = phases(*event).iter().map(|phase| phase.fract()).collect();
            assert!(within.iter().any(|share| *share > 0.5) && within.iter().any(|share| *share < 0.5));
        }
        assert_ne!(parts(Event::Killed), parts(Event::Hung));
    }
}
