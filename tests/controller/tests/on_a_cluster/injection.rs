//! The API server asks a controller what pods get, by a webhook whose Service leads to this machine.

use anyhow::{Context, Result, bail, ensure};
use rollcall_controller_tests::controller::{Controller, free_port};
use rollcall_controller_tests::objects::annotations;
use rollcall_controller_tests::stage::{Scene, Stage};
use serde_json::{Value, json};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

const KIND: &str = "mutatingwebhookconfigurations";
const SERVICE: &str = "rollcall-controller";
/// For so long the API server waits for an answer, and then makes the pod without.
const WEBHOOK_MAX: Duration = Duration::from_secs(2);

/// A webhook for the pods of one namespace. It goes with the test.
struct Webhook {
    stage: Arc<Stage>,
    name: String,
}

impl Webhook {
    fn create(scene: &Scene, namespace: &str) -> Result<Self> {
        let stage = scene.stage.clone();
        let mark = RandomState::new().build_hasher().finish() & 0xffff_ffff;
        let webhook = Self { name: format!("{}-{mark:08x}", stage.namespace()), stage };
        let entry = |name: &str, selector: &Value| {
            json!({
                "name": name, "namespaceSelector": selector, "failurePolicy": "Ignore", "sideEffects": "None",
                "reinvocationPolicy": "IfNeeded", "admissionReviewVersions": ["v1"],
                "timeoutSeconds": WEBHOOK_MAX.as_secs(),
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
                "clientConfig": {"service": {"name": SERVICE, "namespace": webhook.stage.namespace(), "port": 7343,
                    "path": "/inject"}},
            })
        };
        let here = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
        let nowhere = json!({"matchLabels": {"kubernetes.io/metadata.name": "nowhere"}});
        webhook.stage.kubectl.apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": webhook.name},
            "webhooks": [entry("here.inject.rollcall.dev", &here), entry("nowhere.inject.rollcall.dev", &nowhere)],
        }))?;
        Ok(webhook)
    }

    /// Whom the API server believes, by each entry.
    fn bundles(&self) -> Result<Vec<String>> {
        let object = self.stage.kubectl.json(&["get", KIND, &self.name])?;
        let entries = object["webhooks"].as_array().context("no webhooks")?.iter();
        let bundle =
            |entry: &Value| entry["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned();
        Ok(entries.map(bundle).collect())
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        if let Err(error) = self.stage.kubectl.call(&["delete", KIND, &self.name]) {
            eprintln!("left behind: {error:#}");
        }
    }
}

/// Leads the Service of the controllers' own namespace to an address, and says which one the Service itself has.
fn lead(stage: &Stage, to: SocketAddr) -> Result<IpAddr> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": SERVICE, "labels": {"service.kubernetes.io/service-proxy-name": "none"}},
        "spec": {"ports": [{"name": "sessions", "port": 7310}, {"name": "admission", "port": 7343}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": SERVICE, "labels": {"kubernetes.io/service-name": SERVICE}},
        "ports": [{"name": "admission", "port": to.port(), "protocol": "TCP"}],
        "endpoints": [{"addresses": [to.ip()], "conditions": {"ready": true}}],
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [service, slice]});
    stage.kubectl.given(&["-n", stage.namespace(), "apply", "-f", "-"], &list.to_string())?;
    let path = ["-o", "jsonpath={.spec.clusterIP}"];
    let address = ["-n", stage.namespace(), "get", "service", SERVICE, path[0], path[1]];
    Ok(stage.kubectl.call(&address)?.parse()?)
}

/// What becomes of a pod of this service.
fn made(scene: &Scene, namespace: &str, name: &str, how: &[&str]) -> Result<Value> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations("orders", "1.4.2", "http:8080")},
        "spec": {"nodeSelector": {"rollcall.test/node": "none"},
            "containers": [{"name": "app", "image": "nobody.example/pulls-this:1"}]},
    });
    let arguments = [&["-n", namespace, "create", "-o", "json", "-f", "-"], how].concat();
    Ok(serde_json::from_str(&scene.stage.kubectl.given(&arguments, &pod.to_string())?)?)
}

/// What its sidecar is told of the controller; none where it has no sidecar.
fn told(pod: &Value) -> Option<String> {
    let sidecar = pod["spec"]["initContainers"].as_array()?.first()?;
    let env = sidecar["env"].as_array()?;
    let value = env.iter().find(|one| one["name"] == "ROLLCALL_CONTROLLER")?["value"].as_str()?;
    (sidecar["name"] == "rollcall-sidecar").then(|| value.to_owned())
}

#[test]
fn pods_get_their_sidecar_and_are_made_without_it_where_nobody_answers() -> Result<()> {
    let scene = Scene::begin()?;
    let (shop, other) = (scene.namespace(&json!({}))?, scene.namespace(&json!({}))?);
    let address = SocketAddr::new(scene.stage.host()?, free_port()?.port());
    let service = SocketAddr::new(lead(&scene.stage, address)?, 7310);
    let webhook = Webhook::create(&scene, &shop)?;
    ensure!(webhook.bundles()? == ["", ""], "nobody is believed yet");
    let mut controller = scene.stage.admitting(address, &webhook.name)?;
    let written = webhook.bundles()?;
    ensure!(
        written.iter().all(|bundle| !bundle.is_empty()),
        "it is ready before it is believed: {written:?}"
    );

    let dry = ["--dry-run=server"];
    let explained = |controller: &Controller| format!("the controller said:\n{}", controller.last_words());
    scene
        .eventually("a pod gets a sidecar that knows the Service", || {
            match told(&made(&scene, &shop, "dry", &dry)?) {
                Some(controller) => Ok(controller == service.to_string()),
                None => bail!("it has no sidecar"),
            }
        })
        .with_context(|| explained(&controller))?;
    ensure!(told(&made(&scene, &other, "dry", &dry)?).is_none(), "nobody asked there");
    // For good, by whoever else looks at it.
    let pod = made(&scene, &shop, "orders", &[])?;
    ensure!(told(&pod) == Some(service.to_string()), "{pod}");
    ensure!(pod["metadata"]["annotations"]["rollcall.dev/status"] == "injected", "{pod}");
    ensure!(controller.metric("rollcall_injections_total", "result=\"injected\"")? >= 2.0, "not counted");
    ensure!(controller.metric("rollcall_injections_total", "result=\"failed\"")? == 0.0, "something failed");
    ensure!(controller.metric("rollcall_api_writes_total", "kind=\"webhook\"")? == 1.0, "once is enough");

    let taken = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]).to_string();
    scene.stage.kubectl.call(&["patch", KIND, &webhook.name, "--type=json", "-p", &taken])?;
    ensure!(webhook.bundles()? != written, "it was taken away");
    scene.eventually("it is believed again", || Ok(webhook.bundles()? == written))?;

    controller.kill();
    let begin = Instant::now();
    let pod = made(&scene, &shop, "late", &[])?;
    ensure!(told(&pod).is_none(), "nobody is there to add it: {pod}");
    ensure!(begin.elapsed() < 2 * WEBHOOK_MAX + Duration::from_secs(2), "it took {:?}", begin.elapsed());
    Ok(())
}
