//! What our containers ask for, so that pods keep their class of service.

use rollcall_injection::Install;
use serde_json::{Value, json};

use crate::support::{injected, injected_by, pod, settings, sidecar, variable, way};

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
    for some in [json!({"requests": {"cpu": "2"}}), json!({"limits": {"hugepages-2Mi": "2Mi"}})] {
        assert_eq!(whole(some), (json!({}), false));
    }
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

#[test]
fn whoever_all_have_of_the_nodes_disk_is_had_by_ours_too() {
    let (limit, request) = ("80Mi", "16Mi");
    for (app, setup, expected) in [
        (
            json!({"limits": {"ephemeral-storage": "1Gi"}}),
            json!({"limits": {"ephemeral-storage": "1Gi"}}),
            [Some(request), Some(limit)],
        ),
        (
            json!({"limits": {"ephemeral-storage": "1Gi"}}),
            json!({"requests": {"ephemeral-storage": "1Gi"}}),
            [Some(request), None],
        ),
        (json!({"limits": {"ephemeral-storage": "1Gi"}}), json!({}), [None, None]),
    ] {
        for whole in [json!({}), json!({"limits": {"cpu": "2", "memory": "2Gi"}})] {
            let spec = json!({"resources": whole, "containers": [{"name": "app", "resources": app}], "initContainers": [{"name": "setup", "resources": setup}]});
            let (made, _) = injected(&pod(json!({}), spec));
            let resources = &sidecar(&made)["resources"];
            let found = ["requests", "limits"].map(|part| resources[part]["ephemeral-storage"].as_str());
            assert_eq!(found, expected, "{app} {setup}");
        }
    }
}

/// A pod with these resources of ours, as if it had come to us before; and what they are after us.
fn after_filling(status: &str, image: &str, resources: Value) -> (Value, Vec<String>) {
    let ours = json!({"name": "rollcall-sidecar", "image": image, "resources": resources});
    let (made, warnings) =
        injected(&pod(json!({"rollcall.dev/status": status}), json!({"initContainers": [ours]})));
    (sidecar(&made)["resources"].clone(), warnings)
}

#[test]
fn what_kubernetes_filled_in_stays_and_what_is_ours_is_ours() {
    let filled = json!({
        "requests": {"cpu": "7", "memory": "7Gi", "ephemeral-storage": "1Gi", "x/gpu": null, "x/y": "?"},
        "limits": {"cpu": "1", "memory": "7Gi", "ephemeral-storage": "2Gi"},
    });
    let kept = json!({
        "requests": {"cpu": "5m", "memory": "16Mi", "ephemeral-storage": "1Gi"},
        "limits": {"cpu": "1", "memory": "48Mi", "ephemeral-storage": "2Gi"},
    });
    let plain = json!({"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "48Mi"}});
    let image = settings().image;
    assert_eq!(after_filling("injected", &image, filled.clone()).0, kept);
    // The first time a pod chooses none of it, and later only of our own image's container.
    for (status, image) in [("", image.as_str()), ("Injected", &image), ("injected", "evil")] {
        assert_eq!(after_filling(status, image, filled.clone()).0, plain, "{status} {image}");
    }
    // A limit below what ours asks for is of other settings, and no pod could be made with both.
    assert_eq!(after_filling("injected", &image, json!({"limits": {"cpu": "4m"}})).0, plain);
    let mut settings = settings();
    settings.resources.requests.memory = String::new();
    let way = way();
    let ours =
        json!({"name": "rollcall-sidecar", "image": image, "resources": {"requests": {"memory": "64Mi"}}});
    let stale = pod(json!({"rollcall.dev/status": "injected"}), json!({"initContainers": [ours]}));
    let (made, _) = injected_by(&stale, &Install { settings: &settings, way: &way, dns: None });
    assert_eq!(sidecar(&made)["resources"], json!({"requests": {"cpu": "5m"}, "limits": {"memory": "48Mi"}}));
}
