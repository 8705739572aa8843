//! The load: lookups over kept connections, as apps' clients make them, at the least cost to the machine. One thread makes
//! them all.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{
    task::{JoinSet, yield_now},
    time::timeout,
};

use crate::{
    local::{ANSWER_MAX, Keys, Outcome, Schedule},
    peers::{Client, Peer},
    report::Delays,
};

/// So late is who cannot keep a pace for good: nothing is asked from then on.
const LATE_MAX: Duration = Duration::from_secs(2);

/// Holds clients with their connections, which stay open behind a load: what it costs to make and to end them is no lookup's.
pub(crate) struct Clients(Vec<Box<dyn Client>>);

/// As many lookups as these can make, one after the other each.
pub(super) async fn closed(clients: &mut Clients, keys: &Keys, lasts: Duration) -> anyhow::Result<Outcome> {
    in_a_loop(clients, keys, lasts, u64::MAX).await
}

/// So many lookups over so many connections, of which nothing is kept: a program for a virtual machine is translated while it
/// runs, and caches are empty at first. They end after so long in any case.
pub(super) async fn warm_up(
    peer: &dyn Peer,
    keys: &Keys,
    connections: usize,
    lookups: u64,
    at_most: Duration,
) -> anyhow::Result<()> {
    let mut clients = Clients::connect(peer, connections).await?;
    in_a_loop(&mut clients, keys, at_most, lookups.div_ceil(connections as u64)).await.map(drop)
}

/// Until so long after the beginning, or until each has made so many.
async fn in_a_loop(
    clients: &mut Clients,
    keys: &Keys,
    lasts: Duration,
    each: u64,
) -> anyhow::Result<Outcome> {
    let begin = Instant::now();
    let mut asking = JoinSet::new();
    for (number, mut client) in clients.0.drain(..).enumerate() {
        let keys = keys.of(number);
        asking.spawn(async move {
            let mut delays = Delays::new()?;
            for (service, _) in keys.zip(0..each) {
                let asked = Instant::now();
                if asked - begin >= lasts {
                    break;
                }
                client.lookup(service).await?;
                delays.push(asked.elapsed());
            }
            anyhow::Ok((delays, client))
        });
    }
    let mut all = Delays::new()?;
    let ends = async {
        while let Some(ended) = asking.join_next().await {
            let (delays, client) = ended??;
            all.join(&delays)?;
            clients.0.push(client);
        }
        anyhow::Ok(())
    };
    timeout(lasts + ANSWER_MAX * 2, ends).await.context("a load does not end")??;
    Ok(Outcome::of(begin, all.len(), all))
}

/// So many lookups a second at the times when they are due, over these connections. Where all of them wait for an answer, the
/// next lookup is late, and that is its delay too. What was not asked for in the end is no answer, and its delay is the time for
/// which it waited.
pub(crate) async fn open(
    clients: &mut Clients,
    keys: &Keys,
    a_second: u32,
    lasts: Duration,
) -> anyhow::Result<Outcome> {
    let Clients(idle) = clients;
    let mut answers = 0;
    let mut asking = FuturesUnordered::new();
    let mut delays = Delays::new()?;
    let begin = Instant::now();
    let end = begin + lasts + LATE_MAX;
    for (due, service) in Schedule::new(begin, a_second, lasts).dues().zip(keys.of(0)) {
        let client = loop {
            while let Some(Some(answered)) = asking.next().now_or_never() {
                let (client, due): (Box<dyn Client>, Instant) = answered?;
                delays.push(due.elapsed());
                answers += 1;
                idle.push(client);
            }
            let now = Instant::now();
            if now >= due && (now > end || !idle.is_empty()) {
                break idle.pop().filter(|_| now <= end);
            }
            if asking.is_empty() {
                // The kernel wakes a thread on time, and a runtime's timer only to the millisecond.
                thread::sleep(due.saturating_duration_since(now));
            } else {
                // Looks for answers, and returns at once.
                yield_now().await;
            }
        };
        match client {
            Some(client) => asking.push(answered(client, service, due)),
            None => delays.push(due.elapsed()),
        }
    }
    let rest = async {
        while let Some(answered) = asking.next().await {
            let (client, due) = answered?;
            delays.push(due.elapsed());
            answers += 1;
            idle.push(client);
        }
        anyhow::Ok(())
    };
    timeout(ANSWER_MAX * 2, rest).await.context("a load does not end")??;
    Ok(Outcome::of(begin, answers, delays))
}

