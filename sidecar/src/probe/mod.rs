//! The prober: asks the pod's own app whether it is well, as the controller says that it is to be asked.
//!
//! ```text
//!  duties ─► Plan ─┬─► attempts, one per instance ─► Judge ─► words ─► Own
//!                  └─► Wires: idle connections ─► the end of one asks at once
//! ```
//!
//! Only addresses of this machine are asked, whatever a controller says.

mod plan;
mod wire;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use rollcall_catalogue::liveness::Answer;
use rollcall_net::{
    Jitter,
    probe::{Check, Outcome, attempt, idle},
};
use rollcall_wire::Duty;
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{Duration, Instant, sleep_until},
};
use tracing::{debug, warn};

use self::plan::{Ask, Ended, Plan};
use crate::own::{Own, is_local};

/// A connection within this machine is made at once, or never.
const LOCAL_MAX: Duration = Duration::from_millis(250);
/// Where nobody is asked, a duty is what is waited for; a bound, so that no slip can stop the prober for good.
const IDLE_MAX: Duration = Duration::from_secs(3_600);

/// Says what happened.
enum Event {
    Ended(Ask, Ended),
    /// The connection ended after so long, or was never made.
    Tripped(SocketAddr, Option<Duration>),
}

/// Holds the plan and all that is under way.
struct Prober<'a> {
    own: &'a Own,
    plan: Plan,
    /// Attempts and held connections: one of each for a duty, at most.
    under_way: JoinSet<Event>,
    held: HashMap<SocketAddr, AbortHandle>,
    jitter: Jitter,
    begin: Instant,
}

/// Asks for as long as the process lives.
pub(crate) async fn run(own: &Own) {
    let mut duties = own.duties();
    let mut prober = Prober {
        own,
        plan: Plan::default(),
        under_way: JoinSet::new(),
        held: HashMap::new(),
        jitter: Jitter::from_entropy(),
        begin: Instant::now(),
    };
    let first = duties.borrow_and_update().clone();
    prober.set(&first);
    loop {
        prober.act();
        let at_ms = prober.plan.wake_at_ms();
        let at = at_ms.map_or(Instant::now() + IDLE_MAX, |at_ms| prober.begin + Duration::from_millis(at_ms));
        tokio::select! {
            changed = duties.changed() => {
                if changed.is_err() {
                    return;
                }
                let next: Arc<[Duty]> = duties.borrow_and_update().clone();
                prober.set(&next);
            }
            Some(happened) = prober.under_way.join_next() => match happened {
                Ok(event) => prober.happened(event),
                // Held connections are cut when nobody wants them.
                Err(error) if error.is_cancelled() => {}
                Err(error) => warn!(%error, "a probe died"),
            },
            () = sleep_until(at) => {}
        }
    }
}

// === impl Prober ===

impl Prober<'_> {
    fn set(&mut self, duties: &[Duty]) {
        let now_ms = self.now_ms();
        let jitter = &mut self.jitter;
        let (left, cut) = self.plan.set(duties, now_ms, || draw(jitter));
        for spot in left {
            self.own.probed(&spot, None);
        }
        for handle in cut.iter().filter_map(|target| self.held.remove(target)) {
            handle.abort();
        }
    }

    /// Does what is due.
    fn act(&mut self) {
        let due = self.plan.take(self.now_ms());
        for ask in due.ask {
            self.under_way.spawn(async move {
                let ended = put(&ask).await;
                Event::Ended(ask, ended)
            });
        }
        for target in due.hold {
            let handle = self
                .under_way
                .spawn(async move { Event::Tripped(target, idle(target, LOCAL_MAX).await.ok()) });
            self.held.insert(target, handle);
        }
    }

    fn happened(&mut self, event: Event) {
        let now_ms = self.now_ms();
        match event {
            Event::Ended(ask, ended) => {
                let draw = draw(&mut self.jitter);
                if let Some(word) = self.plan.ended(&ask, ended, now_ms, draw) {
                    debug!(service = %ask.spot.service, port = ask.spot.port, %word, "the app is another");
                    self.own.probed(&ask.spot, Some(word));
                }
            }
            Event::Tripped(target, lived) => {
                self.held.remove(&target);
                let lived_ms = lived.map(|lived| u64::try_from(lived.as_millis()).unwrap_or(u64::MAX));
                self.plan.tripped(target, lived_ms, now_ms);
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Puts one question; where nobody is at the address, the same port of this machine's loopback is tried as well.
async fn put(ask: &Ask) -> Ended {
    if !is_local(ask.target.ip()) {
        return Ended { answer: Answer::Unasked, on_loopback: false };
    }
    let outcome = attempt(ask.target, &ask.check, ask.limit).await;
    let on_loopback = outcome == Outcome::Refused && listens_on_loopback(ask.target).await;
    Ended { answer: outcome.into(), on_loopback }
}

async fn listens_on_loopback(target: SocketAddr) -> bool {
    let loopback: IpAddr = match target.ip() {
        address if address.is_loopback() => return false,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let there = SocketAddr::new(loopback, target.port());
    attempt(there, &Check::Tcp, LOCAL_MAX).await == Outcome::Passing
}

fn draw(jitter: &mut Jitter) -> u32 {
    (jitter.next_u64() >> 32) as u32
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
