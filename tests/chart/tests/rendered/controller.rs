use crate::{NAMESPACE, ci_files, container, environment, pod, with, with_file};
use rollcall_chart::{Rendered, chart};
use rollcall_cluster::CONTROLLER_ALLOCATES;
use serde_json::{Value, json};

#[test]
fn its_names_are_those_that_sidecars_and_people_know() {
    let rendered = with(&[]);
    for kind in ["Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "ConfigMap"] {
        assert_eq!(rendered.one(kind).unwrap()["metadata"]["name"], "rollcall-controller", "{kind}");
    }
    let annotations = &pod(&rendered)["metadata"]["annotations"];
    assert_eq!(annotations["rollcall.dev/service"], "rollcall-controller");
    assert_eq!(annotations["rollcall.dev/port"], "sessions:7310");
}

#[test]
fn every_port_of_the_service_is_one_of_the_container() {
    let rendered = with(&[]);
    let service = &rendered.one("Service").unwrap()["spec"];
    assert_eq!(service["type"], "ClusterIP");
    let expected = json!([
        {"name": "sessions", "port": 7310, "targetPort": "sessions", "protocol": "TCP"},
        {"name": "admission", "port": 7343, "targetPort": "admission", "protocol": "TCP"},
        {"name": "metrics", "port": 7391, "targetPort": "health", "protocol": "TCP"},
    ]);
    assert_eq!(service["ports"], expected);
    let ports = &container(&rendered)["ports"];
    for port in expected.as_array().unwrap() {
        let target = json!({"name": port["targetPort"], "containerPort": port["port"], "protocol": "TCP"});
        assert!(ports.as_array().unwrap().contains(&target), "{ports}");
    }
}

#[test]
fn every_selector_means_the_controllers_pods_and_no_test() {
    for file in ci_files() {
        let rendered = with_file(&file);
        let selects = |selector: &Value, labels: &Value| {
            selector.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value)
        };
        let mut selectors = vec![
            &rendered.one("Deployment").unwrap()["spec"]["selector"]["matchLabels"],
            &rendered.one("Service").unwrap()["spec"]["selector"],
        ];
        selectors.extend(
            rendered.of_kind("PodDisruptionBudget").map(|budget| &budget["spec"]["selector"]["matchLabels"]),
        );
        selectors.extend(
            rendered.of_kind("NetworkPolicy").map(|policy| &policy["spec"]["podSelector"]["matchLabels"]),
        );
        for selector in selectors {
            assert!(selects(selector, &pod(&rendered)["metadata"]["labels"]), "{selector}");
            assert!(
                rendered.of_kind("Pod").all(|test| !selects(selector, &test["metadata"]["labels"])),
                "{selector}"
            );
        }
    }
}

#[test]
fn pod_security_restricted_takes_every_pod() {
    for file in ci_files() {
        let rendered = with_file(&file);
        let pods =
            [&pod(&rendered)["spec"]].into_iter().chain(rendered.of_kind("Pod").map(|pod| &pod["spec"]));
        for pod in pods {
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            for shared in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(pod[shared].is_null());
            }
            let containers =
                ["containers", "initContainers"].iter().filter_map(|kind| pod[kind].as_array()).flatten();
            for container in containers {
                let expected = json!({
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "runAsNonRoot": true,
                    "runAsUser": 65532,
                    "runAsGroup": 65532,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                });
                assert_eq!(container["securityContext"], expected);
                assert!(container["resources"]["limits"]["memory"].is_string());
                assert!(container["resources"]["requests"]["cpu"].is_string());
            }
        }
    }
}

#[test]
fn only_the_controller_has_a_token_for_the_api_server() {
    let rendered = with(&[]);
    assert_eq!(rendered.one("ServiceAccount").unwrap()["automountServiceAccountToken"], false);
    assert_eq!(pod(&rendered)["spec"]["automountServiceAccountToken"], true);
    assert_eq!(rendered.one("Pod").unwrap()["spec"]["automountServiceAccountToken"], false);
}

