//! What each pod gets, case by case.

mod support;

use rollcall_injection::{Decision, Exemption, Install, NotAPod, PullPolicy, Way, inject};
use serde_json::{Value, json};
use support::{dns, injected, injected_by, settings, way};

/// A pod of one container, with this in its metadata's annotations and in its spec.
fn pod(annotations: Value, more: Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "orders-1", "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "orders", "ports": [{"containerPort": 8080}]}]}
    });
    pod["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    pod
}

fn plain() -> Value {
    pod(json!({}), json!({}))
}

fn sidecar(pod: &Value) -> &Value {
    let first = &pod["spec"]["initContainers"][0];
    assert_eq!(first["name"], "rollcall-sidecar");
    first
}

fn variable<'a>(container: &'a Value, name: &str) -> &'a Value {
    let found = container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == name);
    found.unwrap_or(&Value::Null)
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|entry| entry["name"].as_str()).collect()
}

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
            "volumes": [{"name": "data"}, {"name": "rollcall-token", "hostPath": {"path": "/"}}],
        }),
    );
    let (made, warnings) = injected(&brought);
    assert_eq!(names(&made["spec"]["initContainers"]), ["rollcall-sidecar", "setup"]);
    assert_eq!(names(&made["spec"]["volumes"]), ["data", "rollcall-token", "rollcall-state"]);
    assert!(!made.to_string().contains("evil") && !made.to_string().contains("hostPath"), "{made}");
    assert_eq!(warnings, [""; 0]);

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

#[test]
fn the_class_of_a_pod_says_what_the_sidecar_gets() {
    let guaranteed =
        json!({"requests": {"cpu": "50m", "memory": "48Mi"}, "limits": {"cpu": "50m", "memory": "48Mi"}});
    let usual = json!({"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "48Mi"}});
    let limited =
        json!({"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "50m", "memory": "48Mi"}});
    let both = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
    let spelled =
        json!({"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
    for (app, setup, expected) in [
        (json!(null), json!(null), &usual),
        (json!({}), both.clone(), &usual),
        (both.clone(), both.clone(), &guaranteed),
        (spelled, both.clone(), &guaranteed),
        (
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": null}}),
            both.clone(),
            &guaranteed,
        ),
        (
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "999m"}}),
            both.clone(),
            &limited,
        ),
        (json!({"limits": {"cpu": "1", "memory": "0"}}), both.clone(), &limited),
        (json!({"limits": {"cpu": "1"}}), both.clone(), &limited),
        (json!({"limits": {"memory": "1Gi"}}), both.clone(), &usual),
        (json!({"requests": {"cpu": "1"}}), both.clone(), &usual),
    ] {
        let spec = json!({"containers": [{"name": "app", "resources": app}], "initContainers": [{"name": "setup", "resources": setup}]});
        let (made, _) = injected(&pod(json!({"rollcall.dev/requires": "orders"}), spec));
        for ours in [sidecar(&made), &made["spec"]["initContainers"][1]] {
            assert_eq!(ours["resources"], *expected, "{app} {setup}");
        }
    }
}

#[test]
fn what_a_pod_has_as_a_whole_is_shared() {
    let whole = |resources: Value| {
        let container = json!([{"name": "app", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]);
        let (made, _) = injected(&pod(json!({}), json!({"resources": resources, "containers": container})));
        let ours = sidecar(&made);
        let limited = !variable(ours, "ROLLCALL_MEMORY_MAX_MIB").is_null();
        (ours["resources"].clone(), limited)
    };
    let guaranteed =
        json!({"requests": {"cpu": "50m", "memory": "48Mi"}, "limits": {"cpu": "50m", "memory": "48Mi"}});
    assert_eq!(whole(json!({})), (guaranteed.clone(), true));
    assert_eq!(whole(json!({"limits": {}})), (guaranteed, true));
    assert_eq!(whole(json!({"limits": {"cpu": "2", "memory": "2Gi"}})), (json!({}), false));
    let memory = json!({"requests": {"memory": "16Mi"}, "limits": {"memory": "48Mi"}});
    assert_eq!(whole(json!({"requests": {"cpu": "2"}})), (memory, true));
}

#[test]
fn a_limit_is_never_below_what_is_asked_for() {
    let (mut settings, way) = (settings(), way());
    settings.resources.requests.cpu = "200m".to_owned();
    let limited = json!([{"name": "app", "resources": {"limits": {"cpu": "1"}}}]);
    let install = Install { settings: &settings, way: &way, dns: None };
    let (made, _) = injected_by(&pod(json!({}), json!({"containers": limited})), &install);
    assert_eq!(sidecar(&made)["resources"]["limits"]["cpu"], "200m");
}

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
