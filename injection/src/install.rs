//! What all pods of one installation get alike.

use std::net::{IpAddr, SocketAddr};

use rollcall_catalogue::shortened;
use serde::{Deserialize, Deserializer, de::Error};

use crate::{
    Amounts, Resources,
    amounts::{both, resources},
};

/// Where the sidecar's image is pulled from; what is released was told at its compilation.
const REGISTRY: &str = match option_env!("ROLLCALL_REGISTRY") {
    Some(registry) => registry,
    None => "rollcall.dev",
};
/// What a sidecar asks the cluster's DNS for that is told no other name: the Service of an installation as the chart makes it.
pub const CONTROLLER_NAME: &str = "rollcall-controller.rollcall-system.svc";

/// Holds what whoever installs Rollcall decides; the chart writes it as a file (YAML), the controller reads it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// The sidecar's image.
    #[serde(deserialize_with = "image")]
    pub image: String,
    pub image_pull_policy: PullPolicy,
    #[serde(deserialize_with = "resources")]
    pub resources: Resources,
    /// Limits = requests of a sidecar in a Guaranteed pod.
    #[serde(deserialize_with = "both")]
    pub guaranteed: Amounts,
    /// For how long an init container waits for what its pod requires, before the pod starts without it.
    pub requires_timeout_seconds: u32,
    pub namespaces: Namespaces,
    /// The name of the controller's Service in the cluster's DNS, where it is another than [`CONTROLLER_NAME`]; with its
    /// port where that is not the address's.
    #[serde(deserialize_with = "controller_name")]
    pub controller_name: Option<String>,
}

/// Says when the kubelet pulls the image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum PullPolicy {
    Always,
    #[default]
    IfNotPresent,
    Never,
}

/// Says whose pods can have a sidecar.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Namespaces {
    /// Only these; empty: all.
    pub only: Vec<String>,
    /// None of these.
    pub except: Vec<String>,
}

/// Says how the sidecar learns where its controller is, and whom to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Written into the pod: the Service's address, and the authority's certificate.
    Direct { controller: SocketAddr, ca_pem: String },
    /// In a ConfigMap of the pod's own namespace, under `controller` and `ca.crt`: for manifests that are written before the
    /// cluster is known.
    ConfigMap(String),
}

/// Holds how the cluster resolves names, as in any pod's /etc/resolv.conf: for pods whose first nameserver is the sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDns {
    pub nameservers: Vec<IpAddr>,
    /// What stands behind the pod's namespace, as `svc.cluster.local`; it comes first, before `rest`.
    pub services: String,
    /// The other search domains: `svc.cluster.local`, `cluster.local`, and the node's.
    pub rest: Vec<String>,
}

/// Holds all that an injection depends on besides the pod.
#[derive(Debug, Clone)]
pub struct Install<'a> {
    pub settings: &'a Settings,
    pub way: &'a Way,
    /// None where it is not known: pods that ask for the resolver mode are told so, and keep their own DNS.
    pub dns: Option<&'a ClusterDns>,
}

fn image<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let image = String::deserialize(from)?;
    // No pod could be made with such a one: the API server would refuse what we add.
    match image.is_empty() || image.contains(char::is_whitespace) {
        true => Err(D::Error::custom(format!(
            "image: `{}` is no name of an image; give one, as registry/name:tag",
            shortened(&image)
        ))),
        false => Ok(image),
    }
}

fn controller_name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let name = Option::<String>::deserialize(from)?;
    // A sidecar that cannot read it would not start.
    match name.as_deref() {
        Some(odd) if !is_name(odd) => Err(D::Error::custom(format!(
            "controllerName: `{}` is no name of a Service; give one, as rollcall-controller.rollcall-system.svc",
            shortened(odd)
        ))),
        _ => Ok(name),
    }
}

/// Labels with dots between, and perhaps a port behind a colon.
fn is_name(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "1"));
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
    is_port && name.len() <= 253 && name.trim_end_matches('.').split('.').all(is_label)
}

// === impl Namespaces ===

