//! What happens in a cluster while a controller is hurt, and what must have become of it in the end.

use std::{collections::BTreeMap, time::Duration};

use rollcall_apiserver::{ApiServer, Cluster, Faults, PodWish};
use serde_json::{Value, json};

use crate::process::{Process, Supervisor};

/// Between two steps: longer than a Lease takes to expire and to be claimed, so that each crash is overcome by the next.
pub(crate) const STEP: Duration = Duration::from_secs(40);
/// A managed registration that nobody wants goes after ten minutes, by the clock of the process that saw so.
const UNWANTED: Duration = Duration::from_secs(12 * 60);
/// Until a new process has claimed the Lease and looked at everything.
const TAKEN_OVER: Duration = Duration::from_secs(60);

/// Holds all that a story came to, without what only says when and in which life.
#[derive(Debug, PartialEq)]
pub(crate) struct End {
    pub(crate) catalogue: BTreeMap<String, String>,
    pub(crate) registrations: BTreeMap<String, Value>,
}

/// Says which story is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tale {
    /// Much comes, changes and goes.
    Busy,
    /// A service loses its last pod, and nobody wants its registration any more.
    Unwanted,
}

type Step = fn(&Cluster);

/// Holds a cluster whose story is told.
pub(crate) struct Story {
    pub(crate) server: ApiServer,
    cluster: Cluster,
    tale: Tale,
}

fn orders(node: &str) -> PodWish {
    PodWish {
        node: node.to_owned(),
        labels: vec![("app", "orders".to_owned())],
        annotations: vec![
            ("rollcall.dev/service", "orders".to_owned()),
            ("rollcall.dev/port", "http:8080".to_owned()),
        ],
        sidecar: false,
    }
}

fn labelled(app: &str) -> PodWish {
    PodWish { node: "n2".to_owned(), labels: vec![("app", app.to_owned())], ..PodWish::default() }
}

fn registration(name: &str, version: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"version": version, "ports": [{"name": "http", "port": 8080}],
        "target": {"selector": {"matchLabels": {"app": name}}}}})
}

// === impl Story ===

impl Story {
    /// What is there before any controller is.
    pub(crate) fn new(tale: Tale) -> Self {
        let server = ApiServer::default();
        let cluster = Cluster::new(&server);
        for namespace in ["rollcall-system", "shop", "billing"] {
            cluster.namespace(namespace);
        }
        cluster.node("n1", "a");
        cluster.node("n2", "b");
        cluster.service("shop", "web", "web", 8080);
        cluster.ready_pod("shop", "orders-1", "10.0.0.1", &orders("n1"));
        cluster.ready_pod("shop", "orders-2", "10.0.0.2", &orders("n2"));
        cluster.ready_pod("shop", "web-1", "10.0.0.3", &labelled("web"));
        cluster.ready_pod("billing", "pay-1", "10.0.1.1", &labelled("pay"));
        let mut passing = orders("n1");
        passing.annotations[0].1 = "passing".to_owned();
        cluster.ready_pod("billing", "passing-1", "10.0.1.2", &passing);
        cluster.create("serviceregistrations", "billing", registration("pay", "1.0.0"));
        Self { server, cluster, tale }
    }

    /// All that happens, one thing after the other.
    pub(crate) fn steps(&self) -> Vec<Step> {
        if self.tale == Tale::Unwanted {
            return vec![|cluster| cluster.end_pod("billing", "passing-1")];
        }
        vec![
            |cluster| {
                cluster.ready_pod("shop", "orders-3", "10.0.0.4", &orders("n2"));
                cluster.ready("shop", "orders-1", "app", false);
            },
            |cluster| {
                cluster.delete_pod("shop", "orders-2");
                cluster.lose_node("n1");
            },
            |cluster| {
                cluster.end_pod("shop", "orders-2");
                cluster.find_node("n1");
                cluster.edit("serviceregistrations", "billing", "pay", |pay| {
                    pay["spec"]["version"] = json!("2.0.0");
                });
            },
            |cluster| {
                cluster.ready("shop", "orders-1", "app", true);
                cluster.create("serviceregistrations", "shop", registration("web", "1.0.0"));
                cluster.delete_service("shop", "web");
            },
            |cluster| {
                cluster.delete("serviceregistrations", "shop", "web", &Value::Null);
                cluster.create("serviceregistrations", "shop", registration("web", "1.0.1"));
                // Its address is another's at once.
                cluster.end_pod("shop", "orders-3");
                cluster.ready_pod("shop", "web-2", "10.0.0.4", &labelled("web"));
            },
        ]
    }

    /// Tells it beside a controller for which this goes wrong.
    pub(crate) async fn told_beside(&self, replicas: &[usize], faults: &Faults) -> Supervisor {
        let mut controller = Supervisor::start(&self.server, replicas, faults);
        controller.pass(STEP).await;
        for step in self.steps() {
            step(&self.cluster);
            controller.pass(STEP).await;
        }
        controller
    }

    /// What it came to, once that is all: and whoever begins now finds the same, and has nothing to write.
    pub(crate) async fn ends(&self, mut controller: Supervisor) -> End {
        controller.pass(if self.tale == Tale::Unwanted { UNWANTED } else { STEP }).await;
        let catalogue = controller.process.catalogue();
        drop(controller);
        let before = self.server.revision();
        let fresh = Process::start(&self.server, &[0], &Faults::default());
        fresh.complete().await;
        tokio::time::sleep(TAKEN_OVER).await;
        assert_eq!(catalogue, fresh.catalogue(), "the catalogue is another than that of a fresh start");
        let written = self.server.written_after(before);
        let ours: Vec<_> = written.iter().filter(|one| one.id.kind == "serviceregistrations").collect();
        assert!(ours.is_empty(), "a fresh start had to write {ours:#?}");
        End { catalogue, registrations: self.registrations() }
    }

    fn registrations(&self) -> BTreeMap<String, Value> {
        let said = |object: Value| {
            let meta = &object["metadata"];
            let mut status = object["status"].clone();
            for condition in status["conditions"].as_array_mut().into_iter().flatten() {
                condition["lastTransitionTime"].take();
            }
            for instance in status["instances"].as_array_mut().into_iter().flatten() {
                instance["since"].take();
            }
            let name = format!("{}/{}", meta["namespace"].as_str().unwrap(), meta["name"].as_str().unwrap());
            let says = json!({"labels": meta["labels"], "spec": object["spec"], "status": status});
            (name, says)
        };
        self.server.objects("serviceregistrations").into_iter().map(said).collect()
    }
}
