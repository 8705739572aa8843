//! Beyond the largest cluster that was measured: what a larger one comes to, by the slopes of what was.
//!
//! The model is a function of kept results alone. Where a slope was not measured, it says by which command it is.

mod estimate;
mod measured;
mod page;

use std::collections::BTreeMap;

use self::{
    estimate::Estimate,
    measured::{
        BYTES_OF_DELIVERY, COLD_PEAK_MIB, COLD_S, CPU_US_OF_CHANGE, CPU_US_OF_DELIVERY,
        IDLE_BYTES_FROM_SESSION, IDLE_BYTES_TO_SESSION, IDLE_CPU_US, IDLE_CPU_US_OF_SESSION, INDEX_MIB,
        LISTED_MIB, MEMORY_MIB, READY_S, SESSION_MIB, START_PEAK_MIB, STATUSES_OF_CHANGE, Source, WARM_S,
    },
};
use crate::file::Results;

pub use self::page::{assumptions, tables};

/// Holds how large a cluster is, and how it is used.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cluster {
    pods: f64,
    nodes: f64,
    services: f64,
    /// Pods with a sidecar: each has a session.
    sessions: f64,
    /// Services that a sidecar holds.
    held: f64,
    changes_a_second: f64,
}

/// What Kubernetes is made for: 5,000 nodes, 150,000 pods, 10,000 services.
const LARGEST: Cluster = Cluster {
    pods: 150_000.0,
    nodes: 5_000.0,
    services: 10_000.0,
    sessions: 150_000.0,
    held: 20.0,
    changes_a_second: 20.0,
};
/// What is allowed there, and ten times that.
const CHANGES_A_SECOND: [f64; 2] = [20.0, 200.0];
/// A replica has places for so many.
const SESSIONS_OF_A_REPLICA: f64 = 10_000.0;
/// A kubelet renews a token of an hour after four fifths of it.
const TOKEN_RENEWED_S: f64 = 2_880.0;
/// Objects on a page of a list.
const PAGE_OBJECTS: f64 = 500.0;
/// Pods, Services, EndpointSlices, Nodes, Namespaces, ServiceRegistrations.
const KINDS: f64 = 6.0;
/// How long a call that watches lasts.
const WATCH_CALL_S: f64 = 50.0;
/// All kinds are listed to look whether anything was missed so often, in the middle of half an hour and an hour.
const AUDIT_S: f64 = 2_700.0;
/// Statuses that are written in a second at most.
const STATUSES_MAX: f64 = 20.0;
const SECOND_US: f64 = 1e6;
const MIB: f64 = 1_048_576.0;

/// Holds one line of what a cluster comes to.
struct Answer {
    what: &'static str,
    unit: &'static str,
    /// The measurements that it goes by.
    by: Vec<Source>,
    /// What it takes for granted, by the names of [`page::assumptions`].
    assumes: &'static [&'static str],
    /// None: a slope was not measured.
    value: Option<Estimate>,
}

/// Holds answers of one kind.
struct Answers {
    title: &'static str,
    answers: Vec<Answer>,
}

// === impl Cluster ===

impl Cluster {
    /// One more than there are places for, so that one may be lost.
    fn replicas(self) -> f64 {
        (self.sessions / SESSIONS_OF_A_REPLICA).ceil() + 1.0
    }

    fn sessions_of_a_replica(self) -> f64 {
        self.sessions / self.replicas()
    }

    /// How many sessions of one replica hold a service, where all are held alike.
    fn holders(self) -> f64 {
        self.sessions_of_a_replica() * self.held / self.services
    }

    /// Pods, Services with a slice each, nodes, and a registration of each service.
    fn objects(self) -> f64 {
        self.pods + 3.0 * self.services + self.nodes
    }
}

/// All answers, of the largest cluster.
fn answers(kept: &BTreeMap<String, Results>) -> Vec<Answers> {
    vec![memory(kept, LARGEST), changes(kept, LARGEST), storms(kept, LARGEST), api_server(kept, LARGEST)]
}

fn memory(kept: &BTreeMap<String, Results>, cluster: Cluster) -> Answers {
    let on = |source: Source, x| source.line(kept).map(|line| Estimate::on(line, x));
    let of_each = |source: Source| source.line(kept).map(Estimate::of_each);
    let empty = on(MEMORY_MIB, cluster.pods);
    let sessions = of_each(SESSION_MIB).map(|one| one * cluster.sessions_of_a_replica());
    let full = empty.zip(sessions).map(|(empty, sessions)| empty + sessions);
    let index =
        INDEX_MIB.at(kept, cluster.pods).map(Estimate::exactly).or_else(|| on(INDEX_MIB, cluster.pods));
    let answers = vec![
        Answer {
            what: "its index alone, measured at this size where there is no ±",
            unit: "MiB",
            by: vec![INDEX_MIB],
            assumes: &["pods"],
            value: index,
        },
        Answer {
            what: "a controller without sessions",
            unit: "MiB",
            by: vec![MEMORY_MIB],
            assumes: &["pods", "straight"],
            value: empty,
        },
        Answer {
            what: "its sessions",
            unit: "MiB",
            by: vec![SESSION_MIB],
            assumes: &["sidecars", "held", "replicas", "straight"],
            value: sessions,
        },
        Answer {
            what: "a controller with its sessions",
            unit: "MiB",
            by: vec![MEMORY_MIB, SESSION_MIB],
            assumes: &["pods", "sidecars", "held", "replicas", "straight"],
            value: full,
        },
        Answer {
            what: "the most while it starts",
            unit: "MiB",
            by: vec![START_PEAK_MIB],
            assumes: &["pods", "straight"],
            value: on(START_PEAK_MIB, cluster.pods),
        },
    ];
    Answers { title: "Memory of one controller", answers }
}