#[test]
fn replicas_know_each_other_by_a_token_that_is_for_nothing_else() {
    for file in ci_files() {
        let rendered = with_file(&file);
        let spec = &pod(&rendered)["spec"];
        let volumes = spec["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == "replica-token").unwrap();
        let token = json!({"path": "token", "audience": "rollcall-replica", "expirationSeconds": 3600});
        assert_eq!(volume["projected"]["sources"], json!([{"serviceAccountToken": token}]));
        // Where the controller looks for it.
        let path = "/var/run/secrets/rollcall-replica";
        let mount = json!({"name": "replica-token", "mountPath": path, "readOnly": true});
        assert!(container(&rendered)["volumeMounts"].as_array().unwrap().contains(&mount));
        assert_eq!(environment(&rendered)["ROLLCALL_SERVICE_ACCOUNT"], spec["serviceAccountName"]);
    }
}

#[test]
fn its_environment_says_what_the_values_say() {
    let rendered = with(&[]);
    let defaults = environment(&rendered);
    let expected = [
        CONTROLLER_ALLOCATES,
        ("ROLLCALL_AUTHORITY_LIFETIME", "3650d"),
        ("ROLLCALL_AUTHORITY_OVERLAP", "30d"),
        ("ROLLCALL_INJECTION_FILE", "/etc/rollcall-controller/injection.yaml"),
        ("ROLLCALL_LEAF_LIFETIME", "30d"),
        ("ROLLCALL_LIVENESS_MODE", "enforce"),
        ("ROLLCALL_SERVICE_ACCOUNT", "rollcall-controller"),
        ("ROLLCALL_SERVICE_NAME", "rollcall-controller"),
        ("ROLLCALL_WEBHOOK", "rollcall-system-injection"),
        ("RUST_LOG", "info"),
    ];
    assert_eq!(defaults.into_iter().collect::<Vec<_>>(), expected);
    let from_the_pod: Vec<_> = container(&rendered)["env"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|variable| variable["valueFrom"].is_object())
        .map(|variable| {
            (
                variable["name"].as_str().unwrap(),
                variable["valueFrom"]["fieldRef"]["fieldPath"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        from_the_pod,
        [("ROLLCALL_NAMESPACE", "metadata.namespace"), ("ROLLCALL_REPLICA", "metadata.name")]
    );

    let rendered = with(&[
        r#"liveness.mode="observe""#,
        r#"staticAddresses.allowedCIDRs=["10.20.0.0/16","fd00::/8"]"#,
        r#"logLevel="debug""#,
        r#"certificates.authoritySecret="outer""#,
        r#"certificates.leafLifetime="7d""#,
    ]);
    let changed = environment(&rendered);
    assert_eq!(changed["ROLLCALL_LIVENESS_MODE"], "observe");
    assert_eq!(changed["ROLLCALL_ALLOWED_ADDRESSES"], "10.20.0.0/16,fd00::/8");
    assert_eq!(changed["RUST_LOG"], "debug");
    assert_eq!(changed["ROLLCALL_AUTHORITY_SECRET_FROM"], "outer");
    assert_eq!(changed["ROLLCALL_LEAF_LIFETIME"], "7d");
}

#[test]
fn an_image_is_named_by_its_digest_where_there_is_one() {
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let image = |settings: &[&str]| container(&with(settings))["image"].as_str().unwrap().to_owned();
    assert_eq!(image(&[]), concat!("rollcall.dev/controller:", env!("CARGO_PKG_VERSION")));
    assert_eq!(image(&[r#"image.tag="2""#]), "rollcall.dev/controller:2");
    let pinned = format!(r#"image.digest="{digest}""#);
    assert_eq!(image(&[&pinned, r#"image.tag="2""#]), format!("rollcall.dev/controller@{digest}"));
}

/// What a rollout and a drain may do to the controllers.
fn disruption(rendered: &Rendered) -> (Value, Value, usize) {
    let deployment = &rendered.one("Deployment").unwrap()["spec"];
    let budgets = rendered.of_kind("PodDisruptionBudget").count();
    (deployment["replicas"].clone(), deployment["strategy"]["rollingUpdate"].clone(), budgets)
}

#[test]
fn there_is_a_controller_at_all_times() {
    let never_none = json!({"maxSurge": 1, "maxUnavailable": 0});
    let rendered = with(&[]);
    assert_eq!(disruption(&rendered), (2.into(), never_none.clone(), 1));
    assert_eq!(rendered.one("PodDisruptionBudget").unwrap()["spec"]["maxUnavailable"], 1);
    // Who leaves has time to send its sessions away, and is asked for none while it does.
    assert_eq!(pod(&rendered)["spec"]["terminationGracePeriodSeconds"], 30);
    assert_eq!(container(&rendered)["readinessProbe"]["periodSeconds"], 1);
    assert_eq!(container(&rendered)["readinessProbe"]["httpGet"]["path"], "/readyz");
    // With one replica, a budget would forbid every drain.
    let single = with_file(&chart().join("profiles/single.yaml"));
    assert_eq!(disruption(&single), (1.into(), never_none, 0));
    assert_eq!(disruption(&with(&["podDisruptionBudget.enabled=false"])).2, 0);
}

#[test]
fn replicas_are_spread_over_nodes_as_far_as_there_are_some() {
    let rendered = with(&[]);
    let own = &rendered.one("Deployment").unwrap()["spec"]["selector"];
    let expected = json!([{
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": own,
    }]);
    assert_eq!(pod(&rendered)["spec"]["topologySpreadConstraints"], expected);
}

#[test]
fn labels_and_annotations_of_others_do_not_take_the_place_of_ours() {
    let rendered = with(&[
        r#"podLabels={"app.kubernetes.io/name":"x","team":"platform"}"#,
        r#"podAnnotations={"rollcall.dev/service":"x","note":"y"}"#,
    ]);
    let metadata = &pod(&rendered)["metadata"];
    assert_eq!(metadata["labels"]["app.kubernetes.io/name"], "rollcall");
    assert_eq!(metadata["labels"]["team"], "platform");
    assert_eq!(metadata["annotations"]["rollcall.dev/service"], "rollcall-controller");
    assert_eq!(metadata["annotations"]["note"], "y");
}

#[test]
fn the_test_goes_through_a_sidecar_like_any_other() {
    let rendered = with(&[]);
    let test = rendered.one("Pod").unwrap();
    assert_eq!(test["metadata"]["annotations"]["helm.sh/hook"], "test");
    let sidecar = &test["spec"]["initContainers"][0];
    assert_eq!(sidecar["restartPolicy"], "Always");
    let token = &test["spec"]["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(token["audience"], "rollcall");
    let authority = &sidecar["env"][1]["valueFrom"]["secretKeyRef"];
    assert_eq!(*authority, json!({"name": "rollcall-ca", "key": "ca.crt"}));
    // Only a test that can fail is one.
    let arguments = &test["spec"]["containers"][0]["args"];
    assert_eq!(
        *arguments,
        json!(["requires", "--deps", "rollcall-controller", "--timeout", "30s", "--fail"])
    );
    assert_eq!(test["metadata"]["namespace"], NAMESPACE);
    assert_eq!(with(&["tests.enabled=false"]).of_kind("Pod").count(), 0);
}

#[test]
fn the_address_that_sidecars_know_outlives_the_release() {
    let rendered = with(&[]);
    let service = rendered.one("Service").unwrap();
    assert_eq!(service["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
}
