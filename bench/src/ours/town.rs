//! The controller's half in a process of its own, filled with the data that all registries have.

use std::{
    env,
    io::{BufRead, BufReader},
    iter::once,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::{ChildStdin, Stdio},
    sync::Arc,
};

use anyhow::{Context, ensure};
use clap::Args;
use rollcall_catalogue::{
    Attributes, Namespace, PodFacts, Port, Registration, ServiceKey, Source, Target, liveness::PodLife,
};
use rollcall_cluster::companion::Companion;
use rollcall_controller::index::{Change, Kind, NamespaceFacts, NodeFacts};
use tokio::runtime::Runtime;

use crate::{
    half::{self, questions},
    local::measured,
    peers::{Data, METADATA, PORT, TAG, VERSION},
};

const NAMESPACE: &str = "shop";
/// The nodes of those without a sidecar. One with a sidecar has a node for itself, so that each can be lost alone.
const NODES: usize = 3;
/// Where members of the crowd are; nothing listens there.
pub(crate) const CROWD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 252, 0, 0));

/// Holds what the controller's half knows when it begins.
#[derive(Args, Clone, Debug)]
pub(crate) struct TownArguments {
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    #[arg(long)]
    pub(crate) services: u32,
    /// Of each service.
    #[arg(long)]
    pub(crate) instances: u32,
    /// The addresses of pods with a sidecar, which register what they are by themselves.
    #[arg(long, value_delimiter = ',')]
    pub(crate) pods: Vec<IpAddr>,
    /// Pods that are clients of the wire.
    #[arg(long)]
    pub(crate) crowd: u32,
}

/// Holds the process of the controller's half; it ends with this.
pub(crate) struct Town {
    process: Companion,
    _say: ChildStdin,
    /// In PEM.
    pub(crate) authority: String,
}

/// Serves it until the standard input ends.
pub(crate) fn serve(arguments: &TownArguments) -> anyhow::Result<()> {
    let all_that_there_is = lists(arguments);
    Runtime::new()?.block_on(half::serve(all_that_there_is.into_iter(), arguments.listen, |_index| async {
        let mut questions = questions();
        while questions.recv().await.is_some() {}
        Ok(())
    }))
}

/// The token of the pod with a sidecar that has this place among them.
pub(crate) fn token(number: usize) -> String {
    format!("pod-{number}")
}

/// The token of this member of the crowd.
pub(crate) fn crowd_token(number: u32) -> String {
    format!("crowd-{number}")
}

pub(crate) fn key(service: &str) -> anyhow::Result<ServiceKey> {
    Ok(format!("{service}.{NAMESPACE}").parse()?)
}

fn lists(arguments: &TownArguments) -> Vec<Change> {
    let data = Data { services: arguments.services, instances: arguments.instances };
    let stable = (0..data.services).flat_map(|number| {
        let service = Data::service(number);
        data.addresses(number)
            .filter_map(|address| address.parse().ok())
            .map(move |address| {
                let node = format!("node-{}", number as usize % NODES);
                pod(&format!("stable-{address}"), address, &node, registered(&service), false)
            })
            .collect::<Vec<_>>()
    });
    let sidecars = arguments.pods.iter().enumerate();
    let sidecars =
        sidecars.map(|(number, address)| pod(&token(number), *address, &own_node(number), None, true));
    let crowd = (0..arguments.crowd).filter_map(|number| {
        let IpAddr::V4(first) = CROWD else { return None };
        let address = Ipv4Addr::from(u32::from(first) + number);
        Some(pod(&crowd_token(number), address.into(), "node-0", None, false))
    });
    let nodes = (0..NODES).map(|number| format!("node-{number}"));
    let nodes: Vec<_> = nodes.chain((0..arguments.pods.len()).map(own_node)).collect();
    let pods: Vec<_> = stable.chain(sidecars).chain(crowd).collect();
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let objects: Vec<Change> = match kind {
            Kind::Pod => pods.clone(),
            Kind::Node => nodes.iter().map(|name| node(name)).collect(),
            Kind::Namespace => vec![Change::Namespace(namespace(), NamespaceFacts::default())],
            Kind::Registration | Kind::Service | Kind::Slice => Vec::new(),
        };
        all.extend(once(Change::ListBegins(kind)).chain(objects).chain([Change::ListEnds(kind)]));
    }
    all
}

fn namespace() -> Namespace {
    NAMESPACE.parse().unwrap_or_else(|error| unreachable!("{error}"))
}

fn own_node(number: usize) -> String {
    format!("node-of-{number}")
}

fn node(name: &str) -> Change {
    let facts = NodeFacts {
        zone: Some("zone-1".into()),
        unknown: false,
        pod_ranges: Vec::new(),
        addresses: Vec::new(),
    };
    Change::Node(name.into(), facts)
}

fn registered(service: &str) -> Option<Registration> {
    Some(Registration {
        key: key(service).ok()?,
        source: Source::Annotation,
        target: Target::Own,
        attributes: Attributes {
            version: VERSION.parse().ok(),
            ports: vec![Port::tcp(Some("http"), PORT)],
            tags: [TAG.to_owned()].into(),
            metadata: METADATA.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Attributes::default()
        },
        policy: None,
        visibility: None,
    })
}

fn pod(uid: &str, address: IpAddr, node: &str, word: Option<Registration>, has_sidecar: bool) -> Change {
    let facts = PodFacts {
        uid: uid.into(),
        namespace: namespace(),
        name: uid.replace('.', "-").into(),
        node: Some(node.into()),
        addresses: [address].into(),
        labels: Arc::default(),
        has_sidecar,
        asks_to_drain: false,
        registration: word.map(Arc::new),
        life: PodLife::READY,
    };
    Change::Pod(Box::new(facts.into()))
}

// === impl Town ===

impl Town {
    /// Returns once it serves sessions.
    pub(crate) fn start(arguments: &TownArguments) -> anyhow::Result<Self> {
        let pods: Vec<_> = arguments.pods.iter().map(IpAddr::to_string).collect();
        let words = [
            "town".to_owned(),
            format!("--listen={}", arguments.listen),
            format!("--services={}", arguments.services),
            format!("--instances={}", arguments.instances),
            format!("--pods={}", pods.join(",")),
            format!("--crowd={}", arguments.crowd),
        ];
        let mut process = measured("starting a controller", Path::new(&env::current_exe()?), move |half| {
            half.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        })?;
        let say = process.take_stdin().context("no input")?;
        let mut hear = BufReader::new(process.take_stdout().context("no output")?);
        // Where it listens, which is known.
        line(&mut hear)?;
        let authority = line(&mut hear)?.replace("\\n", "\n");
        Ok(Self { process, _say: say, authority })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

fn line(hear: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    ensure!(hear.read_line(&mut line)? > 0, "the controller's half is gone");
    Ok(line.trim_end().to_owned())
}
