//! The search list: domains that stock resolvers put behind a name before they ask for the name itself.
//!
//! Who looks up `orders.rollcall` in a pod asks for `orders.rollcall.shop.svc.cluster.local` first, and for two more of
//! the kind, since Kubernetes sets `ndots:5`. These are names of another zone, and its servers' to answer.

use std::{fs::File, io::Read, iter::successors, path::Path};

use rollcall_catalogue::ServiceRef;

/// Where the kubelet writes what a pod's resolvers are to do.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Kubernetes allows 32 domains of 2,048 characters in all; who mounts more than this there means no resolver.
const RESOLV_CONF_BYTES_MAX: u64 = 64 * 1024;
/// What our names end with.
const ZONE: &str = "rollcall";

/// Holds the domains of the search list, in lower case and without the last dot.
#[derive(Debug, Default)]
pub(crate) struct Search(Vec<String>);

/// What the kubelet has written for the pod's resolvers; none where it has not.
pub(crate) fn resolv_conf() -> Option<String> {
    text(Path::new(RESOLV_CONF))
}

fn text(path: &Path) -> Option<String> {
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(RESOLV_CONF_BYTES_MAX).read_to_end(&mut text)).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

// === impl Search ===

impl Search {
    /// As it is now. Where there is none, nobody searches.
    pub(crate) fn of_this_pod() -> Self {
        Self::read(Path::new(RESOLV_CONF))
    }

    fn read(path: &Path) -> Self {
        text(path).map(|text| Self::of(&text)).unwrap_or_default()
    }

    /// The last of the lines counts, as it does for resolvers.
    pub(crate) fn of(text: &str) -> Self {
        let domains = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let named = matches!(words.next(), Some("search" | "domain"));
            named.then(|| words.map(|word| word.trim_end_matches('.').to_ascii_lowercase()).collect())
        };
        let mut last: Vec<_> = text.lines().filter_map(domains).next_back().unwrap_or_default();
        last.retain(|domain| !domain.is_empty());
        Self(last)
    }

    /// The cluster's own zone: the shortest domain that the first one is under. Behind the three of the cluster, the kubelet
    /// puts those of its machine, which the cluster's DNS asks others for.
    pub(crate) fn cluster(&self) -> Option<&str> {
        let first = self.0.first()?;
        let above = self.0.iter().filter(|domain| is_within(first, domain));
        above.min_by_key(|domain| domain.len()).map(String::as_str)
    }

    /// Whether this name, in lower case, is in that zone.
    pub(super) fn is_of_cluster(&self, name: &str) -> bool {
        self.cluster().is_some_and(|zone| is_within(name, zone))
    }

    /// What stands before our zone in this name, in lower case, where a domain of the list stands behind it.
    pub(super) fn ours<'n>(&self, name: &'n str) -> Option<&'n str> {
        let before = |domain: &String| {
            let rest = name.strip_suffix(domain.as_str())?.strip_suffix('.')?.strip_suffix(ZONE)?;
            rest.strip_suffix('.').or_else(|| rest.is_empty().then_some(rest))
        };
        self.0.iter().find_map(before)
    }
}

fn is_within(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// The service that a name of our zone means. What stands before it is its version, its port, or one of its instances.
pub(super) fn service_of(name: &str) -> Option<ServiceRef> {
    successors(Some(name), |rest| Some(rest.split_once('.')?.1)).find_map(|rest| rest.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_A_POD: &str = "search shop.svc.cluster.local svc.cluster.local cluster.local\n\
        nameserver 127.0.0.1\nnameserver 10.96.0.10\noptions ndots:5\n";

    #[test]
    fn the_last_line_of_a_file_counts() {
        for (text, domains) in [
            (OF_A_POD, &["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"][..]),
            ("search a.example\nsearch\tB.Example.  c.example", &["b.example", "c.example"]),
            ("search a.example\ndomain d.example", &["d.example"]),
            ("search .", &[]),
            ("search a.example\nsearch", &[]),
            ("# search a.example\n;search b.example\nsearching c.example", &[]),
            ("", &[]),
        ] {
            assert_eq!(Search::of(text).0, domains, "{text}");
        }
    }

    #[test]
    fn the_clusters_zone_is_what_the_first_domain_is_under() {
        for (text, cluster) in [
            (OF_A_POD, Some("cluster.local")),
            (
                "search a.svc.cluster.local svc.cluster.local cluster.local ec2.internal",
                Some("cluster.local"),
            ),
            ("search a.svc.xcluster.local cluster.local", Some("a.svc.xcluster.local")),
            ("search cluster.local", Some("cluster.local")),
            ("", None),
        ] {
            assert_eq!(Search::of(text).cluster(), cluster, "{text}");
        }
        let search = Search::of("search shop.svc.cluster.local cluster.local ec2.internal");
        for (name, is_of_cluster) in [
            ("orders.shop.svc.cluster.local", true),
            ("cluster.local", true),
            ("xcluster.local", false),
            ("www.example", false),
            ("www.example.ec2.internal", false),
            ("cluster.local.example", false),
            ("", false),
        ] {
            assert_eq!(search.is_of_cluster(name), is_of_cluster, "{name}");
        }
        assert!(!Search::default().is_of_cluster("orders.shop.svc.cluster.local"));
    }

    #[test]
    fn ours_are_names_of_the_zone_with_a_domain_of_the_list_behind_them() {
        let search = Search::of(OF_A_POD);
        for (name, ours) in [
            ("orders.rollcall.shop.svc.cluster.local", Some("orders")),
            ("orders.shop.rollcall.svc.cluster.local", Some("orders.shop")),
            ("_http._tcp.orders.rollcall.cluster.local", Some("_http._tcp.orders")),
            ("rollcall.cluster.local", Some("")),
            ("orders.shop.svc.cluster.local", None),
            ("orders.xrollcall.cluster.local", None),
            ("orders.rollcall", None),
            ("orders.rollcall.xcluster.local", None),
            ("orders.rollcall.default.svc.cluster.local.example", None),
            ("rollcall.example", None),
            ("cluster.local", None),
            ("", None),
        ] {
            assert_eq!(search.ours(name), ours, "{name}");
        }
        assert_eq!(Search::default().ours("orders.rollcall.cluster.local"), None);
    }

    #[test]
    fn the_service_is_what_stands_behind_its_version_its_port_or_its_instance() {
        for (name, service) in [
            ("orders", Some("orders")),
            ("orders.shop", Some("orders.shop")),
            ("1-4-2.orders", Some("orders")),
            ("1-4-2.orders.shop", Some("orders.shop")),
            ("_http._tcp.orders", Some("orders")),
            ("_http._tcp.1-4-2.orders.shop", Some("orders.shop")),
            ("ip-10-0-0-1.orders.shop", Some("orders.shop")),
            ("_tcp", None),
            ("", None),
        ] {
            assert_eq!(service_of(name).map(|name| name.to_string()).as_deref(), service, "{name}");
        }
    }

    #[test]
    fn a_pod_without_the_file_has_no_list() {
        assert!(Search::read(Path::new("/nonexistent/resolv.conf")).0.is_empty());
        assert!(Search::read(Path::new("/")).0.is_empty(), "a folder");
    }
}
