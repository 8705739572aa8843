//! Pods whose first nameserver is the sidecar (`rollcall.dev/dns: resolver`).

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use crate::{
    ClusterDns, NotAPod,
    pod::{Object, list, name, object},
};

/// From which port on a process without rights may listen; on Kubernetes' list of safe ones.
const SYSCTL: &str = "net.ipv4.ip_unprivileged_port_start";
const DNS_PORT: u16 = 53;

/// Kubernetes' own limits of a pod's `dnsConfig`.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCHES_CHARS_MAX: usize = 2_048;

/// The server that the pod asks first.
const OURS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Those that the sidecar asks for other names: as many as it takes.
pub(crate) fn nameservers(dns: &ClusterDns) -> impl Iterator<Item = IpAddr> {
    dns.nameservers.iter().copied().take(NAMESERVERS_MAX)
}

/// Whether the pod's names are the cluster's to resolve; or ours already, as this would have it.
pub(crate) fn can_have(spec: &Object, dns: &ClusterDns) -> bool {
    match spec.get("dnsPolicy").and_then(Value::as_str) {
        None | Some("ClusterFirst") => true,
        Some("None") => {
            let said = spec.get("dnsConfig").and_then(|config| config.get("nameservers")?.as_array());
            said.is_some_and(|said| said.starts_with(&servers(dns)))
        }
        Some(_) => false,
    }
}

/// Has the pod ask the sidecar first, then the cluster's nameservers; with the search list that it had.
pub(crate) fn add(spec: &mut Object, namespace: &str, dns: &ClusterDns) -> Result<(), NotAPod> {
    let security = object(spec, "spec.securityContext")?;
    let sysctls = list(security, "spec.securityContext.sysctls")?;
    let is_it = |sysctl: &Value| name(sysctl) == Some(SYSCTL);
    let does = |sysctl: &Value| {
        let value = sysctl.get("value").and_then(Value::as_str);
        value.and_then(|value| value.parse::<u16>().ok()).is_some_and(|from| from <= DNS_PORT)
    };
    if !sysctls.iter().any(|sysctl| is_it(sysctl) && does(sysctl)) {
        sysctls.retain(|sysctl| !is_it(sysctl));
        sysctls.push(json!({"name": SYSCTL, "value": DNS_PORT.to_string()}));
    }

    spec.insert("dnsPolicy".to_owned(), "None".into());
    let config = object(spec, "spec.dnsConfig")?;
    let own = std::mem::take(list(config, "spec.dnsConfig.nameservers")?);
    *list(config, "spec.dnsConfig.nameservers")? =
        distinct(servers(dns).into_iter().chain(own), NAMESERVERS_MAX);

    let first = format!("{namespace}.{}", dns.services);
    let searches = std::iter::once(first).chain(dns.rest.iter().cloned()).map(Value::from);
    let own = std::mem::take(list(config, "spec.dnsConfig.searches")?);
    let mut searches = distinct(searches.chain(own), SEARCHES_MAX);
    let mut chars = 0;
    // With a space between each two.
    searches.retain(|search| {
        chars += search.as_str().map_or(0, |search| search.chars().count()) + 1;
        chars <= SEARCHES_CHARS_MAX + 1
    });
    *list(config, "spec.dnsConfig.searches")? = searches;

    let options = list(config, "spec.dnsConfig.options")?;
    // A sidecar that hangs is to cost each name 2 s, and not 5: just more than the longest that a name may take us.
    for (option, value) in [("ndots", "5"), ("timeout", "2")] {
        if !options.iter().any(|said| name(said) == Some(option)) {
            options.push(json!({"name": option, "value": value}));
        }
    }
    Ok(())
}

/// Those that the pod asks before all of its own.
fn servers(dns: &ClusterDns) -> Vec<Value> {
    let servers = std::iter::once(OURS).chain(nameservers(dns));
    distinct(servers.map(|ip| ip.to_string().into()), NAMESERVERS_MAX)
}

/// The first of each, in their order.
fn distinct(values: impl Iterator<Item = Value>, at_most: usize) -> Vec<Value> {
    let mut distinct = Vec::new();
    for value in values {
        if distinct.len() < at_most && !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}
