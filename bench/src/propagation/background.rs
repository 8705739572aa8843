//! Changes of other services beside those that are measured, at a pace of their own, and whether watchers are told of them.
//!
//! A pod of ours may say ten things a second, so that many pods change in turn, each of a service of its own: in every system,
//! so that all have the same load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval_at, sleep},
};

use super::{
    case::MEASURED_SERVICES,
    rows::{BACKGROUND_PODS, background_pod},
    watchers::Watchers,
};
use crate::peers::{Data, Registry};

/// Of what was asked for, this share must arrive at watchers: else the load is not the one that the row claims.
const ARRIVED_MIN: f64 = 0.9;
/// What was done when the measurement ended arrives by then, or never.
const ARRIVED_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Services that are measured, and those behind them, each of which one pod changes.
pub(super) const SERVICES: u32 = MEASURED_SERVICES + BACKGROUND_PODS;

/// Holds those who make the changes, and those who watch them.
pub(super) struct Background {
    changing: JoinSet<anyhow::Result<()>>,
    /// They end with this.
    watching: JoinSet<anyhow::Result<()>>,
    over: watch::Sender<bool>,
    done: Arc<AtomicU64>,
    arrived: Arc<AtomicU64>,
    a_second: u32,
    begin: Instant,
}

/// Holds how many changes a second there were of what was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    asked: u32,
    /// The registry said that so many were done.
    done: f64,
    /// A watcher was told of so many.
    arrived: f64,
}

// === impl Background ===

impl Background {
    /// So many changes a second in all: a pod's instance comes, and goes, and comes. Each of their services has a watcher, who
    /// has its first state when this returns.
    pub(super) async fn begin(registry: &Arc<dyn Registry>, a_second: u32) -> anyhow::Result<Self> {
        let counts = || Arc::new(AtomicU64::default());
        let (over, done, arrived) = (watch::Sender::new(false), counts(), counts());
        let (mut changing, mut watching) = (JoinSet::new(), JoinSet::new());
        let each = (Duration::from_secs(1) * BACKGROUND_PODS).checked_div(a_second);
        if each.is_some() {
            for pod in 0..BACKGROUND_PODS {
                let watchers = Watchers::open(&**registry, &service_of(pod), 1).await?;
                watching.spawn(count(watchers, background_pod(pod), arrived.clone()));
            }
        }
        let begin = Instant::now();
        for pod in 0..BACKGROUND_PODS {
            let Some(each) = each else { break };
            let first = each * pod / BACKGROUND_PODS;
            changing.spawn(change(registry.clone(), pod, first, each, over.subscribe(), done.clone()));
        }
        Ok(Self { changing, watching, over, done, arrived, a_second, begin })
    }

    /// Stops them, and says at what pace they were: the changes that take back what is there are none of it.
    pub(super) async fn end(mut self) -> anyhow::Result<Pace> {
        self.over.send_replace(true);
        let (done, lasted) = (self.done.load(Ordering::Relaxed), self.begin.elapsed());
        let begin = Instant::now();
        while self.arrived.load(Ordering::Relaxed) < done && begin.elapsed() < ARRIVED_WITHIN {
            sleep(LOOK_EVERY).await;
        }
        let arrived = self.arrived.load(Ordering::Relaxed).min(done);
        while let Some(ended) = self.changing.join_next().await {
            ended?.context("a background change")?;
        }
        if let Some(ended) = self.watching.try_join_next() {
            ended?.context("a background change's watcher")?;
        }
        let a_second = |many: u64| many as f64 / lasted.as_secs_f64();
        Ok(Pace { asked: self.a_second, done: a_second(done), arrived: a_second(arrived) })
    }
}

/// The first service is the one that is measured.
fn service_of(pod: u32) -> String {
    Data::service(MEASURED_SERVICES + pod)
}

async fn change(
    registry: Arc<dyn Registry>,
    pod: u32,
    first: Duration,
    each: Duration,
    mut over: watch::Receiver<bool>,
    done: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let (service, instance) = (service_of(pod), background_pod(pod));
    let mut ticks = interval_at(tokio::time::Instant::now() + first, each);
    // A registry that cannot keep up is not asked for all of it later: what arrives tells.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut is_there = false;
    loop {
        tokio::select! {
            biased;
            _ = over.wait_for(|over| *over) => break,
            _ = ticks.tick() => {}
        }
        match is_there {
            false => registry.register(&service, &instance).await?,
            true => registry.deregister(&service, &instance).await?,
        }
        is_there = !is_there;
        if !*over.borrow() {
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
    if is_there {
        registry.deregister(&service, &instance).await?;
    }
    Ok(())
}

/// Counts how often this instance has come, and gone.
async fn count(mut watchers: Watchers, instance: String, arrived: Arc<AtomicU64>) -> anyhow::Result<()> {
    let mut was_there = false;
    loop {
        let is_there = watchers.next().await?.has(&instance);
        if is_there != was_there {
            arrived.fetch_add(1, Ordering::Relaxed);
        }
        was_there = is_there;
    }
}

// === impl Pace ===

impl Pace {
    /// Of what was asked for and done, what watchers were told of.
    pub(super) fn arrived_a_second(self) -> f64 {
        self.arrived
    }

    /// So many were done in such a time.
    pub(super) fn done_within(self, lasted: Duration) -> f64 {
        self.done * lasted.as_secs_f64()
    }

    /// Fails where there was less than the row claims, with what there was.
    pub(super) fn is_kept(self) -> anyhow::Result<()> {
        let Self { asked, done, arrived } = self;
        ensure!(
            arrived >= f64::from(asked) * ARRIVED_MIN,
            "of {asked} other changes a second {done:.1} were done, and watchers were told of {arrived:.1}"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_of_which_a_tenth_is_missing_is_not_kept() {
        let pace = |asked, done, arrived| Pace { asked, done, arrived };
        for (pace, is_kept) in [
            (pace(0, 0.0, 0.0), true),
            (pace(50, 50.0, 45.0), true),
            (pace(50, 50.0, 44.9), false),
            (pace(200, 80.0, 80.0), false),
        ] {
            assert_eq!(pace.is_kept().is_ok(), is_kept, "{pace:?}");
        }
        let said = pace(200, 81.0, 80.0).is_kept().unwrap_err().to_string();
        assert!(said.contains("200") && said.contains("81.0") && said.contains("80.0"), "{said}");
    }

    #[test]
    fn each_pod_says_less_than_a_session_may() {
        /// By the controller, of one session.
        const WORDS_A_SECOND_MAX: u32 = 10;
        let most = super::super::case::BACKGROUND.into_iter().max().unwrap_or_default();
        assert!(most <= 8 * BACKGROUND_PODS && 8 < WORDS_A_SECOND_MAX);
        let filled = [super::super::QUICK, super::super::FULL];
        assert!(filled.iter().all(|data| SERVICES <= data.services), "each is of a service of its own");
    }
}