impl Namespaces {
    /// Whether pods of this namespace can have a sidecar.
    pub fn admits(&self, namespace: &str) -> bool {
        (self.only.is_empty() || self.only.iter().any(|only| only == namespace))
            && !self.except.iter().any(|except| except == namespace)
    }
}

impl Default for Namespaces {
    fn default() -> Self {
        let except = ["kube-system", "kube-public", "kube-node-lease", "rollcall-system"];
        Self { only: Vec::new(), except: except.map(str::to_owned).into() }
    }
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            image: format!("{REGISTRY}/sidecar:{}", env!("CARGO_PKG_VERSION")),
            image_pull_policy: PullPolicy::default(),
            resources: Resources::default(),
            guaranteed: Amounts { cpu: "50m".to_owned(), memory: "48Mi".to_owned() },
            requires_timeout_seconds: 60,
            namespaces: Namespaces::default(),
            controller_name: None,
        }
    }
}

// === impl ClusterDns ===

impl ClusterDns {
    /// What the resolv.conf of a pod of this namespace says, whose DNS is the cluster's; none where it is not.
    pub fn of_resolv_conf(text: &str, namespace: &str) -> Option<Self> {
        let mut nameservers = Vec::new();
        let mut searches = Vec::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                // Of a server with a zone, or none at all, no other machine knows.
                Some("nameserver") => {
                    nameservers.extend(words.next().and_then(|ip| ip.parse::<IpAddr>().ok()));
                }
                // The last one counts.
                Some("search") => {
                    searches = words.map(|search| search.trim_end_matches('.').to_owned()).collect();
                }
                _ => {}
            }
        }
        nameservers.retain(|ip| !ip.is_loopback() && !ip.is_unspecified());
        let own = format!("{namespace}.svc.");
        let place = searches.iter().position(|search| search.starts_with(&own))?;
        let services = searches.remove(place).split_off(namespace.len() + 1);
        (!nameservers.is_empty()).then_some(Self { nameservers, services, rest: searches })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolv_conf_says_how_the_cluster_resolves() {
        let text = "# by the kubelet\nsearch shop.svc.cluster.local svc.cluster.local cluster.local corp.example.\nnameserver 10.96.0.10\nnameserver fd00::a\noptions ndots:5\n";
        let dns = ClusterDns::of_resolv_conf(text, "shop").unwrap();
        let expected = ClusterDns {
            nameservers: ["10.96.0.10", "fd00::a"].map(|ip| ip.parse().unwrap()).into(),
            services: "svc.cluster.local".to_owned(),
            rest: ["svc.cluster.local", "cluster.local", "corp.example"].map(str::to_owned).into(),
        };
        assert_eq!(dns, expected);
        // Its own, not ours: no server but the node's, or not the cluster's domains.
        for other in [
            "",
            "nameserver 10.96.0.10",
            "nameserver 10.96.0.10\nsearch corp.example",
            "nameserver 10.96.0.10\nsearch bookshop.svc.cluster.local",
            "nameserver 127.0.0.53\nnameserver fe80::1%eth0\nsearch shop.svc.cluster.local",
            "nameserver 10.96.0.10\nsearch shop.svc.cluster.local\nsearch corp.example",
        ] {
            assert_eq!(ClusterDns::of_resolv_conf(other, "shop"), None, "{other}");
        }
    }

    #[test]
    fn a_name_that_no_sidecar_could_read_is_refused() {
        let label = "a".repeat(63);
        for good in ["rollcall-controller.rollcall-system.svc", "a", "a.b.", "a.b:7310", &label] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "a..b", "a:", "a:0", "a:70000", "fd00::7", "a b", "a/b", &format!("{label}a")] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn whose_pods_can_have_a_sidecar() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let all = Namespaces::default();
        assert!(all.admits("shop") && !all.admits("kube-system") && !all.admits("rollcall-system"));
        let only = Namespaces { only: names(&["shop", "lab"]), except: names(&["lab"]) };
        assert!(only.admits("shop") && !only.admits("lab") && !only.admits("other"));
    }
}
