//! The controller's half in a process of its own, filled with the data that all registries have.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    iter::once,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::{ChildStdin, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, ensure};
use clap::Args;
use rollcall_catalogue::{
    Attributes, Namespace, PodFacts, PodUid, Port, Registration, ServiceKey, Source, Target,
    liveness::PodLife,
};
use rollcall_cluster::companion::Companion;
use rollcall_controller::index::{Change, Key, Kind, NamespaceFacts, NodeFacts};
use tokio::runtime::Runtime;

use crate::{
    half::{self, questions},
    local::{NAMESPACE, measured},
    peers::{Data, METADATA, PORT, TAG, VERSION},
};

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
    say: Mutex<ChildStdin>,
    /// In PEM.
    pub(crate) authority: String,
}

/// Says what Kubernetes would tell of a pod with a sidecar: a line of the process' standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodWord {
    /// It runs, and its containers are ready; another one of this name may have been before it.
    Here,
    /// It has a deletionTimestamp.
    Terminating,
    /// There is no such pod any more.
    Gone,
}

/// Serves it until the standard input ends.
pub(crate) fn serve(arguments: &TownArguments) -> anyhow::Result<()> {
    let namespace: Namespace = NAMESPACE.parse()?;
    let all_that_there_is = lists(arguments, &namespace)?;
    Runtime::new()?.block_on(half::serve(all_that_there_is.into_iter(), arguments.listen, async |index| {
        let mut questions = questions();
        while let Some(line) = questions.recv().await {
            index.apply(told(&line, &arguments.pods, &namespace)?).await?;
        }
        Ok(())
    }))
}

/// `terminating 3`: what becomes of the pod with a sidecar that has this place among them.
fn told(line: &str, pods: &[IpAddr], namespace: &Namespace) -> anyhow::Result<Change> {
    let (word, number) = line.split_once(' ').with_context(|| format!("{line:?}: no pod"))?;
    let number: usize = number.parse()?;
    let address = *pods.get(number).with_context(|| format!("no pod has the place {number}"))?;
    let uid = token(number);
    let lives = |life| pod(namespace, &uid, address, &own_node(number), None, true, life);
    Ok(match PodWord::of(word)? {
        PodWord::Here => lives(PodLife::READY),
        PodWord::Terminating => lives(PodLife { deleting: true, ..PodLife::READY }),
        PodWord::Gone => Change::Gone(Key::Pod(PodUid::from(uid.as_str()))),
    })
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

fn lists(arguments: &TownArguments, namespace: &Namespace) -> anyhow::Result<Vec<Change>> {
    let data = Data { services: arguments.services, instances: arguments.instances };
    let mut pods = Vec::new();
    for number in 0..data.services {
        let (word, node) = (registered(&Data::service(number))?, format!("node-{}", number as usize % NODES));
        for address in data.addresses(number) {
            let (uid, address) = (format!("stable-{address}"), address.parse()?);
            pods.push(pod(namespace, &uid, address, &node, Some(word.clone()), false, PodLife::READY));
        }
    }
    let sidecars = arguments.pods.iter().enumerate();
    let sidecars = sidecars.map(|(number, address)| {
        pod(namespace, &token(number), *address, &own_node(number), None, true, PodLife::READY)
    });
    let crowd = (0..arguments.crowd).filter_map(|number| {
        let IpAddr::V4(first) = CROWD else { return None };
        let address = Ipv4Addr::from(u32::from(first) + number);
        Some(pod(namespace, &crowd_token(number), address.into(), "node-0", None, false, PodLife::READY))
    });
    let nodes = (0..NODES).map(|number| format!("node-{number}"));
    let nodes: Vec<_> = nodes.chain((0..arguments.pods.len()).map(own_node)).collect();
    pods.extend(sidecars.chain(crowd));
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let objects: Vec<Change> = match kind {
            Kind::Pod => pods.clone(),
            Kind::Node => nodes.iter().map(|name| node(name)).collect(),
            Kind::Namespace => vec![Change::Namespace(namespace.clone(), NamespaceFacts::default())],
            Kind::Registration | Kind::Service | Kind::Slice => Vec::new(),
        };
        all.extend(once(Change::ListBegins(kind)).chain(objects).chain([Change::ListEnds(kind)]));
    }
    Ok(all)
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

fn registered(service: &str) -> anyhow::Result<Registration> {
    Ok(Registration {
        key: key(service)?,
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

fn pod(
    namespace: &Namespace,
    uid: &str,
    address: IpAddr,
    node: &str,
    word: Option<Registration>,
    has_sidecar: bool,
    life: PodLife,
) -> Change {
    let facts = PodFacts {
        uid: uid.into(),
        namespace: namespace.clone(),
        name: uid.replace('.', "-").into(),
        node: Some(node.into()),
        addresses: [address].into(),
        labels: Arc::default(),
        has_sidecar,
        asks_to_drain: false,
        registration: word.map(Arc::new),
        life,
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
        Ok(Self { process, say: Mutex::new(say), authority })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Tells it of the pod with a sidecar that has this place among them.
    pub(crate) fn tell(&self, word: PodWord, number: usize) -> anyhow::Result<()> {
        let mut say = self.say.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(say.write_all(format!("{} {number}\n", word.name()).as_bytes())?)
    }
}

// === impl PodWord ===

impl PodWord {
    const ALL: [Self; 3] = [Self::Here, Self::Terminating, Self::Gone];

    fn name(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Terminating => "terminating",
            Self::Gone => "gone",
        }
    }

    fn of(name: &str) -> anyhow::Result<Self> {
        let found = Self::ALL.into_iter().find(|word| word.name() == name);
        found.with_context(|| format!("{name}: nothing that could become of a pod"))
    }
}

fn line(hear: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    ensure!(hear.read_line(&mut line)? > 0, "the controller's half is gone");
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_a_pod_is_told_in_a_line() {
        let pods = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().expect("an address"));
        let namespace = NAMESPACE.parse().expect("a name");
        let life = |line: &str| match told(line, &pods, &namespace).expect("it can be done") {
            Change::Pod(seen) => {
                assert_eq!((&*seen.facts.uid.to_string(), seen.facts.has_sidecar), ("pod-1", true));
                assert!(seen.facts.addresses.contains(&pods[1]));
                Some(seen.facts.life.deleting)
            }
            Change::Gone(key) => {
                assert_eq!(key, Key::Pod(PodUid::from("pod-1")));
                None
            }
            other => unreachable!("{other:?}"),
        };
        assert_eq!(["here 1", "terminating 1", "gone 1"].map(life), [Some(false), Some(true), None]);
        for wrong in ["", "here", "here 2", "here x", "away 1"] {
            assert!(told(wrong, &pods, &namespace).is_err(), "{wrong:?}");
        }
    }
}
