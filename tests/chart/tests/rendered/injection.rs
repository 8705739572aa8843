use crate::{environment, pod, texts, with};
use rollcall_chart::Rendered;
use rollcall_injection::{MIRROR, Settings};
use serde_json::{Value, json};

/// The settings that the controller would read, as it would read them.
fn settings(rendered: &Rendered) -> Settings {
    let file = rendered.one("ConfigMap").unwrap()["data"]["injection.yaml"].as_str().unwrap();
    serde_saphyr::from_str(file).unwrap()
}

fn entries(rendered: &Rendered) -> &Vec<Value> {
    rendered.one("MutatingWebhookConfiguration").unwrap()["webhooks"].as_array().unwrap()
}

#[test]
fn the_defaults_are_the_controllers_own() {
    assert_eq!(settings(&with(&[])), Settings::default());
}

#[test]
fn what_the_values_say_of_sidecars_reaches_the_controller() {
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let rendered = with(&[
        &format!(
            r#"sidecar.image={{"repository":"example.org/sidecar","digest":"{digest}","pullPolicy":"Always"}}"#
        ),
        r#"sidecar.resources={"requests":{"cpu":"","memory":"24Mi"},"limits":{"cpu":0.5,"memory":""}}"#,
        r#"sidecar.guaranteed={"cpu":"100m","memory":"64Mi"}"#,
        "sidecar.requiresTimeoutSeconds=90",
        r#"injection.namespaces={"only":["shop"],"except":["kube-system"]}"#,
    ]);
    let settings = settings(&rendered);
    assert_eq!(settings.image, format!("example.org/sidecar@{digest}"));
    assert_eq!(format!("{:?}", settings.image_pull_policy), "Always");
    assert_eq!(
        (settings.resources.requests.cpu.as_str(), settings.resources.requests.memory.as_str()),
        ("", "24Mi")
    );
    assert_eq!(
        (settings.resources.limits.cpu.as_str(), settings.resources.limits.memory.as_str()),
        ("0.5", "")
    );
    assert_eq!((settings.guaranteed.cpu.as_str(), settings.guaranteed.memory.as_str()), ("100m", "64Mi"));
    assert_eq!(settings.requires_timeout_seconds, 90);
    assert_eq!(settings.namespaces.only, ["shop"]);
    // Its own namespace is always excepted.
    assert_eq!(settings.namespaces.except, ["kube-system", "rollcall-system"]);
}

#[test]
fn other_settings_start_other_controllers() {
    let sum =
        |settings: &[&str]| pod(&with(settings))["metadata"]["annotations"]["checksum/settings"].clone();
    assert!(sum(&[]).is_string());
    assert_eq!(sum(&[]), sum(&["replicas=3"]));
    assert_ne!(sum(&[]), sum(&["sidecar.requiresTimeoutSeconds=90"]));
}

#[test]
fn the_webhook_cannot_hurt_whom_it_does_not_concern() {
    let rendered = with(&[]);
    for entry in entries(&rendered) {
        assert_eq!(entry["failurePolicy"], "Ignore");
        assert_eq!(entry["timeoutSeconds"], 2);
        assert_eq!(entry["reinvocationPolicy"], "IfNeeded");
        assert_eq!(entry["sideEffects"], "None");
        assert_eq!(entry["matchPolicy"], "Equivalent");
        let rule = json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "scope": "Namespaced"});
        assert_eq!(entry["rules"], json!([rule]));
        let service = json!({"name": "rollcall-controller", "namespace": "rollcall-system", "port": 7343, "path": "/inject"});
        // Without a caBundle: that is the controller's to write, and an upgrade must not take it away.
        assert_eq!(entry["clientConfig"], json!({"service": service}));
        let namespaces = entry["namespaceSelector"]["matchExpressions"].as_array().unwrap();
        let names = &namespaces[1];
        assert_eq!(
            (names["key"].as_str(), names["operator"].as_str()),
            (Some("kubernetes.io/metadata.name"), Some("NotIn"))
        );
        assert_eq!(
            texts(&names["values"]),
            ["kube-system", "kube-public", "kube-node-lease", "rollcall-system"]
        );
    }
}

#[test]
fn the_webhook_is_asked_for_those_pods_alone_that_can_have_a_sidecar() {
    let word = |words: &str| {
        let annotations = "object.metadata.annotations";
        let name = "rollcall.dev/inject";
        format!("has({annotations}) && '{name}' in {annotations} && {annotations}['{name}'] in {words}")
    };
    let own_network = "!has(object.spec.hostNetwork) || !object.spec.hostNetwork";
    let no_mirror =
        format!("!has(object.metadata.annotations) || !('{MIRROR}' in object.metadata.annotations)");
    let first = [
        ("not-declined", format!("!({})", word("['false', 'disabled']"))),
        ("asked", word("['true', 'enabled']")),
    ];
    let rendered = with(&[]);
    let conditions: Vec<_> =
        entries(&rendered).iter().map(|entry| entry["matchConditions"].clone()).collect();
    let expected = first.map(|(name, expression)| {
        json!([
            {"name": name, "expression": expression},
            {"name": "own-network", "expression": own_network},
            {"name": "no-mirror", "expression": no_mirror},
        ])
    });
    assert_eq!(conditions, expected);
}

#[test]
fn a_namespace_can_ask_and_so_can_a_pod() {
    let rendered = with(&[]);
    let asked: Vec<_> = entries(&rendered)
        .iter()
        .map(|entry| {
            let by = &entry["namespaceSelector"]["matchExpressions"][0];
            (
                entry["name"].as_str().unwrap(),
                by["key"].as_str().unwrap(),
                by["operator"].as_str().unwrap(),
                texts(&by["values"]),
            )
        })
        .collect();
    let label = "rollcall.dev/inject";
    assert_eq!(
        asked,
        [
            ("namespaces.inject.rollcall.dev", label, "In", vec!["enabled"]),
            ("pods.inject.rollcall.dev", label, "NotIn", vec!["enabled"]),
        ]
    );
}

#[test]
fn only_some_namespaces_can_be_named() {
    let rendered = with(&[r#"injection.namespaces.only=["shop","billing"]"#]);
    for entry in entries(&rendered) {
        let names = &entry["namespaceSelector"]["matchExpressions"][2];
        assert_eq!(
            *names,
            json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop", "billing"]})
        );
    }
}

#[test]
fn without_injection_nothing_of_it_is_left() {
    let rendered = with(&["injection.enabled=false"]);
    assert_eq!(rendered.of_kind("MutatingWebhookConfiguration").count(), 0);
    assert_eq!(rendered.of_kind("ConfigMap").count(), 0);
    let environment = environment(&rendered);
    assert!(
        !environment.contains_key("ROLLCALL_WEBHOOK") && !environment.contains_key("ROLLCALL_INJECTION_FILE")
    );
    let text = serde_json::to_string(&rendered.0).unwrap();
    assert!(!text.contains("7343") && !text.contains("mutatingwebhookconfigurations"), "{text}");
}
