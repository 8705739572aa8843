//! What a pod's annotations ask of the injection. A bad value costs itself alone.

use std::collections::BTreeMap;

use rollcall_catalogue::Need;

use crate::{ClusterDns, pod::Object, resolver};

const REQUIRES: &str = "rollcall.dev/requires";
const PRESTOP: &str = "rollcall.dev/prestop";
const DNS: &str = "rollcall.dev/dns";

/// Holds what the pod is to get beside its sidecar, and what it cannot have here.
pub(crate) struct Said<'a> {
    pub(crate) needs: Vec<Need>,
    pub(crate) hook: bool,
    /// Where the sidecar is to be the pod's first nameserver.
    pub(crate) dns: Option<&'a ClusterDns>,
    pub(crate) warnings: Vec<String>,
}

// === impl Said ===

impl<'a> Said<'a> {
    pub(crate) fn read(
        annotations: &BTreeMap<String, String>,
        spec: &Object,
        cluster: Option<&'a ClusterDns>,
    ) -> Self {
        let mut said = Self { needs: Vec::new(), hook: true, dns: None, warnings: Vec::new() };
        let get = |name: &str| annotations.get(name).map(String::as_str);
        // What cannot be read is told with all bad values.
        said.needs = get(REQUIRES).and_then(|text| Need::list(text).ok()).unwrap_or_default();
        said.hook = get(PRESTOP) != Some("false");
        let remedy = "until then the pod resolves names as it did";
        match (get(DNS), cluster.filter(|cluster| !cluster.nameservers.is_empty())) {
            (Some("resolver"), Some(cluster)) if resolver::can_have(spec, cluster) => {
                said.dns = Some(cluster);
            }
            (Some("resolver"), Some(_)) => {
                said.warn(
                    DNS,
                    &format!("the pod has a dnsPolicy of its own; use ClusterFirst, or none; {remedy}"),
                );
            }
            (Some("resolver"), None) => {
                said.warn(DNS, &format!("the cluster's DNS is not known here; {remedy}"));
            }
            _ => {}
        }
        said
    }

    fn warn(&mut self, annotation: &str, problem: &str) {
        self.warnings.push(format!("{annotation}: {problem}"));
    }
}
