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
