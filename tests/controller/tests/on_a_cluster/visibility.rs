//! Who may not see a service is told that there is none, at each delivery: also who was told of it before.

use anyhow::{Result, bail, ensure};
use rollcall_controller_tests::hermit::Hermit;
use rollcall_controller_tests::objects::{http_port, registration, selecting, with};
use rollcall_controller_tests::stage::Scene;
use serde_json::{Value, json};

/// DNS' word for a name that nobody has.
const NXDOMAIN: u8 = 3;

/// What the sidecar of another namespace says of a service, by each of its ways: the status of a lookup and of an
/// explanation, whether the list has it, and the code of DNS with the number of its records.
fn told(looker: &Hermit, service: &str, namespace: &str) -> Result<(u16, u16, bool, (u8, u16))> {
    let name = format!("{service}.{namespace}");
    let list: Value = serde_json::from_str(&looker.get("/v1/services")?.body)?;
    ensure!(list["partial"] == false, "{list}");
    let mut listed = list["services"].as_array().into_iter().flatten();
    Ok((
        looker.get(&format!("/v1/services/{name}"))?.status,
        looker.get(&format!("/v1/explain/{name}"))?.status,
        listed.any(|one| one["service"] == service && one["namespace"] == namespace),
        looker.resolve(&format!("{name}.rollcall"))?,
    ))
}

#[test]
fn a_service_that_is_narrowed_is_gone_for_those_who_streamed_it_and_comes_back() -> Result<()> {
    let scene = Scene::begin()?;
    let (shop, mall) = (scene.namespace(&json!({}))?, scene.namespace(&json!({}))?);
    let target = json!({"target": selecting("till"), "ports": http_port(8080)});
    let scoped =
        |scope: Value| registration("by-object", &with(target.clone(), &json!({"visibility": scope})));
    let wide = json!({"scope": "Cluster"});
    let named = |namespace: &str| json!({"scope": "Namespaces", "namespaces": [namespace]});
    scene.pod_by_hand(&shop, "till", &json!({}), &["198.19.15.80"])?;
    scene.apply(&shop, &scoped(wide.clone()))?;
    scene.pod_by_hand(
        &shop,
        "desk",
        &json!({"rollcall.dev/service": "by-annotation", "rollcall.dev/port": "http:8080"}),
        &["198.19.15.81"],
    )?;
    let near = scene.hermit(&shop, "near", "lookers", 1)?;
    let far = scene.hermit(&mall, "far", "lookers", 2)?;
    let shown = (200, 200, true, (0, 1));
    let hidden = (404, 404, false, (NXDOMAIN, 0));
    let expects = |what: &str, service: &str, expected, of: &Hermit| {
        scene.eventually(&format!("{what}: {service} is {expected:?}"), || {
            let told = told(of, service, &shop)?;
            if told == expected { Ok(true) } else { bail!("{told:?}\n{}", of.last_words()) }
        })
    };
    let narrow = |service: &str, scope: &Value| match service {
        "by-object" => scene.apply(&shop, &scoped(scope.clone())),
        _ => {
            let word = match scope["scope"].as_str() {
                Some("Cluster") => "cluster",
                Some("Namespace") => "namespace",
                _ => scope["namespaces"][0].as_str().unwrap_or_default(),
            };
            let annotation = format!("rollcall.dev/visibility={word}");
            scene.kubectl(&shop, &["annotate", "pod/desk", "--overwrite", &annotation]).map(drop)
        }
    };
    for service in ["by-object", "by-annotation"] {
        expects("at first", service, shown, &far)?;
        let watch = far.watch(&format!("{service}.{shop}"))?;
        let events = |what: &str, expected: &[&str]| {
            scene.eventually(&format!("{what}: the watch of {service} has {expected:?}"), || {
                let all = watch.events();
                // An instance may change for other reasons as well.
                let turns: Vec<_> = all.iter().filter(|event| *event != "upsert").collect();
                if turns == expected { Ok(true) } else { bail!("{all:?}") }
            })
        };
        events("at first", &["snapshot"])?;
        narrow(service, &json!({"scope": "Namespace"}))?;
        expects("narrowed", service, hidden, &far)?;
        events("narrowed", &["snapshot", "gone"])?;
        expects("narrowed", service, shown, &near)?;
        // Nobody can tell it from one that was never there.
        let (of, of_nobody) = (
            far.get(&format!("/v1/services/{service}.{shop}"))?,
            far.get(&format!("/v1/services/nobody.{shop}"))?,
        );
        ensure!(of.body.replace(service, "nobody") == of_nobody.body, "{} {}", of.body, of_nobody.body);

        narrow(service, &named(&mall))?;
        expects("widened for one", service, shown, &far)?;
        events("widened for one", &["snapshot", "gone", "snapshot"])?;
        narrow(service, &named("somebody-else"))?;
        expects("for another one", service, hidden, &far)?;
        narrow(service, &wide)?;
        expects("widened", service, shown, &far)?;
        events("widened", &["snapshot", "gone", "snapshot", "gone", "snapshot"])?;
    }
    Ok(())
}
