//! What is done to a cluster that is up: looking, loading images, and the faults that it can be given.

use crate::base_images::BaseImages;
use crate::cluster::{Cluster, LOOK_EVERY, NODES_LIMIT, in_parallel};
use crate::layout::Role;
use crate::machine::Machine;
use crate::run::{Poll, output_of, wait_for};
use crate::{Error, control_plane, debian, image, node};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is known of one node.
pub struct NodeStatus {
    pub name: String,
    pub powered: bool,
    pub connected: bool,
    /// What the API server says, if it can be asked.
    pub ready: Option<bool>,
}

impl NodeStatus {
    pub fn is_well(&self) -> bool {
        self.powered && self.connected && self.ready == Some(true)
    }
}

impl Cluster {
    /// A command inside a node, as a person logged in there would run it.
    pub fn command_on(&self, node: &str, program: &str) -> Result<Command, Error> {
        Ok(self.powered(node)?.command(program))
    }

    /// Loads an image archive into every node, and names the image.
    pub fn load(&self, archive: &Path) -> Result<String, Error> {
        let reference = image::reference_in(archive)?;
        let _lock = self.lock()?;
        let machines =
            self.roles().map(|role| self.powered(&role.to_string())).collect::<Result<Vec<_>, Error>>()?;
        in_parallel(&machines, |machine| node::load(machine, archive))?;
        Ok(reference)
    }

    /// Cuts a node's cable: packets vanish in both directions, nobody is told.
    pub fn cut(&self, node: &str) -> Result<(), Error> {
        let _lock = self.lock()?;
        self.powered(node)?;
        self.control_plane()?.script("cutting a node off", &format!("ip link set {node} down")).map(drop)
    }

    /// Pulls a node's plug: all of its processes end at once, its disk stays.
    pub fn kill(&self, node: &str) -> Result<(), Error> {
        let role = self.role(node)?;
        let _lock = self.lock()?;
        self.powered(node)?;
        self.pull_plug(role)
    }

    /// Plugs the cable in again, and switches the node on if it is off or has lost a daemon.
    pub fn heal(&self, node: &str) -> Result<(), Error> {
        const DAEMONS: [&str; 3] = ["containerd", "kubelet", "kube-proxy"];
        let role = self.role(node)?;
        let _lock = self.lock()?;
        let control_plane = self.control_plane()?;
        let whole =
            self.machine(role).is_some_and(|machine| machine.runs(&DAEMONS, &self.hierarchies, &self.layout));
        if whole {
            control_plane.script("healing a node", &format!("ip link set {node} up"))?;
        } else {
            self.switch_on(role, &control_plane)?;
        }
        self.wait_for_nodes(&[role], &[])
    }

    fn switch_on(&self, role: Role, control_plane: &Machine) -> Result<(), Error> {
        let Role::Node(number) = role else { return Ok(()) };
        self.pull_plug(role)?;
        let (images, cni) = (BaseImages::build(&self.home, &self.record.tools)?, debian::cni()?);
        let started = self.parts(&images, &cni).start(number, control_plane);
        let started = started.and_then(|machine| self.wait_for_kubelet(role, &machine));
        if started.is_err() {
            // Half a node would look like a whole one to the next command.
            self.pull_plug(role)?;
        }
        started
    }

    fn pull_plug(&self, role: Role) -> Result<(), Error> {
        self.hierarchies.end(&self.layout.cgroup_of(role))?;
        // The node's end of the cable goes with the node, a little later; the name must be free for the next one.
        let port = format!(
            "[ ! -e /sys/class/net/{role} ] || ip link delete {role} || [ ! -e /sys/class/net/{role} ]"
        );
        self.control_plane()?
            .script("unplugging a node", &port.replace("/sys/class/net/", "/proc/sys/net/ipv4/conf/"))
            .map(drop)
    }

    pub fn status(&self) -> Vec<NodeStatus> {
        let ready = self.ready_nodes().ok();
        let links = self
            .control_plane()
            .and_then(|machine| machine.script("looking at the bridge", "ip -o link show up"))
            .unwrap_or_default();
        self.roles()
            .map(|role| {
                let name = role.to_string();
                NodeStatus {
                    powered: self.machine(role).is_some(),
                    connected: links.contains(&format!(" {name}@")),
                    ready: ready.as_ref().map(|ready| ready.contains(&name)),
                    name,
                }
            })
            .collect()
    }

