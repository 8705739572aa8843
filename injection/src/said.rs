//! What a pod's annotations ask of the injection. A bad value costs itself alone, and a warning.

use std::collections::BTreeMap;

use rollcall_catalogue::{Need, shortened};

use crate::{ClusterDns, INJECT, pod::Object, resolver};

const REQUIRES: &str = "rollcall.dev/requires";
const PRESTOP: &str = "rollcall.dev/prestop";
const DNS: &str = "rollcall.dev/dns";

/// Holds what the pod is to get beside its sidecar, and what of its annotations could not be followed.
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
        if let Some(other) = get(INJECT).filter(|word| !matches!(*word, "true" | "enabled")) {
            said.warn(INJECT, &format!("`{}` is no word for it; use true or false", shortened(other)));
        }
        match get(REQUIRES).map(Need::list) {
            None => {}
            Some(Ok(needs)) => said.needs = needs,
            Some(Err(error)) => {
                said.warn(
                    REQUIRES,
                    &format!("{error}; {}; until then the pod waits for nothing", error.remedy()),
                );
            }
        }
        match get(PRESTOP) {
            None | Some("true") => {}
            Some("false") => said.hook = false,
            Some(other) => {
                let problem = format!(
                    "`{}` is no word for it; use true or false; until then the hook is there",
                    shortened(other)
                );
                said.warn(PRESTOP, &problem);
            }
        }
        let remedy = "until then the pod resolves names as it did";
        match (get(DNS), cluster.filter(|cluster| !cluster.nameservers.is_empty())) {
            (None, _) => {}
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
            (Some(other), _) => {
                said.warn(DNS, &format!("`{}` is no mode; use resolver; {remedy}", shortened(other)));
            }
        }
        said
    }

    fn warn(&mut self, annotation: &str, problem: &str) {
        self.warnings.push(format!("{annotation}: {problem}"));
    }
}
