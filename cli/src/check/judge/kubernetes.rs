//! Whether the cluster is one that Rollcall runs on.

use super::{MINOR_MIN, minor, unseen};
use crate::{
    check::{
        facts::Kubernetes,
        finding::{Finding, Topic},
    },
    print::first_of,
    reach::Seen,
};

/// The oldest kubelet that starts sidecars as init containers by itself.
const KUBELET_MINOR_MIN: u64 = 29;
const NAMED_MAX: usize = 3;

pub(super) fn findings(facts: &Kubernetes) -> Vec<Finding> {
    let version = match &facts.version {
        Seen::Here(version) => version,
        Seen::Missing => return vec![unreachable("it answers as no API server does")],
        Seen::Forbidden(why) | Seen::Unknown(why) => return vec![unreachable(why)],
    };
    vec![
        Finding::ok(Topic::Reachable, "the API server answers"),
        right_version(version),
        native_sidecars(facts),
    ]
}

fn unreachable(why: &str) -> Finding {
    Finding::fail(
        Topic::Reachable,
        format!("the API server gives no answer: {why}"),
        "check the kubeconfig and the way to the cluster, as `kubectl version` does",
    )
}

fn right_version(version: &str) -> Finding {
    match minor(version) {
        Some(found) if found >= (1, MINOR_MIN) => {
            Finding::ok(Topic::Version, format!("Kubernetes {version} is 1.{MINOR_MIN} or newer"))
        }
        Some(_) => Finding::fail(
            Topic::Version,
            format!("Kubernetes {version} is older than 1.{MINOR_MIN}"),
            format!("upgrade the cluster to 1.{MINOR_MIN} or newer"),
        ),
        None => Finding::warn(
            Topic::Version,
            format!("`{version}` is no version of Kubernetes that can be read"),
            format!("see to it yourself that it is 1.{MINOR_MIN} or newer"),
        ),
    }
}

fn native_sidecars(facts: &Kubernetes) -> Finding {
    let topic = Topic::NativeSidecars;
    let Some(nodes) = facts.nodes.here() else {
        return unseen(topic, "nodes", "list nodes", &facts.nodes)
            .unwrap_or_else(|| Finding::warn(topic, "there are no nodes to be asked", "check the cluster"));
    };
    let is_old = |kubelet: &str| minor(kubelet).is_some_and(|found| found < (1, KUBELET_MINOR_MIN));
    let old: Vec<_> = nodes
        .iter()
        .filter(|node| is_old(&node.kubelet))
        .map(|node| format!("{} ({})", node.name, node.kubelet))
        .collect();
    if old.is_empty() {
        return Finding::ok(topic, "all nodes run sidecars as Kubernetes' own");
    }
    Finding::fail(
        topic,
        format!("kubelets that know no sidecars: {}", first_of(&old, NAMED_MAX)),
        format!("upgrade these nodes to 1.{KUBELET_MINOR_MIN} or newer"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{facts::Node, finding::Level};

    fn cluster(version: &str, kubelets: &[&str]) -> Kubernetes {
        let node = |kubelet: &&str| Node { name: "n1".to_owned(), kubelet: (*kubelet).to_owned() };
        Kubernetes {
            version: Seen::Here(version.to_owned()),
            nodes: Seen::Here(kubelets.iter().map(node).collect()),
        }
    }

    #[test]
    fn the_cluster_must_be_new_enough() {
        for (version, kubelet, expected) in [
            ("v1.33.4", "v1.33.4", [Level::Ok, Level::Ok, Level::Ok]),
            ("v1.30.0", "v1.29.1", [Level::Ok, Level::Ok, Level::Ok]),
            ("v1.33.4-eks-1", "v1.33.4-gke.1", [Level::Ok, Level::Ok, Level::Ok]),
            ("v2.0.0", "v2.0.0", [Level::Ok, Level::Ok, Level::Ok]),
            ("v1.29.9", "v1.29.9", [Level::Ok, Level::Fail, Level::Ok]),
            ("v1.30.0", "v1.28.3", [Level::Ok, Level::Ok, Level::Fail]),
            ("banana", "v1.33.4", [Level::Ok, Level::Warn, Level::Ok]),
        ] {
            let levels: Vec<_> =
                findings(&cluster(version, &[kubelet])).iter().map(|one| one.level).collect();
            assert_eq!(levels, expected, "{version} {kubelet}");
        }
    }

    #[test]
    fn without_an_api_server_nothing_is_known_and_without_rights_less() {
        let away = Kubernetes { version: Seen::Unknown("refused".to_owned()), nodes: Seen::Missing };
        let found = findings(&away);
        assert_eq!((found.len(), found[0].level), (1, Level::Fail));
        assert!(found[0].says.contains("refused"));
        let mut no_rights = cluster("v1.33.4", &[]);
        no_rights.nodes = Seen::Forbidden("no".to_owned());
        assert_eq!(findings(&no_rights)[2].level, Level::Skipped);
    }
}
