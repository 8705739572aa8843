//! What is done to a cluster that is up: looking, loading images, and the faults that it can be given.

use crate::base_images::BaseImages;
use crate::cluster::{Cluster, LOOK_EVERY, NODES_LIMIT, in_parallel};
use crate::layout::Role;
use crate::machine::Machine;
use crate::run::{Poll, output_of, wait_for};
use crate::{Error, control_plane, debian, image, node};
use serde::Deserialize;
use std::fs;
use std::net::TcpStream;
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
        let archive = fs::canonicalize(archive).map_err(Error::file("find", archive))?;
        let machines: Vec<Machine> = self.roles().filter_map(|role| self.machine(role)).collect();
        in_parallel(&machines, |machine| node::load(machine, &archive))?;
        Ok(reference)
    }

    /// Cuts a node's cable: packets vanish in both directions, nobody is told.
    pub fn cut(&self, node: &str) -> Result<(), Error> {
        self.powered(node)?;
        self.control_plane()?.script("cutting a node off", &format!("ip link set {node} down")).map(drop)
    }

    /// Pulls a node's plug: all of its processes end at once, its disk stays.
    pub fn kill(&self, node: &str) -> Result<(), Error> {
        let role = self.role(node)?;
        self.powered(node)?;
        self.hierarchies.end(&self.layout.cgroup_of(role))
    }

    /// Plugs the cable in again, and switches the node on if its plug was pulled.
    pub fn heal(&self, node: &str) -> Result<(), Error> {
        let role = self.role(node)?;
        let control_plane = self.control_plane()?;
        match (role, self.machine(role)) {
            (_, Some(_)) => {
                drop(control_plane.script("healing a node", &format!("ip link set {node} up"))?);
            }
            (Role::Node(number), None) => {
                // What is left of it, if its processes were ended by other means than `kill`.
                self.hierarchies.end(&self.layout.cgroup_of(role))?;
                let (images, cni) =
                    (BaseImages::build(&self.home, &self.tools)?, debian::prepare(&self.home)?);
                self.parts(&images, &cni).start(number, &control_plane)?;
                self.wait_for_kubelet(role)?;
            }
            (Role::ControlPlane, None) => {}
        }
        self.wait_for_nodes(&[node.to_owned()])
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

    pub(crate) fn wait_for_nodes(&self, names: &[String]) -> Result<(), Error> {
        wait_for("every node to be Ready", NODES_LIMIT, LOOK_EVERY, &self.layout.folder(), || {
            Ok(match self.ready_nodes() {
                Ok(ready) if names.iter().all(|name| ready.contains(name)) => Poll::Ready(()),
                Ok(ready) => Poll::NotYet(format!("ready: {ready:?}")),
                Err(error) => Poll::NotYet(error.to_string()),
            })
        })
    }

    /// The API server believes in a dead node for most of a minute, so the kubelet itself is asked.
    fn wait_for_kubelet(&self, role: Role) -> Result<(), Error> {
        let address = format!("{}:10250", self.layout.address(role));
        wait_for(
            &format!("the kubelet of {role}"),
            NODES_LIMIT,
            LOOK_EVERY,
            &self.layout.logs_of(role),
            || {
                let connected = TcpStream::connect(&address);
                Ok(connected.map_or_else(|error| Poll::NotYet(error.to_string()), |_| Poll::Ready(())))
            },
        )
    }

    fn ready_nodes(&self) -> Result<Vec<String>, Error> {
        let mut get = control_plane::kubectl(&self.layout, &self.tools);
        let answer = output_of("asking for the nodes", get.args(["get", "nodes", "--output", "json"]))?;
        let path = PathBuf::from("kubectl get nodes");
        let nodes: NodeList =
            serde_json::from_str(&answer).map_err(|source| Error::Garbled { path, source })?;
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

    fn control_plane(&self) -> Result<Machine, Error> {
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