    /// Waits until the API server calls the nodes Ready; fails at once if a daemon of the machines ends.
    pub(crate) fn wait_for_nodes(&self, roles: &[Role], machines: &[Machine]) -> Result<(), Error> {
        wait_for("every node to be Ready", NODES_LIMIT, LOOK_EVERY, &self.layout.folder(), || {
            machines.iter().try_for_each(Machine::check_daemons)?;
            Ok(match self.ready_nodes() {
                Ok(ready) if roles.iter().all(|role| ready.contains(&role.to_string())) => Poll::Ready(()),
                Ok(ready) => Poll::NotYet(format!("ready: {ready:?}")),
                Err(error) => Poll::NotYet(error.to_string()),
            })
        })
    }

    /// The API server believes in a dead node for most of a minute, so the kubelet itself is asked.
    fn wait_for_kubelet(&self, role: Role, machine: &Machine) -> Result<(), Error> {
        let address = format!("{}:10250", self.layout.address(role));
        wait_for(&format!("the kubelet of {role}"), NODES_LIMIT, LOOK_EVERY, machine.logs(), || {
            machine.check_daemons()?;
            let connected = control_plane::connect_to(&address);
            Ok(connected.map_or_else(|error| Poll::NotYet(error.to_string()), |_| Poll::Ready(())))
        })
    }

    fn ready_nodes(&self) -> Result<Vec<String>, Error> {
        let mut get = control_plane::kubectl(&self.layout, &self.record.tools);
        let answer = output_of("asking for the nodes", get.args(["get", "nodes", "--output", "json"]))?;
        let path = PathBuf::from("kubectl get nodes");
        let nodes: NodeList = serde_json::from_str(&answer).map_err(|source| Error::Garbled {
            path,
            source,
            remedy: "try again".into(),
        })?;
        Ok(nodes.items.into_iter().filter(Node::is_ready).map(|node| node.metadata.name).collect())
    }

    pub(crate) fn roles(&self) -> impl Iterator<Item = Role> + use<> {
        (1..=self.record.nodes).map(Role::Node)
    }

    fn role(&self, node: &str) -> Result<Role, Error> {
        Role::parse_node(node, self.record.nodes)
    }

    fn machine(&self, role: Role) -> Option<Machine> {
        Machine::find(&self.layout, &self.hierarchies, role)
    }

    fn powered(&self, node: &str) -> Result<Machine, Error> {
        let role = self.role(node)?;
        self.machine(role).ok_or_else(|| {
            let name = &self.layout.name;
            Error::unmet(
                format!("{node} is switched off"),
                format!("switch it on with `cargo xtask cluster heal {node} --name {name}`"),
            )
        })
    }

    pub(crate) fn control_plane(&self) -> Result<Machine, Error> {
        self.machine(Role::ControlPlane).ok_or_else(|| {
            let name = &self.layout.name;
            Error::unmet(
                "the control plane does not run",
                format!("start over with `cargo xtask cluster down --name {name}` and `up`"),
            )
        })
    }
}

/// The little that is read of the API server's list of nodes.
#[derive(Deserialize)]
struct NodeList {
    items: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    metadata: Metadata,
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

impl Node {
    fn is_ready(&self) -> bool {
        self.status
            .conditions
            .iter()
            .any(|condition| condition.r#type == "Ready" && condition.status == "True")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_true_ready_condition_makes_a_node_ready() {
        let list = r#"{"items": [
            {"metadata": {"name": "a"}, "status": {"conditions": [{"type": "DiskPressure", "status": "True"}, {"type": "Ready", "status": "Unknown"}]}},
            {"metadata": {"name": "b"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
            {"metadata": {"name": "c"}, "status": {}}
        ]}"#;
        let list: NodeList = serde_json::from_str(list).unwrap();
        let ready: Vec<_> = list
            .items
            .iter()
            .filter(|node| node.is_ready())
            .map(|node| node.metadata.name.as_str())
            .collect();
        assert_eq!(ready, ["b"]);
    }
}
