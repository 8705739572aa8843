//! Those who watch one service, as many as are wanted, and what they tell.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::{StreamExt, future::BoxFuture, stream};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::timeout,
};

use crate::peers::{Registry, Watcher};

/// Watches that are opened at a time.
const OPENED_TOGETHER: usize = 16;
/// What is not there by then is not coming: a poll of a cache that is filled each half minute comes at last.
const FIRST_MAX: Duration = Duration::from_secs(100);

/// Holds watchers, each with a task of its own, and all that they have told and nobody has taken yet. They end with this.
pub(crate) struct Watchers {
    news: UnboundedReceiver<anyhow::Result<News>>,
    _tasks: JoinSet<()>,
}

/// Holds a state that one of them knew.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) watcher: usize,
    pub(crate) at: Instant,
    pub(crate) instances: Vec<String>,
}

// === impl Watchers ===

impl Watchers {
    /// Returns once each has its first state.
    pub(crate) async fn open(registry: &dyn Registry, service: &str, many: usize) -> anyhow::Result<Self> {
        Self::of((0..many).map(|_| registry.watch(service))).await
    }

    /// The same of those who are opened so.
    pub(crate) async fn of<'a>(
        opening: impl ExactSizeIterator<Item = BoxFuture<'a, anyhow::Result<Box<dyn Watcher>>>>,
    ) -> anyhow::Result<Self> {
        let many = opening.len();
        let (tell, news) = unbounded_channel();
        let mut opening = stream::iter(opening).buffer_unordered(OPENED_TOGETHER);
        let mut tasks = JoinSet::new();
        while let Some(watcher) = opening.next().await {
            tasks.spawn(watch(tasks.len(), watcher?, tell.clone()));
        }
        let mut watchers = Self { news, _tasks: tasks };
        let mut known = vec![false; many];
        let begin = Instant::now();
        while known.contains(&false) {
            let left = FIRST_MAX.saturating_sub(begin.elapsed());
            let first = timeout(left, watchers.next()).await;
            let first = first.context("not all watchers have a first state")??;
            if let Some(known) = known.get_mut(first.watcher) {
                *known = true;
            }
        }
        Ok(watchers)
    }

    /// Waits for as long as nobody tells anything.
    pub(crate) async fn next(&mut self) -> anyhow::Result<News> {
        match self.news.recv().await {
            Some(news) => news,
            None => bail!("nobody watches"),
        }
    }
}

async fn watch(number: usize, mut watcher: Box<dyn Watcher>, tell: UnboundedSender<anyhow::Result<News>>) {
    loop {
        let next = watcher.next().await.map(|(at, instances)| News { watcher: number, at, instances });
        let failed = next.is_err();
        if tell.send(next.with_context(|| format!("watcher {number}"))).is_err() || failed {
            return;
        }
    }
}

// === impl News ===

impl News {
    pub(crate) fn has(&self, instance: &str) -> bool {
        self.instances.iter().any(|one| one == instance)
    }
}