async fn answered(
    mut client: Box<dyn Client>,
    service: u32,
    due: Instant,
) -> anyhow::Result<(Box<dyn Client>, Instant)> {
    client.lookup(service).await?;
    Ok((client, due))
}

// === impl Clients ===

impl Clients {
    pub(crate) async fn connect(peer: &dyn Peer, connections: usize) -> anyhow::Result<Self> {
        ensure!(connections > 0, "a load needs a connection");
        let mut clients = Vec::with_capacity(connections);
        for _ in 0..connections {
            clients.push(timeout(ANSWER_MAX, peer.client()).await.context("no connection in time")??);
        }
        Ok(Self(clients))
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use rollcall_results::{Class, Configuration, Program};
    use tokio::{runtime::Builder, time::sleep};

    use super::*;

    /// Answers after so long, or never after so many answers.
    struct Slow {
        after: Duration,
    }

    impl Peer for Slow {
        fn name(&self) -> &str {
            "slow"
        }

        fn class(&self) -> Class {
            Class::Floor
        }

        fn configuration(&self) -> Configuration {
            Configuration::Default
        }

        fn programs(&self) -> Vec<Program> {
            Vec::new()
        }

        fn pids(&self) -> Vec<u32> {
            Vec::new()
        }

        fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>> {
            let client: Box<dyn Client> = Box::new(Self { after: self.after });
            async { Ok(client) }.boxed()
        }
    }

    impl Client for Slow {
        fn instances(&mut self, _: u32) -> BoxFuture<'_, anyhow::Result<Vec<String>>> {
            async { Ok(Vec::new()) }.boxed()
        }

        fn lookup(&mut self, _: u32) -> BoxFuture<'_, anyhow::Result<usize>> {
            async {
                sleep(self.after).await;
                Ok(1)
            }
            .boxed()
        }
    }

    fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> T {
        Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future).expect("done")
    }

    #[test]
    fn who_cannot_keep_the_pace_pays_for_all_who_wait() {
        let (slow, keys) = (&Slow { after: Duration::from_millis(20) }, &Keys::in_turn(1));
        let lasts = Duration::from_millis(200);
        // One connection can make 50 a second at most, and is asked for 200: all are asked, the last one 600 ms late.
        let by = |connections| async move {
            open(&mut Clients::connect(slow, connections).await?, keys, 200, lasts).await
        };
        let late = block_on(by(1));
        assert_eq!((late.delays.len(), late.answers), (40, 40));
        assert!(late.delays.at(1.0) >= Duration::from_millis(580), "{:?}", late.delays.at(1.0));
        // Eight connections can keep it.
        let kept = block_on(by(8));
        assert_eq!(kept.delays.len(), 40);
        assert!(kept.delays.at(0.5) < late.delays.at(0.5));
        assert!(kept.delays.at(0.0) >= Duration::from_millis(20) * 99 / 100);
    }

    #[test]
    fn what_nobody_asked_for_is_no_answer() {
        let (slow, keys) = (Slow { after: Duration::from_secs(2) }, Keys::in_turn(1));
        let of = block_on(async {
            open(&mut Clients::connect(&slow, 1).await?, &keys, 20, Duration::from_millis(200)).await
        });
        assert_eq!(of.delays.len(), 4);
        assert!((1..4).contains(&of.answers), "{}", of.answers);
    }

    #[test]
    fn a_closed_load_makes_what_its_connections_can_and_a_warm_up_ends() {
        let slow = Slow { after: Duration::from_millis(10) };
        let keys = Keys::in_turn(3);
        let closed = block_on(async {
            closed(&mut Clients::connect(&slow, 4).await?, &keys, Duration::from_millis(100)).await
        });
        assert!((4..=44).contains(&closed.delays.len()), "{}", closed.delays.len());
        let begin = Instant::now();
        block_on(warm_up(&slow, &keys, 4, 8, Duration::from_secs(60)));
        block_on(warm_up(&slow, &keys, 4, u64::MAX, Duration::from_millis(50)));
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
}
