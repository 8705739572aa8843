//! Pods whose first nameserver is the sidecar.

use rollcall_injection::Install;
use serde_json::{Value, json};

use crate::support::{dns, injected, injected_by, pod, settings, sidecar, variable, way};

/// The pod as its resolver's annotation makes it.
fn resolving(spec: Value) -> (Value, Vec<String>) {
    injected(&pod(json!({"rollcall.dev/dns": "resolver"}), spec))
}

#[test]
fn a_sidecar_can_be_the_first_nameserver() {
    let (made, warnings) = resolving(json!({"dnsPolicy": "ClusterFirst"}));
    assert_eq!(warnings, [""; 0]);
    let spec = &made["spec"];
    assert_eq!(
        spec["securityContext"],
        json!({"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "53"}]})
    );
    assert_eq!(spec["dnsPolicy"], "None");
    let expected = json!({
        "nameservers": ["127.0.0.1", "10.96.0.10"],
        "searches": ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"],
        "options": [{"name": "ndots", "value": "5"}, {"name": "timeout", "value": "2"}],
    });
    assert_eq!(spec["dnsConfig"], expected);
    let ours = sidecar(&made);
    assert_eq!(variable(ours, "ROLLCALL_DNS_LISTEN")["value"], "127.0.0.1:7353,[::1]:7353,127.0.0.1:53");
    assert_eq!(variable(ours, "ROLLCALL_DNS_FORWARD")["value"], "10.96.0.10");
    assert_eq!(ours["startupProbe"]["httpGet"]["path"], "/startz");
    assert_eq!(ours["livenessProbe"]["httpGet"]["path"], "/healthz");
}

#[test]
fn a_pods_own_dns_settings_stay_beside_it() {
    let own = json!({
        "nameservers": ["10.0.0.1", "10.0.0.2"],
        "searches": ["corp.example", "cluster.local"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    });
    let port = |value: &str| json!({"name": "net.ipv4.ip_unprivileged_port_start", "value": value});
    let other = json!({"name": "net.ipv4.tcp_syncookies", "value": "1"});
    let (made, _) = resolving(
        json!({"dnsConfig": own, "securityContext": {"fsGroup": 7, "sysctls": [port("1024"), other]}}),
    );
    let expected = json!({
        "nameservers": ["127.0.0.1", "10.96.0.10", "10.0.0.1"],
        "searches": ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}, {"name": "timeout", "value": "2"}],
    });
    assert_eq!(made["spec"]["dnsConfig"], expected);
    assert_eq!(made["spec"]["securityContext"], json!({"fsGroup": 7, "sysctls": [other, port("53")]}));
    assert_eq!(injected(&made).0, made);
    let (made, _) = resolving(json!({"securityContext": {"sysctls": [port("0")]}}));
    assert_eq!(made["spec"]["securityContext"]["sysctls"], json!([port("0")]));

    // As many domains as Kubernetes takes, and as long.
    for (own, kept) in [
        ((0..32).map(|n| format!("d{n}.example")).collect::<Vec<_>>(), 32),
        (vec!["d".repeat(1_000), "e".repeat(1_000)], 4),
    ] {
        let (made, _) = resolving(json!({"dnsConfig": {"searches": own}}));
        assert_eq!(made["spec"]["dnsConfig"]["searches"].as_array().unwrap().len(), kept);
        assert_eq!(injected(&made).0, made);
    }
}

#[test]
fn who_has_a_dns_of_its_own_keeps_it() {
    let (settings, way) = (settings(), way());
    let resolver = json!({"rollcall.dev/dns": "resolver"});
    let none = json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.96.0.10"]}});
    for (annotations, spec, known, told) in [
        (resolver.clone(), json!({}), false, "not known"),
        (resolver.clone(), json!({"dnsPolicy": "Default"}), true, "dnsPolicy"),
        (resolver.clone(), none, true, "dnsPolicy"),
        (json!({"rollcall.dev/dns": "proxy"}), json!({}), true, "`proxy`"),
    ] {
        let dns = dns();
        let pod = pod(annotations, spec);
        let install = Install { settings: &settings, way: &way, dns: known.then_some(&dns) };
        let (made, warnings) = injected_by(&pod, &install);
        assert!(warnings.len() == 1 && warnings[0].contains(told), "{warnings:?}");
        for part in ["dnsPolicy", "dnsConfig", "securityContext"] {
            assert_eq!(made["spec"].get(part), pod["spec"].get(part));
        }
        assert_eq!(sidecar(&made)["startupProbe"]["httpGet"]["path"], "/healthz");
        assert!(variable(sidecar(&made), "ROLLCALL_DNS_LISTEN").is_null());
    }
}