/// What there is with nothing to tell, of all sessions, and what comes with each change and each delivery of one.
fn changes(kept: &BTreeMap<String, Results>, cluster: Cluster) -> Answers {
    const OF_RATES: [[&str; 2]; 2] = [
        ["processors busy at 20 changes/s", "bytes to its sessions at 20 changes/s"],
        ["processors busy at 200 changes/s", "bytes to its sessions at 200 changes/s"],
    ];
    let on = |source: Source, x| source.line(kept).map(|line| Estimate::on(line, x));
    let of_each = |source: Source| source.line(kept).map(Estimate::of_each);
    let sum = |one: Option<Estimate>, other: Option<Estimate>| one.zip(other).map(|(one, other)| one + other);
    let of_all = |one: Option<Estimate>| one.map(|one| one * cluster.sessions_of_a_replica());
    let (alone, of_session) = (on(IDLE_CPU_US, cluster.pods), of_each(IDLE_CPU_US_OF_SESSION));
    let idle = sum(alone, of_all(of_session));
    let (of_change, of_delivery) = (on(CPU_US_OF_CHANGE, cluster.pods), of_each(CPU_US_OF_DELIVERY));
    let change = sum(of_change, of_delivery.map(|one| one * cluster.holders()));
    let (to, from) = (of_each(IDLE_BYTES_TO_SESSION), of_each(IDLE_BYTES_FROM_SESSION));
    let bytes = of_each(BYTES_OF_DELIVERY);
    let mut answers = vec![
        Answer {
            what: "processor time in a second with nothing to do, no sessions",
            unit: "µs",
            by: vec![IDLE_CPU_US],
            assumes: &["pods", "straight"],
            value: alone,
        },
        Answer {
            what: "processor time of an idle session in a second",
            unit: "µs",
            by: vec![IDLE_CPU_US_OF_SESSION],
            assumes: &["idle"],
            value: of_session,
        },
        Answer {
            what: "processor time of a change, nobody told",
            unit: "µs",
            by: vec![CPU_US_OF_CHANGE],
            assumes: &["pods", "straight"],
            value: of_change,
        },
        Answer {
            what: "processor time of one delivery",
            unit: "µs",
            by: vec![CPU_US_OF_DELIVERY],
            assumes: &["alone"],
            value: of_delivery,
        },
        Answer {
            what: "bytes of one delivery",
            unit: "B",
            by: vec![BYTES_OF_DELIVERY],
            assumes: &["frames"],
            value: bytes,
        },
        Answer {
            what: "bytes of an idle session in a second, to it and from it",
            unit: "B",
            by: vec![IDLE_BYTES_TO_SESSION, IDLE_BYTES_FROM_SESSION],
            assumes: &["idle", "frames"],
            value: sum(to, from),
        },
        Answer {
            what: "processors busy with nothing to tell",
            unit: "",
            by: vec![IDLE_CPU_US, IDLE_CPU_US_OF_SESSION],
            assumes: &["pods", "sidecars", "held", "replicas", "idle", "alone", "straight"],
            value: idle.map(|idle| idle * (1.0 / SECOND_US)),
        },
        Answer {
            what: "bytes to and from its sessions with nothing to tell",
            unit: "MiB/s",
            by: vec![IDLE_BYTES_TO_SESSION, IDLE_BYTES_FROM_SESSION],
            assumes: &["sidecars", "held", "replicas", "idle", "frames", "straight"],
            value: of_all(sum(to, from)).map(|bytes| bytes * (1.0 / MIB)),
        },
    ];
    for (rate, [busy, wire]) in CHANGES_A_SECOND.into_iter().zip(OF_RATES) {
        answers.push(Answer {
            what: busy,
            unit: "",
            by: vec![IDLE_CPU_US, IDLE_CPU_US_OF_SESSION, CPU_US_OF_CHANGE, CPU_US_OF_DELIVERY],
            assumes: &["pods", "sidecars", "held", "replicas", "even", "idle", "alone", "straight"],
            value: sum(idle, change.map(|change| change * rate)).map(|busy| busy * (1.0 / SECOND_US)),
        });
        answers.push(Answer {
            what: wire,
            unit: "MiB/s",
            by: vec![IDLE_BYTES_TO_SESSION, BYTES_OF_DELIVERY],
            assumes: &["sidecars", "held", "replicas", "even", "idle", "frames", "straight"],
            value: sum(of_all(to), bytes.map(|bytes| bytes * (cluster.holders() * rate)))
                .map(|bytes| bytes * (1.0 / MIB)),
        });
    }
    Answers { title: "Processor time and bytes, of each controller", answers }
}

