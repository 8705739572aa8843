//! The load: lookups over kept connections, as apps' clients make them, at the least cost to the machine. One thread makes
//! them all.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{
    select,
    task::{JoinSet, yield_now},
    time::{sleep_until, timeout},
};

use crate::{
    local::{ANSWER_MAX, Alarm, Begin, Keys, Outcome, Schedule},
    peers::{Client, Peer},
    report::Delays,
};

/// So late is who cannot keep a pace for good: nothing is asked from then on.
const LATE_MAX: Duration = Duration::from_secs(2);
/// A processor that sleeps takes about so long to wake up: a load that keeps a pace is awake by so much before a request is due.
const AWAKE_BEFORE: Duration = Duration::from_micros(50);
/// Of the time from one request to the next, it is awake for this share at most. It comes before all else on its processor, and
/// kernels before 6.12 stop for 50 ms of each second who does so without a pause.
const AWAKE_SHARE: u32 = 10;

/// Who sleeps for less pays more for it than he gains: where requests are due sooner after each other, those of so long are sent
/// together, by which some are late; that is told.
const ASLEEP_MIN: Duration = Duration::from_micros(20);

/// Holds clients with their connections, which stay open behind a load: what it costs to make and to end them is no lookup's.
pub(crate) struct Clients(Vec<Box<dyn Client>>);

/// Holds what came of a load that keeps a pace, as far as it is.
struct Tally<'a> {
    idle: &'a mut Vec<Box<dyn Client>>,
    answers: u64,
    delays: Delays,
    late: Delays,
    /// Until then a request waited for a connection, and all behind it did.
    held_until: Instant,
}

/// As many lookups as these can make, one after the other each.
pub(super) async fn closed(clients: &mut Clients, keys: &Keys, lasts: Duration) -> anyhow::Result<Outcome> {
    in_a_loop(clients, keys, 0, lasts).await
}

/// The same for clients that are not the first ones to ask: so many others did before them, from places of their own.
pub(super) async fn in_a_loop(
    clients: &mut Clients,
    keys: &Keys,
    others: usize,
    lasts: Duration,
) -> anyhow::Result<Outcome> {
    let begin = Begin::now()?;
    let begun = begin.at;
    let mut asking = JoinSet::new();
    for (number, mut client) in clients.0.drain(..).enumerate() {
        let keys = keys.of(others + number);
        asking.spawn(async move {
            let mut delays = Delays::new()?;
            for service in keys {
                let asked = Instant::now();
                if asked - begun >= lasts {
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
    begin.came_to(all.len(), all, Delays::new()?)
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
    let mut alarm = Alarm::new()?;
    let mut asking = FuturesUnordered::new();
    let begin = Begin::now()?;
    let (delays, late) = (Delays::new()?, Delays::new()?);
    let mut tally = Tally { idle, answers: 0, delays, late, held_until: begin.at };
    let end = begin.at + lasts + LATE_MAX;
    let mut given_up = pin!(sleep_until(end.into()));
    let awake_before = awake_before(a_second);
    let mut asleep_until = begin.at;
    for (due, service) in Schedule::new(begin.at, a_second, lasts).dues().zip(keys.of(0)) {
        let mut is_held = false;
        let client = loop {
            while let Some(Some(answered)) = asking.next().now_or_never() {
                tally.take(answered?);
            }
            let now = Instant::now();
            if now > end {
                break None;
            }
            if now >= due && !tally.idle.is_empty() {
                break tally.free(due, now, is_held);
            }
            is_held |= now >= due;
            let awake = due.checked_sub(awake_before).unwrap_or(due);
            if now < due && now >= awake {
                // Looks for answers, and returns at once.
                yield_now().await;
                continue;
            }
            select! {
                biased;
                Some(answered) = asking.next() => tally.take(answered?),
                woken = alarm.at(awake.max(asleep_until)), if now < due => {
                    woken?;
                    asleep_until = Instant::now() + ASLEEP_MIN;
                }
                () = &mut given_up => {}
            }
        };
        match client {
            Some(client) => asking.push(answered(client, service, due)),
            None => tally.delays.push(due.elapsed()),
        }
    }
    let rest = async {
        while let Some(answered) = asking.next().await {
            tally.take(answered?);
        }
        anyhow::Ok(())
    };
    timeout(ANSWER_MAX * 2, rest).await.context("a load does not end")??;
    begin.came_to(tally.answers, tally.delays, tally.late)
}

/// By how much a load of so many a second is awake before each is due.
fn awake_before(a_second: u32) -> Duration {
    AWAKE_BEFORE.min(Duration::from_secs(1) / a_second.max(1) / AWAKE_SHARE)
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

// === impl Tally ===

impl Tally<'_> {
    /// A connection has its answer, to what was due then, and is free.
    fn take(&mut self, (client, due): (Box<dyn Client>, Instant)) {
        self.delays.push(due.elapsed());
        self.answers += 1;
        self.idle.push(client);
    }

    /// A free connection, for what was due then and is sent now; what is late about it is the load's own, but for what it was
    /// held for by those who had no answer yet.
    fn free(&mut self, due: Instant, now: Instant, is_held: bool) -> Option<Box<dyn Client>> {
        let client = self.idle.pop()?;
        if is_held {
            self.held_until = now;
        }
        self.late.push(now.saturating_duration_since(due.max(self.held_until)));
        Some(client)
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
        // None of that is the load's own.
        assert_eq!(late.late.len(), 40);
        assert!(late.late.at(0.9) < Duration::from_millis(20), "{:?}", late.late.at(0.9));
        // Eight connections can keep it.
        let kept = block_on(by(8));
        assert_eq!(kept.delays.len(), 40);
        assert!(kept.delays.at(0.5) < late.delays.at(0.5));
        assert!(kept.delays.at(0.0) >= Duration::from_millis(20) * 99 / 100);
    }

    #[test]
    fn a_load_is_awake_for_a_small_share_of_its_time() {
        for (a_second, expected_us) in [(0, 50), (200, 50), (2_000, 50), (10_000, 10), (100_000, 1)] {
            assert_eq!(awake_before(a_second), Duration::from_micros(expected_us), "{a_second}");
        }
    }

    #[test]
    fn what_nobody_asked_for_is_no_answer() {
        let (slow, keys) = (Slow { after: Duration::from_secs(2) }, Keys::in_turn(1));
        let of = block_on(async {
            open(&mut Clients::connect(&slow, 1).await?, &keys, 20, Duration::from_millis(200)).await
        });
        assert_eq!((of.delays.len(), of.late.len()), (4, of.answers));
        assert!((1..4).contains(&of.answers), "{}", of.answers);
    }

    #[test]
    fn a_closed_load_makes_what_its_connections_can() {
        let slow = Slow { after: Duration::from_millis(10) };
        let keys = Keys::in_turn(3);
        let closed = block_on(async {
            closed(&mut Clients::connect(&slow, 4).await?, &keys, Duration::from_millis(100)).await
        });
        assert!((4..=44).contains(&closed.delays.len()), "{}", closed.delays.len());
    }
}
