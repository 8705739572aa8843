//! Changes of pods, written to the API server at a pace.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use kube::{
    Client,
    api::{Patch, PatchParams, Request},
};
use rollcall_cluster::interrupt;
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::objects::{readiness, saying, says_itself};
use crate::{
    fleet::{Fleet, INSTANCES, WAYS, key, pod_name},
    report::Delays,
    sessions::{ALL_HOLD, MADE, now_ns},
};

/// Written at a time: an API server that keeps up has fewer, and one that does not is the limit and not this.
const AT_A_TIME: usize = 32;

/// Of one change, with a pause between two.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(100);

/// Holds how much changes; of `shared` changes one is of the service that all sessions hold, and the others are of so many
/// `services`, which lie apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) a_second: u32,
    pub(crate) lasts: Duration,
    pub(crate) shared: u32,
    pub(crate) services: u32,
}

/// Holds which pod's turn it was last, and which are not ready.
#[derive(Debug, Default)]
pub(crate) struct Churn {
    turn: u32,
    /// Turns of the service that all sessions hold.
    turn_of_all: u32,
    unready: HashSet<u32>,
}

/// Says what a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// The pod says when it changed; its service is registered by what pods say.
    Says,
    /// Its readiness turns; where its service is one of Kubernetes', that makes another change, of the EndpointSlice.
    Ready(bool),
}

/// Holds what was written.
pub(crate) struct Made {
    pub(crate) changes: usize,
    /// Those of the service that all hold.
    pub(crate) of_all: usize,
    pub(crate) took: Duration,
    /// How long the API server took for each.
    pub(crate) writes: Delays,
}

// === impl Churn ===

impl Churn {
    /// Writes changes at this pace. Where the API server does not keep up it takes longer.
    pub(crate) async fn make(&mut self, client: &Client, fleet: Fleet, pace: Pace) -> Result<Made> {
        let places = Arc::new(Semaphore::new(AT_A_TIME));
        let mut ticks = interval(Duration::from_secs(1) / pace.a_second.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (begin, mut under_way) = (Instant::now(), JoinSet::new());
        let changes = (pace.lasts.as_secs_f64() * f64::from(pace.a_second)) as usize;
        let mut made = Made { changes, of_all: 0, took: Duration::ZERO, writes: Delays::new()? };
        for _ in 0..changes {
            interrupt::check()?;
            ticks.tick().await;
            let (pod, change) = self.next(fleet, pace);
            made.of_all += usize::from(pod / INSTANCES == ALL_HOLD);
            let (client, place) = (client.clone(), places.clone().acquire_owned().await?);
            under_way.spawn(async move {
                let _place = place;
                write(&client, pod, change).await
            });
            while let Some(written) = under_way.try_join_next() {
                made.writes.push(written??);
            }
        }
        while let Some(written) = under_way.join_next().await {
            made.writes.push(written??);
        }
        made.took = begin.elapsed();
        Ok(made)
    }

    fn next(&mut self, fleet: Fleet, pace: Pace) -> (u32, Change) {
        self.turn = self.turn.wrapping_add(1);
        let drawn = drawn(self.turn);
        let service = match self.turn.is_multiple_of(pace.shared) {
            true => ALL_HOLD,
            false => service(drawn, self.turn % WAYS, fleet, pace.services),
        };
        let place = match service {
            // One after the other: whoever changed again before all were told would have been told of one change only.
            ALL_HOLD => {
                self.turn_of_all = self.turn_of_all.wrapping_add(1);
                self.turn_of_all
            }
            _ => drawn >> 16,
        };
        let pod = service * INSTANCES + place % INSTANCES;
        if says_itself(service) {
            return (pod, Change::Says);
        }
        let ready = self.unready.remove(&pod);
        if !ready {
            self.unready.insert(pod);
        }
        (pod, Change::Ready(ready))
    }
}

/// One of so many services of this fleet that lie apart, and that is registered in this way.
fn service(drawn: u32, way: u32, fleet: Fleet, services: u32) -> u32 {
    let all = fleet.services().max(1);
    let services = services.clamp(1, all);
    let of_that_way = services.saturating_sub(way).div_ceil(WAYS).max(1);
    let service = drawn % of_that_way * (all / services) * WAYS + way;
    // Of fewer than there are ways, not all have one.
    service.min(all - 1)
}

/// A number that is the same in each run, and follows no pattern from turn to turn (SplitMix64, of which this is the half that
/// is mixed best).
fn drawn(turn: u32) -> u32 {
    let mut mixed = u64::from(turn).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 32) as u32
}

