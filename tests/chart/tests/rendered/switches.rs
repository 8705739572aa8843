use crate::{NAMESPACE, helm, with};
use rollcall_chart::chart;
use rollcall_cluster::output_of;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_network_policy_lets_in_whom_it_must() {
    assert_eq!(with(&[]).of_kind("NetworkPolicy").count(), 0);
    let rendered = with(&["networkPolicy.enabled=true"]);
    let replicas = json!([{"podSelector": rendered.one("Deployment").unwrap()["spec"]["selector"]}]);
    let policy = &rendered.one("NetworkPolicy").unwrap()["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress"]));
    let expected = json!([
        {"ports": [{"port": 7310, "protocol": "TCP"}], "from": [{"namespaceSelector": {}}]},
        {"ports": [{"port": 7310, "protocol": "TCP"}], "from": replicas},
        {"ports": [{"port": 7343, "protocol": "TCP"}]},
    ]);
    assert_eq!(policy["ingress"], expected);

    let peer = json!({"namespaceSelector": {"matchLabels": {"name": "monitoring"}}});
    let rendered = with(&[
        "networkPolicy.enabled=true",
        &format!("networkPolicy.metricsFrom=[{peer}]"),
        r#"networkPolicy.egress=[{"ports":[{"port":6443}]}]"#,
        // Whoever is meant by it, the replicas are let in.
        r#"networkPolicy.sessionsFrom=[{"ipBlock":{"cidr":"10.0.0.0/8"}}]"#,
    ]);
    let policy = &rendered.one("NetworkPolicy").unwrap()["spec"];
    assert_eq!(policy["ingress"][1]["from"], replicas);
    assert_eq!(policy["ingress"][3], json!({"ports": [{"port": 7391, "protocol": "TCP"}], "from": [peer]}));
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let to_replicas = json!({"ports": [{"port": 7310, "protocol": "TCP"}], "to": replicas});
    assert_eq!(policy["egress"], json!([to_replicas, {"ports": [{"port": 6443}]}]));
}

#[test]
fn cert_manager_is_asked_for_an_authority_where_it_is_wanted_and_can_be_read() {
    let api = ["--api-versions", "cert-manager.io/v1/Certificate"];
    let wanted = ["--set", "certificates.certManager.enabled=true"];
    let issuer = ["--set", "certificates.certManager.issuerRef.name=company"];
    let rendered = |arguments: &[&str]| helm().rendered(NAMESPACE, arguments);
    assert_eq!(rendered(&api).unwrap().of_kind("Certificate").count(), 0);
    assert_eq!(rendered(&wanted).unwrap().of_kind("Certificate").count(), 0);
    let refused = rendered(&[wanted, api].concat()).unwrap_err().to_string();
    assert!(refused.contains("issuerRef: name the issuer"), "{refused}");
    let all = rendered(&[wanted, api, issuer].concat()).unwrap();
    let spec = &all.one("Certificate").unwrap()["spec"];
    assert_eq!(spec["secretName"], "rollcall-authority");
    assert_eq!(spec["isCA"], true);
    assert_eq!(
        (&spec["privateKey"]["algorithm"], &spec["privateKey"]["size"]),
        (&json!("ECDSA"), &json!(256))
    );
    assert_eq!(spec["issuerRef"], json!({"name": "company"}));
    let named = ["--set", "certificates.authoritySecret=outer"];
    let all = rendered(&[wanted, api, issuer, named].concat()).unwrap();
    assert_eq!(all.one("Certificate").unwrap()["spec"]["secretName"], "outer");
    let own = rendered(&["--set", "certificates.authoritySecret=rollcall-ca"]).unwrap_err().to_string();
    assert!(own.contains("name another one"), "{own}");
}

/// The chart with its notes among the objects: without a cluster helm shows them to nobody.
fn with_notes() -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("with-notes");
    let _ = fs::remove_dir_all(&copy);
    output_of("copying the chart", Command::new("cp").arg("-r").arg(chart()).arg(&copy)).unwrap();
    let templates = copy.join("templates");
    let notes = fs::read_to_string(templates.join("NOTES.txt")).unwrap();
    fs::write(templates.join("_notes.tpl"), format!("{{{{ define \"notes\" }}}}{notes}{{{{ end }}}}"))
        .unwrap();
    fs::write(templates.join("notes.yaml"), "kind: Notes\ntext: {{ include \"notes\" . | toJson }}\n")
        .unwrap();
    copy
}

#[test]
fn the_notes_name_one_next_command_and_warn_of_what_is_not_as_usual() {
    let chart = with_notes();
    let notes = |settings: &[&str]| {
        let arguments: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let rendered = helm().rendered_from(&chart, NAMESPACE, &arguments).unwrap();
        rendered.one("Notes").unwrap()["text"].as_str().unwrap().to_owned()
    };
    let usual = notes(&[]);
    assert!(usual.contains("kubectl label namespace NAMESPACE rollcall.dev/inject=enabled\n"), "{usual}");
    assert!(!usual.contains("WARNING"), "{usual}");
    for settings in [&["injection.enabled=false"][..], &["injection.enabled=false", "tests.enabled=false"]] {
        let without = notes(settings);
        // Nobody is sent to a test that may not be there.
        assert!(without.contains("  rollcall inject ") && !without.contains("helm test"), "{without}");
    }
    let next = |notes: &str| notes.lines().filter(|line| line.starts_with("  ")).count();
    assert_eq!(next(&usual), 1);
    for (settings, warning) in [
        (&["replicas=1"][..], "WARNING: replicas is 1"),
        (&["injection.enabled=false"], "WARNING: injection.enabled is false"),
        (&["serviceMonitor.enabled=true"], "WARNING: serviceMonitor.enabled is true"),
        (&["podMonitor.enabled=true"], "WARNING: podMonitor.enabled is true"),
        (&["prometheusRule.enabled=true"], "there is no PrometheusRule."),
        (&["prometheusRule.enabled=true"], "RollcallControllerAbsent fires"),
        (
            &["serviceMonitor.enabled=true", "networkPolicy.enabled=true"],
            "WARNING: networkPolicy.metricsFrom is empty",
        ),
    ] {
        let notes = notes(settings);
        assert!(notes.contains(warning), "{settings:?}: {notes}");
        assert_eq!(next(&notes), 1, "{notes}");
    }
}
