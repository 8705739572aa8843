//! The catalogue that is looked up: the services of the data, in one namespace with the caller.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use rollcall_catalogue::{
    Attributes, Namespace, PodFacts, Port, Registration, ServiceKey, Source, Target, liveness::PodLife,
};
use rollcall_controller::{
    IndexHandle,
    index::{Change, Kind, NamespaceFacts, NodeFacts},
    operate::api::Api,
    sessions::Consumers,
};
use rollcall_net::{bind, init_logs_for_people, shutdown};
use tokio::{
    runtime::Runtime,
    time::{MissedTickBehavior, interval},
};

use crate::{
    fleet::{address, uid},
    half::{self, questions, say},
    peers::{Data, METADATA, PORT, TAG, VERSION},
};

pub(crate) const NAMESPACE: &str = "shop";
/// The token of the pod that looks up.
pub(crate) const CALLER: &str = "caller";

/// Addresses of instances begin at 10.0.0.0: far behind the last of them.
const CALLER_NUMBER: u32 = 0x00ff_fff0;

/// Holds what is in it, and which generation of that: in another one, every instance is different.
#[derive(Args, Debug, Clone, Copy)]
#[group(skip)]
pub(crate) struct Shop {
    #[command(flatten)]
    pub(crate) data: Data,
    #[arg(long)]
    pub(crate) generation: u32,
}

/// Holds a shop with the names of its parts, each of which all objects share.
struct Stock {
    shop: Shop,
    namespace: Namespace,
    keys: Vec<ServiceKey>,
}

/// Holds the ports of loopback on which it is served.
#[derive(Args, Debug, Clone, Copy)]
pub(crate) struct ShopPorts {
    /// For sessions.
    #[arg(long)]
    pub(crate) port: u16,
    /// For the read API, where that is wanted.
    #[arg(long)]
    pub(crate) read_port: Option<u16>,
}

/// Serves it as a controller would, until its standard input ends.
pub(crate) fn serve(shop: Shop, ports: ShopPorts) -> anyhow::Result<()> {
    let sessions = (Ipv4Addr::LOCALHOST, ports.port).into();
    let stock = Stock::of(shop)?;
    Runtime::new()?
        .block_on(half::serve(stock.lists(), sessions, |index| obey(index, &stock, ports.read_port)))
}

/// `change 1000 5`: so many changes a second, for so many seconds, one instance of one service each.
async fn obey(index: IndexHandle, stock: &Stock, read_port: Option<u16>) -> anyhow::Result<()> {
    let (_trigger, ear) = shutdown();
    if let Some(port) = read_port {
        let api = Api::new(index.clone(), Consumers::default(), init_logs_for_people()?, "bench");
        tokio::spawn(api.serve(bind((Ipv4Addr::LOCALHOST, port).into())?, ear));
    }
    let mut questions = questions();
    let mut turn = stock.shop.generation;
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
            let number = number.wrapping_mul(7_919) % stock.shop.data.all();
            index.apply(stock.pod(number, turn).context("no such instance")?).await?;
        }
        say("done")?;
    }
    Ok(())
}

// === impl Shop ===

impl Shop {
    /// What this program is started with to serve it.
    pub(crate) fn arguments(self, port: u16, read_port: Option<u16>) -> Vec<String> {
        let told = [
            "shop".to_owned(),
            format!("--services={}", self.data.services),
            format!("--instances={}", self.data.instances),
            format!("--generation={}", self.generation),
            format!("--port={port}"),
        ];
        told.into_iter().chain(read_port.map(|port| format!("--read-port={port}"))).collect()
    }
}

// === impl Stock ===

impl Stock {
    fn of(shop: Shop) -> anyhow::Result<Self> {
        Ok(Self { shop, namespace: NAMESPACE.parse()?, keys: keys(shop.data)? })
    }

    /// One at a time: what was told of all would stay in the memory that is measured.
    fn lists(&self) -> impl Iterator<Item = Change> {
        Kind::ALL.into_iter().flat_map(move |kind| {
            let objects: Box<dyn Iterator<Item = Change>> = match kind {
                Kind::Pod => Box::new(
                    (0..self.shop.data.all())
                        .filter_map(move |number| self.pod(number, self.shop.generation))
                        .chain([self.seen(CALLER, CALLER.to_owned(), CALLER_NUMBER, None)]),
                ),
                Kind::Node => Box::new((0..3).map(node)),
                Kind::Namespace => {
                    let facts = NamespaceFacts::default();
                    Box::new(std::iter::once(Change::Namespace(self.namespace.clone(), facts)))
                }
                Kind::Registration | Kind::Service | Kind::Slice => Box::new(std::iter::empty()),
            };
            std::iter::once(Change::ListBegins(kind)).chain(objects).chain([Change::ListEnds(kind)])
        })
    }

    /// An instance, where there is one of this number; its metadata tells which generation of it this is.
    fn pod(&self, number: u32, generation: u32) -> Option<Change> {
        let key = self.keys.get((number / self.shop.data.instances) as usize)?.clone();
        let name = format!("{}-{number:05x}", key.service);
        let [(build, _), (team, payments)] = METADATA;
        let word = Registration {
            key,
            source: Source::Annotation,
            target: Target::Own,
            attributes: Attributes {
                version: VERSION.parse().ok(),
                ports: vec![Port::tcp(Some("http"), PORT), Port::tcp(Some("grpc"), 9090)],
                tags: [TAG.to_owned()].into(),
                metadata: [(build, format!("{generation:08}")), (team, payments.to_owned())].into(),
                ..Attributes::default()
            },
            policy: None,
            visibility: None,
        };
        Some(self.seen(&uid(number), name, number, Some(word)))
    }

    fn seen(&self, uid: &str, name: String, number: u32, word: Option<Registration>) -> Change {
        let facts = PodFacts {
            uid: uid.into(),
            namespace: self.namespace.clone(),
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
}

/// What sessions call the services of this data.
pub(crate) fn keys(data: Data) -> anyhow::Result<Vec<ServiceKey>> {
    (0..data.services).map(|service| Ok(format!("{}.{NAMESPACE}", Data::service(service)).parse()?)).collect()
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
