//! The controllers and sidecars, all of them processes of this machine.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context, Result, bail, ensure};
use rollcall_controller_tests::{
    controller::{Controller, free_port},
    hermit::{Berth, Hermit},
    stage::{Scene, eventually},
};
use rollcall_faults::{Client, Pod, Subject, Truth};
use serde_json::json;

const REPLICAS: usize = 3;
/// A handful of instances each.
const SERVICES: [&str; 6] = ["orders", "billing", "stock", "search", "mail", "audit"];
/// As many as the stage has.
const NODES: usize = 4;
/// What is counted by the controllers, what of it is told, and the name that a record has it by. All are well, and so whoever is
/// evicted is so in error.
const COUNTERS: [(&str, &str, &str); 3] = [
    ("rollcall_evictions_total", "evictions", EVICTED),
    ("rollcall_false_alarms_total", "false alarms", "false_alarms"),
    ("rollcall_sessions_ended_total", "sessions lost", "sessions_lost"),
];
pub(super) const EVICTED: &str = "false_evictions";

/// Holds all of them.
pub(super) struct Fleet {
    controllers: Vec<Controller>,
    pub(super) sidecars: Vec<Hermit>,
    /// Those of the sidecars, in their order.
    pods: Vec<Pod>,
    _berths: Vec<Berth>,
}

/// Holds what all controllers have counted, in the order of [`COUNTERS`].
pub(super) struct Counted([f64; COUNTERS.len()]);

// === impl Fleet ===

impl Fleet {
    /// Returns once everybody knows everybody.
    pub(super) fn start(scene: &Scene, shop: &str, sidecars: u8) -> Result<Self> {
        let berths = (0..REPLICAS).map(|_| Berth::new()).collect::<Result<Vec<_>>>()?;
        let port = free_port()?.port();
        let places: Vec<_> =
            berths.iter().map(|berth| SocketAddr::new(berth.address().into(), port)).collect();
        let mut controllers = Vec::new();
        for (place, number) in places.iter().zip(1..) {
            let name = format!("replica-{number}");
            let address = place.ip().to_string();
            scene.pod_by_hand(scene.stage.namespace(), &name, &json!({}), &[&address])?;
            let peers: Vec<_> = places.iter().copied().filter(|other| other != place).collect();
            controllers.push(scene.stage.replica(&name, *place, &peers)?);
        }
        let (mut hermits, mut pods) = (Vec::new(), Vec::new());
        let turns = SERVICES.iter().cycle().zip((1..=NODES).cycle()).zip(places.iter().cycle());
        for (((service, node), place), number) in turns.zip(0..sidecars) {
            let pod = format!("{service}-{number}");
            let hermit = scene.hermit_at(*place, (shop, &pod, service, u8::try_from(node)?))?;
            let address = IpAddr::from(hermit.address()).to_string();
            pods.push(Pod {
                name: pod,
                service: (*service).to_owned(),
                address,
                node: format!("node{node}"),
            });
            hermits.push(hermit);
        }
        let fleet = Self { controllers, sidecars: hermits, pods, _berths: berths };
        fleet.know_each_other()?;
        Ok(fleet)
    }

    fn know_each_other(&self) -> Result<()> {
        for (sidecar, pod) in self.sidecars.iter().zip(&self.pods) {
            for service in self.services() {
                eventually(&format!("{} knows {service}", pod.name), || {
                    let found = sidecar.lookup(service)?;
                    let expected = self.pods.iter().filter(|pod| pod.service == service).count();
                    if found.0.len() == expected && found.1 == 0 { Ok(true) } else { bail!("{found:?}") }
                })?;
            }
        }
        let sessions = self.controllers.iter().map(|one| one.metric("rollcall_sessions", ""));
        println!("sessions: {:?}", sessions.collect::<Result<Vec<_>>>()?);
        Ok(())
    }

    /// An error where a process of it has ended.
    pub(super) fn check(&self) -> Result<()> {
        for (sidecar, pod) in self.sidecars.iter().zip(&self.pods) {
            let ended = sidecar.ended();
            ensure!(
                ended.is_none(),
                "the sidecar of {} ended: {ended:?}\n{}",
                pod.name,
                sidecar.last_words()
            );
        }
        for (controller, number) in self.controllers.iter().zip(1..) {
            let ended = controller.ended();
            ensure!(ended.is_none(), "controller {number} ended: {ended:?}\n{}", controller.last_words());
        }
        Ok(())
    }

    pub(super) fn replicas(&self) -> usize {
        self.controllers.len()
    }

    pub(super) fn services(&self) -> Vec<&'static str> {
        SERVICES.into_iter().filter(|service| self.pods.iter().any(|pod| pod.service == *service)).collect()
    }

    pub(super) fn subjects(&self) -> Vec<Subject> {
        let of = |(sidecar, pod): (&Hermit, &Pod)| Subject {
            client: Client { name: pod.name.clone(), place: pod.node.clone() },
            network: sidecar.network(),
        };
        self.sidecars.iter().zip(&self.pods).map(of).collect()
    }

    /// All of them are well all the time.
    pub(super) fn truth(&self) -> Truth {
        Truth { pods: self.pods.clone(), ..Truth::default() }
    }

    /// An error where one of the controllers does not say: without its counts the sum would be too small.
    pub(super) fn counted(&self) -> Result<Counted> {
        let mut all = [0.0; COUNTERS.len()];
        for (controller, number) in self.controllers.iter().zip(1..) {
            let metrics = controller.metrics().with_context(|| format!("asking controller {number}"))?;
            for (sum, (name, ..)) in all.iter_mut().zip(COUNTERS) {
                // A counter that nothing has been counted by yet need not be there.
                *sum += metrics.sum(name, "").unwrap_or_default();
            }
        }
        Ok(Counted(all))
    }
}

// === impl Counted ===

impl Counted {
    pub(super) fn since(&self, before: &Self) -> Self {
        let mut since = self.0;
        for (now, before) in since.iter_mut().zip(before.0) {
            *now -= before;
        }
        Self(since)
    }

    /// By the names that a record has them by.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, f64)> {
        COUNTERS.into_iter().zip(self.0).map(|((_, _, name), count)| (name, count))
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<_> =
            self.0.iter().zip(COUNTERS).map(|(count, (_, what, _))| format!("{count} {what}")).collect();
        formatter.write_str(&told.join(", "))
    }
}