/// How long the API server took. A change that is written twice is the same change.
async fn write(client: &Client, pod: u32, change: Change) -> Result<Duration> {
    let begin = Instant::now();
    for _ in 1..TRIES {
        match sent(client, pod, change).await {
            // The connection broke: of hundreds of thousands of calls, some do.
            Err(kube::Error::Service(_) | kube::Error::HyperError(_)) => sleep(PAUSE).await,
            done => {
                return done.map(|()| begin.elapsed()).with_context(|| format!("{change:?} of pod {pod}"));
            }
        }
    }
    sent(client, pod, change).await.with_context(|| format!("{change:?} of pod {pod}, {TRIES} times"))?;
    Ok(begin.elapsed())
}

async fn sent(client: &Client, pod: u32, change: Change) -> Result<(), kube::Error> {
    let (namespace, name) = (key(pod / INSTANCES).namespace, pod_name(pod));
    let path = Request::new(format!("/api/v1/namespaces/{namespace}/pods"));
    let params = PatchParams::default();
    let request = match change {
        Change::Says => {
            let says = format!("team=payments,{MADE}={}", now_ns());
            path.patch(&name, &params, &Patch::Merge(saying(&says)))
        }
        Change::Ready(ready) => {
            path.patch_subresource("status", &name, &params, &Patch::Strategic(readiness(ready)))
        }
    };
    client.request::<Value>(request.map_err(kube::Error::BuildRequest)?).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One change of ten is of what all hold, the others are of so many services.
    fn pace(services: u32) -> Pace {
        Pace { a_second: 20, lasts: Duration::from_secs(1), shared: 10, services }
    }

    #[test]
    fn of_so_many_changes_one_is_of_the_service_that_all_hold() {
        let (mut churn, fleet) = (Churn::default(), Fleet { instances: 1_000 });
        let changes: Vec<_> = (0..1_000).map(|_| churn.next(fleet, pace(50))).collect();
        let of_all = changes.iter().filter(|(pod, _)| pod / INSTANCES == ALL_HOLD).count();
        assert!((100..=130).contains(&of_all), "{of_all}");
        assert!(changes.iter().all(|(pod, _)| *pod < fleet.instances));
        // No pod's turn comes again before all others of that service had theirs.
        let pods: Vec<_> =
            changes.iter().map(|(pod, _)| *pod).filter(|pod| pod / INSTANCES == ALL_HOLD).collect();
        assert!(pods.chunks(20).all(|turn| turn.iter().collect::<HashSet<_>>().len() == turn.len()));
    }

    #[test]
    fn changes_are_of_so_many_services_that_lie_apart_and_as_many_of_each_way() {
        for (instances, services, furthest) in
            [(1_000, 50, 49), (20_000, 1_000, 999), (20_000, 50, 16 * 60 + 1), (20, 50, 0), (40, 9, 1)]
        {
            let (mut churn, fleet) = (Churn::default(), Fleet { instances });
            let drawn: Vec<_> = (0..30_000)
                .map(|_| churn.next(fleet, pace(services)).0 / INSTANCES)
                .filter(|service| *service != ALL_HOLD)
                .collect();
            let different: HashSet<_> = drawn.iter().copied().chain([ALL_HOLD]).collect();
            assert_eq!(different.len() as u32, services.min(fleet.services()), "{instances}, {services}");
            assert_eq!(different.iter().max(), Some(&furthest), "{instances}, {services}");
            if fleet.services() >= WAYS {
                let of = |way: u32| drawn.iter().filter(|service| *service % WAYS == way).count();
                assert_eq!((of(1), of(2)), (9_000, 9_000), "{instances}, {services}");
            }
        }
    }

    #[test]
    fn readiness_turns_each_time_and_only_where_the_pods_do_not_speak() {
        let (mut churn, fleet) = (Churn::default(), Fleet { instances: 1_000 });
        let mut ready = std::collections::HashMap::new();
        for _ in 0..5_000 {
            let (pod, change) = churn.next(fleet, pace(50));
            match change {
                Change::Says => assert!(says_itself(pod / INSTANCES)),
                Change::Ready(now) => {
                    assert!(!says_itself(pod / INSTANCES));
                    assert_eq!(ready.insert(pod, now).unwrap_or(true), !now, "{pod} was so already");
                }
            }
        }
        assert!(ready.values().any(|now| *now) && ready.values().any(|now| !now));
    }
}
