//! The prober: asks the pod's own app whether it is well, as the controller says that it is to be asked.
//!
//! ```text
//!  duties ─► Plan ─┬─► attempts, one per instance ─► Judge ─► words ─► Own
//!                  └─► Looks: who listens, says the kernel ─► who does not any more is asked at once
//! ```
//!
//! Only addresses of this machine are asked, whatever a controller says. Nothing of this may harm an app that is well: a
//! question is one short connection at a time, and looks are none.

mod looks;
mod plan;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use rollcall_catalogue::liveness::Answer;
use rollcall_net::{
    Jitter,
    probe::{Check, Listeners, Outcome, attempt},
};
use rollcall_wire::Duty;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep_until},
};
use tracing::{debug, warn};

use self::plan::{Ask, Ended, Plan};
use crate::own::{Own, is_local};

/// A connection within this machine is made at once, or never.
const LOCAL_MAX: Duration = Duration::from_millis(250);
/// Where nobody is asked, a duty is what is waited for; a bound, so that no slip can stop the prober for good.
const IDLE_MAX: Duration = Duration::from_secs(3_600);

/// Holds the plan and all that is under way.
struct Prober<'a> {
    own: &'a Own,
    plan: Plan,
    /// Attempts: one for a duty, at most.
    under_way: JoinSet<(Ask, Ended)>,
    /// None before the first look, and after one that failed.
    listeners: Option<Listeners>,
    /// That nothing is seen was said.
    blind: bool,
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
        listeners: None,
        blind: false,
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
            Some(ended) = prober.under_way.join_next() => match ended {
                Ok((ask, ended)) => prober.ended(&ask, ended),
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
        for spot in self.plan.set(duties, now_ms, || draw(jitter)) {
            self.own.probed(&spot, None);
        }
    }

    /// Does what is due.
    fn act(&mut self) {
        let now_ms = self.now_ms();
        // First, so that who has ended is asked now.
        let looks = self.plan.looks(now_ms);
        self.look(&looks, now_ms);
        for ask in self.plan.take(now_ms) {
            self.under_way.spawn(async move {
                let ended = put(&ask).await;
                (ask, ended)
            });
        }
    }

    /// Looks who listens. A call of some microseconds each, which waits for nobody.
    fn look(&mut self, targets: &[SocketAddr], now_ms: u64) {
        for target in targets {
            match self.listens(*target) {
                Ok(listens) => self.plan.looked(*target, listens, now_ms),
                Err(error) => {
                    if !std::mem::replace(&mut self.blind, true) {
                        warn!(%error, "the kernel does not tell who listens; an app that crashes is found by its next probe");
                    }
                    self.listeners = None;
                    return self.plan.blind(now_ms);
                }
            }
        }
    }

    fn listens(&mut self, target: SocketAddr) -> io::Result<bool> {
        match &mut self.listeners {
            Some(listeners) => listeners.has(target),
            none => none.insert(Listeners::open()?).has(target),
        }
    }

    fn ended(&mut self, ask: &Ask, ended: Ended) {
        let (now_ms, draw) = (self.now_ms(), draw(&mut self.jitter));
        if let Some(word) = self.plan.ended(ask, ended, now_ms, draw) {
            debug!(service = %ask.spot.service, port = ask.spot.port, %word, "the app is another");
            self.own.probed(&ask.spot, Some(word));
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