fn storms(kept: &BTreeMap<String, Results>, cluster: Cluster) -> Answers {
    let on = |source: Source, x| source.line(kept).map(|line| Estimate::on(line, x));
    let of_each = |source: Source| source.line(kept).map(Estimate::of_each);
    let full = cluster.sessions_of_a_replica();
    // Those of a lost one are shared by all others, each of which has its own already.
    let more = full / (cluster.replicas() - 1.0);
    let ready = on(READY_S, cluster.pods);
    let all = on(COLD_S, full);
    let answers = vec![
        Answer {
            what: "a replica is lost: its sessions are in step at the others after",
            unit: "s",
            by: vec![WARM_S],
            assumes: &["sidecars", "held", "replicas", "even", "crowd", "straight"],
            value: of_each(WARM_S).map(|one| one * more),
        },
        Answer {
            what: "a controller starts: all kinds listed after",
            unit: "s",
            by: vec![READY_S],
            assumes: &["pods", "straight"],
            value: ready,
        },
        Answer {
            what: "all replicas start at once: every session is in step after",
            unit: "s",
            by: vec![READY_S, COLD_S],
            assumes: &["pods", "sidecars", "held", "replicas", "crowd", "straight"],
            value: ready.zip(all).map(|(ready, all)| ready + all),
        },
        Answer {
            what: "the most memory that the storm itself takes",
            unit: "MiB",
            by: vec![COLD_PEAK_MIB, SESSION_MIB],
            assumes: &["sidecars", "held", "replicas", "straight"],
            value: of_each(COLD_PEAK_MIB).map(|one| one * full),
        },
    ];
    Answers { title: "Session storms", answers }
}

fn api_server(kept: &BTreeMap<String, Results>, cluster: Cluster) -> Answers {
    let on = |source: Source, x| source.line(kept).map(|line| Estimate::on(line, x));
    let replicas = cluster.replicas();
    // The share of changes that set a status off is the same at any size.
    let statuses = STATUSES_OF_CHANGE
        .line(kept)
        .map(|line| Estimate::on(line, STATUSES_OF_CHANGE.up_to(kept).unwrap_or_default()));
    let most = |rate: f64| statuses.map(|share| bounded(share * rate, STATUSES_MAX));
    let listed = on(LISTED_MIB, cluster.pods);
    let exactly = |value| Some(Estimate::exactly(value));
    let answers = vec![
        Answer {
            what: "watches that are open, of all replicas",
            unit: "",
            by: vec![],
            assumes: &["replicas"],
            value: exactly(KINDS * replicas),
        },
        Answer {
            what: "calls that begin a watch anew",
            unit: "1/s",
            by: vec![],
            assumes: &["replicas"],
            value: exactly(KINDS * replicas / WATCH_CALL_S),
        },
        Answer {
            what: "pages of a replica's lists",
            unit: "",
            by: vec![],
            assumes: &["pods", "pages"],
            value: exactly((cluster.objects() / PAGE_OBJECTS).ceil()),
        },
        Answer {
            what: "what a replica lists when it starts",
            unit: "MiB",
            by: vec![LISTED_MIB],
            assumes: &["pods", "straight"],
            value: listed,
        },
        Answer {
            what: "what all replicas list to look whether anything was missed",
            unit: "MiB/s",
            by: vec![LISTED_MIB],
            assumes: &["pods", "replicas", "straight"],
            value: listed.map(|listed| listed * (replicas / AUDIT_S)),
        },
        Answer {
            what: "statuses written at 20 changes/s, of all replicas",
            unit: "1/s",
            by: vec![STATUSES_OF_CHANGE],
            assumes: &["kinds"],
            value: most(20.0),
        },
        Answer {
            what: "statuses written at 200 changes/s, of all replicas",
            unit: "1/s",
            by: vec![STATUSES_OF_CHANGE],
            assumes: &["kinds"],
            value: most(200.0),
        },
        Answer {
            what: "TokenReviews, of all replicas",
            unit: "1/s",
            by: vec![],
            assumes: &["sidecars", "tokens"],
            value: exactly(cluster.sessions / TOKEN_RENEWED_S),
        },
        Answer {
            what: "TokenReviews when all replicas start at once",
            unit: "",
            by: vec![],
            assumes: &["sidecars", "tokens"],
            value: exactly(cluster.sessions),
        },
    ];
    Answers { title: "The API server's load", answers }
}

/// What is written at no more than a pace: that is the most, whatever may be off.
fn bounded(wanted: Estimate, most: f64) -> Estimate {
    if wanted.value - wanted.off >= most {
        Estimate::exactly(most)
    } else {
        Estimate { value: wanted.value.min(most), ..wanted }
    }
}
