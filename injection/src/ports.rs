//! Ports of the app where the sidecar listens already: it is there first.

use serde_json::Value;

use crate::{
    container::HEALTH_PORT,
    pod::{Object, name, own_containers},
};

/// Where the sidecar answers lookups, and DNS; in resolver mode on DNS's own port as well.
const LOOKUPS: u64 = 7300;
const DNS: u64 = 7353;
const RESOLVER: u64 = 53;

/// A warning for each of them that the pod declares.
pub(crate) fn taken(spec: &Object, resolver: bool) -> Vec<String> {
    let does = |port: u64, is_tcp: bool| match port {
        LOOKUPS if is_tcp => Some("answers lookups"),
        _ if port == u64::from(HEALTH_PORT) && is_tcp => {
            Some("answers the kubelet's probes and preStop hooks")
        }
        DNS => Some("answers DNS"),
        RESOLVER if resolver => Some("is the pod's nameserver (rollcall.dev/dns: resolver)"),
        _ => None,
    };
    let warning = |container: &Value, port: &Value| {
        let number = port.get("containerPort")?.as_u64()?;
        let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
        let what = does(number, protocol == "TCP").filter(|_| matches!(protocol, "TCP" | "UDP"))?;
        let container = name(container).unwrap_or("?");
        Some(format!(
            "spec.containers: port {number} of {container}: there the sidecar {what}, and {container} cannot listen; use \
             another port"
        ))
    };
    let ports = own_containers(spec).flat_map(|container| {
        let ports = container.get("ports").and_then(Value::as_array).into_iter().flatten();
        ports.filter_map(move |port| warning(container, port))
    });
    ports.collect()
}
