//! Where everything of a cluster is: pure functions of its name, its slot and the kit's home.
//!
//! Whatever the kit makes outside a cluster's own folder carries the cluster's name or slot, so that `down` finds it
//! without having been told, also after a crash.

use crate::Error;
use std::fmt;
use std::path::{Path, PathBuf};

/// More clusters than one machine can carry; the second octet of their addresses is counted up by it.
pub(crate) const SLOTS: u8 = 8;
/// More nodes than two cores can carry.
pub const NODES_MAX: u8 = 3;

/// A cluster's name: a short DNS label, since it becomes part of cgroup and file names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    pub fn parse(text: &str) -> Result<Self, Error> {
        /// Leaves room for the kit's own prefixes in every name that is made of it.
        const LENGTH: usize = 32;
        let fits = (1..=LENGTH).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::unmet(
            format!("`{text}` cannot be a cluster's name"),
            format!("use 1 to {LENGTH} of a-z, 0-9 and -, not beginning or ending with -"),
        ))
    }

    /// A placeholder for questions that only concern a slot.
    pub(crate) fn unused() -> Self {
        Self(String::new())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One of the cluster's machines: each is a set of namespaces with a PID 1 of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    ControlPlane,
    /// Counted from 1.
    Node(u8),
}

impl Role {
    /// Reads `node1`, `node2`, ….
    pub fn parse_node(text: &str, nodes: u8) -> Result<Self, Error> {
        text.strip_prefix("node")
            .and_then(|number| number.parse().ok().filter(|parsed: &u8| parsed.to_string() == number))
            .filter(|number| (1..=nodes).contains(number))
            .map(Self::Node)
            .ok_or_else(|| {
                Error::unmet(
                    format!("there is no node `{text}`"),
                    format!("name one of node1 to node{nodes}"),
                )
            })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ControlPlane => formatter.write_str("control-plane"),
            Self::Node(number) => write!(formatter, "node{number}"),
        }
    }
}

/// The places and addresses of one cluster.
#[derive(Clone, Debug)]
pub struct Layout {
    pub name: Name,
    pub slot: u8,
    home: PathBuf,
}

impl Layout {
    pub fn new(home: &Path, name: Name, slot: u8) -> Self {
        Self { name, slot, home: home.to_owned() }
    }

    // Addresses. Nothing of them is announced outside this machine.

    /// The host's end of the cluster's network.
    pub fn host_address(&self) -> String {
        format!("10.250.{}.1", self.slot)
    }

    /// A machine's address on the cluster's bridge.
    pub fn address(&self, role: Role) -> String {
        match role {
            Role::ControlPlane => format!("10.250.{}.2", self.slot),
            Role::Node(number) => format!("10.250.{}.{}", self.slot, 10 + number),
        }
    }

    /// All addresses of the cluster.
    pub(crate) fn ranges(&self) -> [String; 3] {
        [format!("10.250.{}.0/24", self.slot), self.pods(), self.services()]
    }

    pub fn pods(&self) -> String {
        format!("10.{}.0.0/16", 230 + self.slot)
    }

    pub fn pods_of_node(&self, number: u8) -> String {
        format!("10.{}.{number}.0/24", 230 + self.slot)
    }

    pub fn services(&self) -> String {
        format!("10.{}.0.0/16", 240 + self.slot)
    }

    /// The `kubernetes` Service: the first address of the range, as the API server has it.
    pub fn api_service_address(&self) -> String {
        format!("10.{}.0.1", 240 + self.slot)
    }

    pub fn dns_address(&self) -> String {
        format!("10.{}.0.10", 240 + self.slot)
    }

    pub fn api_url(&self) -> String {
        format!("https://{}:6443", self.address(Role::ControlPlane))
    }

    // Kernel objects.

    /// The only link that the host itself sees.
    pub fn host_link(&self) -> String {
        format!("rollcall{}", self.slot)
    }

    /// What the host's link carries as its alias: whose it is.
    pub(crate) fn owner(&self) -> String {
        format!("rollcall-{}", self.name)
    }

    /// The cluster's cgroup, relative to each hierarchy.
    pub fn cgroup(&self) -> PathBuf {
        PathBuf::from(self.owner())
    }

    /// A machine's cgroup: its daemons are in `system` below it, its pods in `kubepods`.
    pub fn cgroup_of(&self, role: Role) -> PathBuf {
        self.cgroup().join(role.to_string())
    }

    pub fn system_cgroup_of(&self, role: Role) -> PathBuf {
        self.cgroup_of(role).join("system")
    }

    // Files.

    pub fn folder(&self) -> PathBuf {
        clusters_folder(&self.home).join(&self.name.0)
    }

    pub fn state_file(&self) -> PathBuf {
        self.folder().join("cluster.json")
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of("admin")
    }

    pub fn kubeconfig_of(&self, user: &str) -> PathBuf {
        self.folder().join("kubeconfigs").join(user)
    }

    pub fn pki(&self) -> PathBuf {
        self.folder().join("pki")
    }

    pub fn folder_of(&self, role: Role) -> PathBuf {
        self.folder().join(role.to_string())
    }

    pub fn logs_of(&self, role: Role) -> PathBuf {
        self.folder_of(role).join("logs")
    }
}

pub(crate) fn clusters_folder(home: &Path) -> PathBuf {
    home.join("clusters")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn layout(name: &str, slot: u8) -> Layout {
        Layout::new(Path::new("/home"), Name::parse(name).unwrap(), slot)
    }

    #[test]
    fn a_name_is_a_short_dns_label() {
        for good in ["a", "rollcall", "test-12", &"x".repeat(32)] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "../a", "a b", "é", &"x".repeat(33)] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_node_is_named_as_the_contract_says() {
        assert_eq!(Role::parse_node("node1", 1).unwrap(), Role::Node(1));
        assert_eq!(Role::parse_node("node3", 3).unwrap().to_string(), "node3");
        for bad in ["node0", "node2", "node", "1", "control-plane", "node-1", "node01", "node+1", "node256"] {
            assert!(Role::parse_node(bad, 1).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_of_two_clusters_is_the_same() {
        let mut seen = BTreeSet::new();
        for slot in 0..SLOTS {
            let one = layout(&format!("c{slot}"), slot);
            let nodes = (1..=NODES_MAX).map(Role::Node);
            let mut all = vec![
                one.host_address(),
                one.pods(),
                one.services(),
                one.dns_address(),
                one.api_service_address(),
                one.host_link(),
                one.cgroup().display().to_string(),
                one.folder().display().to_string(),
            ];
            for role in nodes.chain([Role::ControlPlane]) {
                all.extend([one.address(role), one.cgroup_of(role).display().to_string()]);
            }
            for value in all {
                assert!(seen.insert(value.clone()), "{value} is used twice");
            }
        }
    }

    #[test]
    fn link_names_fit_the_kernel() {
        /// IFNAMSIZ less the closing zero.
        const LINK_NAME_MAX: usize = 15;
        assert!(layout("a", SLOTS - 1).host_link().len() <= LINK_NAME_MAX);
    }
}
