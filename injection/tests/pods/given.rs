//! What each pod gets, case by case.

use rollcall_injection::{Decision, Exemption, Install, NotAPod, PullPolicy, Settings, Way, inject};
use serde_json::json;

use crate::support::{dns, injected, injected_by, names, plain, pod, settings, sidecar, variable, way};

#[test]
fn a_plain_pod_in_full() {
    let pod = json!({"spec": {"containers": [{"name": "app", "image": "orders"}]}});
    let (made, warnings) = injected(&pod);
    assert_eq!(warnings, [""; 0]);
    let expected = json!({
        "metadata": {"annotations": {"rollcall.dev/status": "injected"}},
        "spec": {
            "initContainers": [{
                "name": "rollcall-sidecar",
                "image": "registry.example/sidecar:1",
                "imagePullPolicy": "IfNotPresent",
                "restartPolicy": "Always",
                "env": [
                    {"name": "ROLLCALL_CONTROLLER", "value": "10.96.7.7:7310"},
                    {"name": "ROLLCALL_CA_PEM", "value": "-----BEGIN CERTIFICATE-----"},
                    {"name": "ROLLCALL_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                    {"name": "ROLLCALL_MEMORY_MAX_MIB", "valueFrom": {"resourceFieldRef":
                        {"containerName": "rollcall-sidecar", "resource": "limits.memory", "divisor": "1Mi"}}},
                ],
                "ports": [{"name": "rollcall", "containerPort": 7390, "protocol": "TCP"}],
                "startupProbe": {"httpGet": {"path": "/healthz", "port": 7390},
                    "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 30},
                "livenessProbe": {"httpGet": {"path": "/healthz", "port": 7390},
                    "periodSeconds": 10, "timeoutSeconds": 2, "failureThreshold": 3},
                "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "48Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
                    "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}},
                "volumeMounts": [
                    {"name": "rollcall-token", "mountPath": "/var/run/secrets/rollcall", "readOnly": true},
                    {"name": "rollcall-token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                        "readOnly": true},
                    {"name": "rollcall-state", "mountPath": "/var/lib/rollcall"}],
            }],
            "containers": [{"name": "app", "image": "orders",
                "env": [{"name": "ROLLCALL_URL", "value": "http://127.0.0.1:7300"}],
                "lifecycle": {"preStop": {"httpGet": {"path": "/prestop?grace=30", "port": 7390}}}}],
            "volumes": [
                {"name": "rollcall-token", "projected": {"sources": [
                    {"serviceAccountToken": {"audience": "rollcall", "expirationSeconds": 3600, "path": "token"}}]}},
                {"name": "rollcall-state", "emptyDir": {"sizeLimit": "16Mi"}}],
        }
    });
    assert_eq!(made, expected);
}

#[test]
fn the_name_of_the_controllers_service_is_told_where_it_is_not_the_usual_one() {
    let way = way();
    for name in [None, Some("rollcall-controller.other.svc")] {
        let settings = Settings { controller_name: name.map(str::to_owned), ..settings() };
        let (made, _) = injected_by(&plain(), &Install { settings: &settings, way: &way, dns: None });
        let expected = name.map(|name| json!({"name": "ROLLCALL_CONTROLLER_NAME", "value": name}));
        assert_eq!(*variable(sidecar(&made), "ROLLCALL_CONTROLLER_NAME"), expected.unwrap_or_default());
    }
}

#[test]
fn who_is_left_alone() {
    let (settings, way) = (settings(), way());
    let install = Install { settings: &settings, way: &way, dns: None };
    let mirror = json!({"kubernetes.io/config.mirror": "0a1b"});
    for (pod, expected) in [
        (pod(json!({"rollcall.dev/inject": "false"}), json!({})), None),
        // Whoever declines has declined, whatever else it is.
        (pod(json!({"rollcall.dev/inject": "disabled"}), json!({"hostNetwork": true})), None),
        (pod(json!({}), json!({"hostNetwork": true})), Some(Exemption::HostNetwork)),
        (pod(mirror, json!({})), Some(Exemption::Mirror)),
        (pod(json!({}), json!({"os": {"name": "windows"}})), Some(Exemption::Windows)),
    ] {
        assert_eq!(inject(&pod, "shop", &install), Ok(Decision::Left(expected)), "{pod}");
    }
    for (nothing, field) in [
        (json!([]), "the pod"),
        (json!({}), "spec.containers"),
        (json!({"spec": []}), "spec"),
        (json!({"spec": {"containers": {}}}), "spec.containers"),
        (json!({"spec": {"containers": ["app"]}}), "spec.containers"),
        (json!({"spec": {"containers": [{"name": "rollcall-sidecar"}]}}), "spec.containers"),
        (pod(json!({}), json!({"initContainers": 1})), "spec.initContainers"),
        (pod(json!({}), json!({"volumes": [1]})), "spec.volumes"),
        (pod(json!({"rollcall.dev/inject": true}), json!({})), "metadata.annotations"),
        (pod(json!([]), json!({})), "metadata.annotations"),
        (json!({"metadata": 1, "spec": {"containers": [{}]}}), "metadata"),
        (json!({"spec": {"containers": [{"env": {}}]}}), "spec.containers.env"),
        (json!({"spec": {"containers": [{"lifecycle": []}]}}), "spec.containers.lifecycle"),
    ] {
        assert!(
            matches!(inject(&nothing, "shop", &install), Err(NotAPod { field: f, .. }) if f == field),
            "{nothing}"
        );
    }
    assert!(inject(&plain(), "No Namespace", &install).is_err());
}

#[test]
fn the_installation_says_how_the_controller_is_found() {
    let (mut settings, dns) = (settings(), dns());
    settings.image_pull_policy = PullPolicy::Never;
    let v6 = Way::Direct { controller: "[fd00::7]:7310".parse().unwrap(), ca_pem: String::new() };
    let (made, _) = injected_by(&plain(), &Install { settings: &settings, way: &v6, dns: Some(&dns) });
    assert_eq!(variable(sidecar(&made), "ROLLCALL_CONTROLLER")["value"], "[fd00::7]:7310");
    assert_eq!(sidecar(&made)["imagePullPolicy"], "Never");
    let map = Way::ConfigMap("rollcall".to_owned());
    let (made, _) = injected_by(&plain(), &Install { settings: &settings, way: &map, dns: Some(&dns) });
    for (name, key) in [("ROLLCALL_CONTROLLER", "controller"), ("ROLLCALL_CA_PEM", "ca.crt")] {
        let expected = json!({"configMapKeyRef": {"name": "rollcall", "key": key}});
        assert_eq!(variable(sidecar(&made), name)["valueFrom"], expected);
    }
}

#[test]
fn our_names_are_ours() {
    let theirs =
        json!({"name": "rollcall-sidecar", "image": "evil", "securityContext": {"privileged": true}});
    let brought = pod(
        json!({}),
        json!({
            "initContainers": [{"name": "setup"}, theirs, {"name": "rollcall-requires", "image": "evil"}],
            "volumes": [{"name": "rollcall-token", "hostPath": {"path": "/"}}, {"name": "data"}],
        }),
    );
    let (made, warnings) = injected(&brought);
    assert_eq!(names(&made["spec"]["initContainers"]), ["rollcall-sidecar", "setup"]);
    assert_eq!(names(&made["spec"]["volumes"]), ["rollcall-token", "data", "rollcall-state"]);
    assert!(!made.to_string().contains("evil") && !made.to_string().contains("hostPath"), "{made}");
    let told = [
        "spec.initContainers: rollcall-sidecar",
        "spec.initContainers: rollcall-requires",
        "spec.volumes: rollcall-token",
    ];
    assert!(warnings.len() == told.len(), "{warnings:?}");
    assert!(warnings.iter().zip(told).all(|(warning, told)| warning.starts_with(told)), "{warnings:?}");
    // Where somebody had us inject it before, it is said already.
    let mut before = brought;
    before["metadata"]["annotations"]["rollcall.dev/status"] = "injected".into();
    assert_eq!(injected(&before), (made.clone(), vec![]));
    // What Kubernetes adds to a volume makes it nobody else's, nor does an own image's container.
    let mut ours = made;
    ours["metadata"]["annotations"] = json!({});
    ours["spec"]["volumes"][0]["projected"]["defaultMode"] = 420.into();
    assert_eq!(injected(&ours).1, [""; 0]);

    // One that runs beside the app was not put there by an injection.
    let mut beside = plain();
    beside["spec"]["containers"].as_array_mut().unwrap().push(theirs);
    let (made, warnings) = injected(&beside);
    assert_eq!(names(&made["spec"]["containers"]), ["app"]);
    assert!(warnings.len() == 1 && warnings[0].contains("rollcall-sidecar"), "{warnings:?}");
}

#[test]
fn a_port_of_our_name_is_the_apps() {
    for container in ["containers", "initContainers"] {
        let taken = json!([{"name": "app", "ports": [{"name": "rollcall", "containerPort": 1}]}]);
        let (made, _) = injected(&pod(json!({}), json!({container: taken})));
        assert_eq!(sidecar(&made).get("ports"), None);
    }
}

#[test]
fn whoever_listens_where_we_do_is_told() {
    for (port, dns, told) in [
        (json!({"containerPort": 7300}), "", Some("port 7300 of app: there the sidecar answers lookups")),
        (json!({"containerPort": 7300, "protocol": "UDP"}), "", None),
        (
            json!({"containerPort": 7353, "protocol": "UDP"}),
            "",
            Some("port 7353 of app: there the sidecar answers DNS"),
        ),
        (json!({"containerPort": 7353, "protocol": "SCTP"}), "", None),
        (json!({"containerPort": 7390}), "", Some("port 7390 of app: there the sidecar answers the kubelet")),
        (json!({"containerPort": 7390, "protocol": "UDP"}), "", None),
        (
            json!({"containerPort": 53, "protocol": "UDP"}),
            "resolver",
            Some("port 53 of app: there the sidecar is the pod's nameserver"),
        ),
        (json!({"containerPort": 53}), "resolver", Some("port 53 of app")),
        (json!({"containerPort": 53}), "", None),
        (json!({"containerPort": 8080}), "resolver", None),
    ] {
        for list in ["containers", "initContainers"] {
            let mut pod = pod(json!({}), json!({list: [{"name": "app", "ports": [port]}]}));
            if !dns.is_empty() {
                pod["metadata"]["annotations"]["rollcall.dev/dns"] = dns.into();
            }
            let (made, warnings) = injected(&pod);
            assert_eq!(warnings.len(), usize::from(told.is_some()), "{port} {warnings:?}");
            assert!(told.is_none_or(|told| warnings[0].contains(told)), "{warnings:?}");
            // The sidecar's own port is not the app's.
            assert_eq!(injected(&made).1, warnings);
        }
    }
}

#[test]
fn apps_know_where_to_ask_and_keep_what_they_have() {
    let own = json!({"name": "ROLLCALL_URL", "value": "http://elsewhere"});
    let (made, _) = injected(&pod(
        json!({}),
        json!({
            "initContainers": [{"name": "setup", "env": null}, {"name": "other", "env": [own]}],
            "containers": [{"name": "app", "env": [{"name": "A", "value": "1"}]}],
        }),
    ));
    assert_eq!(
        variable(&made["spec"]["initContainers"][1], "ROLLCALL_URL")["value"],
        "http://127.0.0.1:7300"
    );
    assert_eq!(made["spec"]["initContainers"][2], json!({"name": "other", "env": [own]}));
    assert_eq!(names(&made["spec"]["containers"][0]["env"]), ["A", "ROLLCALL_URL"]);
}

#[test]
fn who_ends_waits_for_its_callers() {
    let hook = |grace: &str| json!({"httpGet": {"path": format!("/prestop?grace={grace}"), "port": 7390}});
    let own = json!({"preStop": {"sleep": {"seconds": 1}}});
    let post = json!({"postStart": {"sleep": {"seconds": 1}}});
    for (annotation, grace, lifecycle, expected) in [
        (None, json!(null), json!(null), hook("30")),
        (None, json!(0), json!({}), hook("0")),
        (None, json!(-1), json!({"preStop": null}), hook("30")),
        (Some("true"), json!(90), post.clone(), hook("90")),
        (Some("maybe"), json!(90), json!(null), hook("90")),
        (None, json!(90), own.clone(), own["preStop"].clone()),
        (Some("false"), json!(90), json!(null), json!(null)),
        (Some("false"), json!(90), own.clone(), own["preStop"].clone()),
    ] {
        let annotations = annotation.map_or(json!({}), |word| json!({"rollcall.dev/prestop": word}));
        let spec = json!({"terminationGracePeriodSeconds": grace, "initContainers": [{"name": "setup"}],
            "containers": [{"name": "app", "lifecycle": lifecycle}]});
        let (made, warnings) = injected(&pod(annotations, spec));
        let app = &made["spec"]["containers"][0]["lifecycle"];
        assert_eq!(app["preStop"], expected, "{annotation:?} {grace} {lifecycle}");
        assert_eq!(app["postStart"], lifecycle["postStart"]);
        assert_eq!(made["spec"]["initContainers"][1].get("lifecycle"), None);
        assert_eq!(warnings.len(), usize::from(annotation == Some("maybe")), "{warnings:?}");
    }
}

#[test]
fn the_service_is_a_label_too() {
    for (annotations, labels, expected, told) in [
        (
            json!({"rollcall.dev/service": "orders"}),
            json!(null),
            json!({"rollcall.dev/service": "orders"}),
            "",
        ),
        (
            json!({"rollcall.dev/service": " orders "}),
            json!({"a": "b"}),
            json!({"a": "b", "rollcall.dev/service": "orders"}),
            "",
        ),
        (
            json!({"rollcall.dev/service": "Orders"}),
            json!({"a": "b"}),
            json!({"a": "b"}),
            "rollcall.dev/service",
        ),
        (
            json!({"rollcall.dev/service": "orders", "rollcall.dev/weight": "heavy"}),
            json!(null),
            json!({"rollcall.dev/service": "orders"}),
            "rollcall.dev/weight",
        ),
        (json!({"rollcall.dev/inject": "yes"}), json!(null), json!(null), "rollcall.dev/inject"),
        (json!({"rollcall.dev/inject": "true"}), json!(null), json!(null), ""),
    ] {
        let mut pod = pod(annotations.clone(), json!({}));
        pod["metadata"]["labels"] = labels;
        let (made, warnings) = injected(&pod);
        assert_eq!(made["metadata"]["labels"], expected, "{annotations}");
        assert_eq!(made["metadata"]["annotations"]["rollcall.dev/status"], "injected");
        assert!(
            warnings.len() == usize::from(!told.is_empty()) && warnings.concat().starts_with(told),
            "{warnings:?}"
        );
    }
    let portless = json!({"containers": [{"name": "app"}, {"name": "rollcall-sidecar", "ports": [{"containerPort": 1}]}]});
    let (_, warnings) = injected(&pod(json!({"rollcall.dev/service": "orders"}), portless));
    assert!(
        warnings[0].starts_with("rollcall.dev/port: missing"),
        "our own port is not the app's: {warnings:?}"
    );
}

#[test]
fn what_is_required_is_waited_for_before_the_app() {
    let required = |text: &str| {
        let annotations = json!({"rollcall.dev/requires": text});
        injected(&pod(annotations, json!({"initContainers": [{"name": "setup"}]})))
    };
    let (made, warnings) = required("orders>=2, billing.money");
    let containers = &made["spec"]["initContainers"];
    assert_eq!(names(containers), ["rollcall-sidecar", "rollcall-requires", "setup"]);
    let same = |member: &str| containers[0][member].clone();
    let expected = json!({
        "name": "rollcall-requires", "image": same("image"), "imagePullPolicy": same("imagePullPolicy"),
        "args": ["requires", "--deps", "orders>=2,billing.money", "--timeout", "60s"],
        "resources": same("resources"), "securityContext": same("securityContext"), "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "rollcall-token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}],
    });
    assert_eq!((&containers[1], warnings), (&expected, vec![]));
    let many = vec!["orders"; 65].join(",");
    for bad in ["", "orders>=0", "Orders", "--deps", many.as_str()] {
        let (made, warnings) = required(bad);
        assert_eq!(names(&made["spec"]["initContainers"]), ["rollcall-sidecar", "setup"], "{bad}");
        assert!(warnings.len() == 1 && warnings[0].starts_with("rollcall.dev/requires: "), "{warnings:?}");
    }
    // Another webhook may take the annotation away before we are asked again.
    let mut again = required("orders").0;
    again["metadata"]["annotations"] = json!({});
    assert_eq!(names(&injected(&again).0["spec"]["initContainers"]), ["rollcall-sidecar", "setup"]);
}
