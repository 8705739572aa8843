//! The catalogue that is looked up: services of ten instances each, in one namespace with the caller.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::bail;
use rollcall_catalogue::{
    Attributes, Namespace, PodFacts, Port, Registration, ServiceKey, Source, Target, liveness::PodLife,
};
use rollcall_controller::{
    IndexHandle,
    index::{Change, Kind, NamespaceFacts, NodeFacts},
};
use tokio::{
    runtime::Runtime,
    time::{MissedTickBehavior, interval},
};

use crate::{
    fleet::{address, uid},
    half::{self, questions, say},
};

pub(crate) const NAMESPACE: &str = "shop";
/// The token of the pod that looks up.
pub(crate) const CALLER: &str = "caller";
pub(crate) const INSTANCES: u32 = 10;

/// Holds how many services there are, and which generation of them: in another one, every instance is different.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shop {
    pub(crate) services: u32,
    pub(crate) generation: u32,
}

/// Serves it as a controller would, on this port of loopback, until its standard input ends.
pub(crate) fn serve(shop: Shop, port: u16) -> anyhow::Result<()> {
    Runtime::new()?
        .block_on(half::serve(shop.lists(), (Ipv4Addr::LOCALHOST, port).into(), |index| obey(index, shop)))
}

pub(crate) fn service(number: u32) -> String {
    format!("order-service-{number}")
}

/// `change 1000 5`: so many changes a second, for so many seconds, one instance of one service each.
async fn obey(index: IndexHandle, shop: Shop) -> anyhow::Result<()> {
    let mut questions = questions();
    let mut turn = shop.generation;
    while let Some(line) = questions.recv().await {
        let words: Vec<_> = line.split(' ').collect();
        let ["change", a_second, seconds] = words.as_slice() else {
            bail!("{line}: nothing that could be done")
        };
        let (a_second, seconds): (u32, u32) = (a_second.parse()?, seconds.parse()?);
        let mut ticks = interval(Duration::from_secs(1) / a_second);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for number in 0..a_second * seconds {
            ticks.tick().await;
            turn += 1;
            index.apply(pod(number.wrapping_mul(7_919) % (shop.services * INSTANCES), turn)).await?;
        }
        say("done")?;
    }
    Ok(())
}

// === impl Shop ===

impl Shop {
    fn lists(self) -> impl Iterator<Item = Change> {
        Kind::ALL.into_iter().flat_map(move |kind| {
            let objects: Box<dyn Iterator<Item = Change>> = match kind {
                Kind::Pod => Box::new(
                    (0..self.services * INSTANCES)
                        .map(move |number| pod(number, self.generation))
                        .chain([caller()]),
                ),
                Kind::Node => Box::new((0..3).map(node)),
                Kind::Namespace => {
                    Box::new(std::iter::once(Change::Namespace(namespace(), NamespaceFacts::default())))
                }
                Kind::Registration | Kind::Service | Kind::Slice => Box::new(std::iter::empty()),
            };
            std::iter::once(Change::ListBegins(kind)).chain(objects).chain([Change::ListEnds(kind)])
        })
    }
}

fn namespace() -> Namespace {
    NAMESPACE.parse().unwrap_or_else(|error| unreachable!("{error}"))
}

fn node(number: u32) -> Change {
    let facts = NodeFacts {
        zone: Some(format!("zone-{number}").into()),
        unknown: false,
        pod_ranges: Vec::new(),
        addresses: Vec::new(),
    };
    Change::Node(format!("node-{number}").into(), facts)
}

/// An instance; its metadata tells which generation of it this is.
fn pod(number: u32, generation: u32) -> Change {
    let key: ServiceKey = format!("{}.{NAMESPACE}", service(number / INSTANCES))
        .parse()
        .unwrap_or_else(|error| unreachable!("{error}"));
    let word = Registration {
        key,
        source: Source::Annotation,
        target: Target::Own,
        attributes: Attributes {
            version: "1.4.2".parse().ok(),
            ports: vec![Port::tcp(Some("http"), 8080), Port::tcp(Some("grpc"), 9090)],
            tags: ["blue".to_owned()].into(),
            metadata: [("build", format!("{generation:08}")), ("team", "payments".to_owned())].into(),
            ..Attributes::default()
        },
        policy: None,
        visibility: None,
    };
    seen(&uid(number), format!("{}-{number:05x}", service(number / INSTANCES)), number, Some(word))
}

fn caller() -> Change {
    seen(CALLER, CALLER.to_owned(), u32::from(u16::MAX), None)
}

fn seen(uid: &str, name: String, number: u32, word: Option<Registration>) -> Change {
    let facts = PodFacts {
        uid: uid.into(),
        namespace: namespace(),
        name: name.into(),
        node: Some(format!("node-{}", number % 3).into()),
        addresses: [address(number)].into(),
        labels: Arc::default(),
        has_sidecar: false,
        asks_to_drain: false,
        registration: word.map(Arc::new),
        life: PodLife::READY,
    };
    Change::Pod(Box::new(facts.into()))
}
