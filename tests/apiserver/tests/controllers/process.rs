//! A controller's process, without its ports: what it knows, and its death.

use std::{collections::BTreeMap, time::Duration};

use rollcall_apiserver::{ApiServer, Faults};
use rollcall_controller::{
    IndexHandle,
    index::Index,
    lease,
    operate::Metrics,
    parts::{Beneath, Parts},
};
use rollcall_net::{Trigger, shutdown};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// A process that died is begun anew after so long.
const RESTART: Duration = Duration::from_secs(2);
/// By then it must know everything that there is, whatever went wrong meanwhile.
const COMPLETE_WITHIN: Duration = Duration::from_secs(120);

/// Holds a process that runs; dropped, it is killed.
pub(crate) struct Process {
    pub(crate) index: IndexHandle,
    pub(crate) faults: Faults,
    _parts: Parts,
    _trigger: Trigger,
}

/// Holds whichever process runs now, and starts the next one when it dies.
pub(crate) struct Supervisor {
    server: ApiServer,
    replicas: Vec<usize>,
    pub(crate) process: Process,
    pub(crate) deaths: u32,
}

// === impl Process ===

impl Process {
    pub(crate) fn start(server: &ApiServer, replicas: &[usize], faults: &Faults) -> Self {
        let (trigger, ear) = shutdown();
        let beneath = Beneath {
            client: server.client_among(replicas, faults),
            index: Index::default(),
            lease: lease::Settings {
                namespace: "rollcall-system".to_owned(),
                name: "rollcall-controller".to_owned(),
                replica: "controller-1".to_owned(),
            },
            metrics: Metrics::new(),
        };
        let mut parts = Parts::new();
        let (index, _) = beneath.start(&mut parts, &ear);
        Self { index, faults: faults.clone(), _parts: parts, _trigger: trigger }
    }

    /// What the catalogue says of each service: by its content, and in words.
    pub(crate) fn catalogue(&self) -> BTreeMap<String, String> {
        let view = self.index.view().borrow().clone();
        let say = |service: &rollcall_catalogue::Service| {
            let instances = service.instances.iter();
            let each = instances.map(|one| format!("{:?} {:?} {:?}", one.addresses, one.state, one.reason));
            format!("{:?} {}", service.hash, each.collect::<Vec<_>>().join(", "))
        };
        view.catalogue.iter().map(|(key, service)| (key.to_string(), say(service))).collect()
    }

    /// Waits until it knows everything.
    pub(crate) async fn complete(&self) {
        let mut view = self.index.view();
        let complete = timeout(COMPLETE_WITHIN, view.wait_for(|view| view.complete)).await;
        assert!(complete.is_ok_and(|view| view.is_ok()), "it never knew everything");
    }
}

// === impl Supervisor ===

impl Supervisor {
    pub(crate) fn start(server: &ApiServer, replicas: &[usize], faults: &Faults) -> Self {
        let process = Process::start(server, replicas, faults);
        Self { server: server.clone(), replicas: replicas.to_vec(), process, deaths: 0 }
    }

    /// Lets time pass, and starts whoever dies meanwhile anew.
    pub(crate) async fn pass(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let faults = self.process.faults.clone();
            tokio::select! {
                () = sleep_until(until) => return,
                () = faults.dead() => {}
            }
            self.deaths += 1;
            sleep(RESTART).await;
            // What went wrong for that one is over.
            self.process = Process::start(&self.server, &self.replicas, &Faults::default());
        }
    }
}
