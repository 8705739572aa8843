//! Changes of other services beside those that are measured, at a pace of their own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::rows::BACKGROUND;
use crate::peers::{Data, Registry};

/// Services that change, from the second one on; each has one who changes it, so that so many changes are under way at a time.
const SERVICES: u32 = 8;

/// Holds those who make the changes.
pub(super) struct Background {
    tasks: JoinSet<anyhow::Result<()>>,
    over: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    begin: Instant,
}

// === impl Background ===

impl Background {
    /// So many changes a second in all: an instance comes, and goes, and comes.
    pub(super) fn begin(registry: &Arc<dyn Registry>, a_second: u32) -> Self {
        let (over, done) = (Arc::new(AtomicBool::default()), Arc::new(AtomicU64::default()));
        let mut tasks = JoinSet::new();
        if let Some(each) = (Duration::from_secs(1) * SERVICES).checked_div(a_second) {
            for service in 1..=SERVICES {
                tasks.spawn(change(registry.clone(), service, each, over.clone(), done.clone()));
            }
        }
        Self { tasks, over, done, begin: Instant::now() }
    }

    /// Takes back what is there, and says how many changes a second there were.
    pub(super) async fn end(mut self) -> anyhow::Result<f64> {
        self.over.store(true, Ordering::Relaxed);
        let a_second = self.done.load(Ordering::Relaxed) as f64 / self.begin.elapsed().as_secs_f64();
        while let Some(ended) = self.tasks.join_next().await {
            ended?.context("a background change")?;
        }
        Ok(a_second)
    }
}

async fn change(
    registry: Arc<dyn Registry>,
    service: u32,
    each: Duration,
    over: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let service = Data::service(service);
    let mut ticks = interval(each);
    // A registry that cannot keep up is not asked for all of it later: what was done is told beside what was wanted.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut is_there = false;
    while !over.load(Ordering::Relaxed) {
        ticks.tick().await;
        match is_there {
            false => registry.register(&service, BACKGROUND).await?,
            true => registry.deregister(&service, BACKGROUND).await?,
        }
        is_there = !is_there;
        done.fetch_add(1, Ordering::Relaxed);
    }
    if is_there {
        registry.deregister(&service, BACKGROUND).await?;
    }
    Ok(())
}
