//! The cluster kit: a real Kubernetes of one to three nodes on one Linux machine, in seconds, and nothing left of it after.
//!
//! ```text
//!   host ──── rollcallN ──── bridge ┬─ node1 (containerd, kubelet, kube-proxy, pods)
//!             (a veth)  control     ├─ node2
//!                       plane       └─ node3
//! ```
//!
//! The control plane and each node are [machines](machine): namespaces under a PID 1 of their own, with all processes in
//! a cgroup that carries the cluster's name. The bridge is in the control plane's network namespace, so that the host
//! sees a single link. Ending the processes of the cgroup therefore ends the cluster; there is no list of mounts, links
//! and firewall rules to be undone, and none that a crash could lose.

mod base_images;
mod cgroup;
mod cluster;
pub mod companion;
mod control_plane;
mod debian;
mod error;
pub mod fake_nodes;
mod faults;
mod home;
pub mod image;
pub mod interrupt;
pub mod kind;
mod kubectl;
mod layout;
mod machine;
mod maven;
mod node;
mod operate;
mod pki;
mod process;
mod program;
mod progress;
mod provider;
mod run;
mod shell;
mod state;
pub mod static_build;
mod tools;

pub use base_images::{PUBLIC_NAME_OF_TOOLBOX, TOOLBOX};
pub use cluster::{Cluster, Collects, Wish};
pub use debian::{prepare_counts, prepare_pages, prepare_resolvers};
pub use error::Error;
pub use faults::Process;
pub use home::Home;
pub use kubectl::Kubectl;
pub use layout::{Layout, NODES_MAX, Name, Role};
pub use maven::{EUREKA, MavenProgram, ZOOKEEPER, java_version};
pub use operate::NodeStatus;
pub use program::{CONTROLLER_ALLOCATES, program};
pub use progress::Step;
pub use provider::Provider;
pub use run::{Poll, output_of, wait_for};
pub use shell::Shell;
pub use tools::{CONSUL, COREDNS, ETCD, HELM, KUBECTL, KWOK, PROMQL};
