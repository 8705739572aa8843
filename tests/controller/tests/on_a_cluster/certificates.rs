//! Authorities come and go, by themselves and by hand, with terms of seconds: a sidecar in session notices nothing, and
//! comes back to each controller that starts.

use anyhow::{Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rollcall_controller_tests::controller::{Controller, free_port};
use rollcall_controller_tests::hermit::{Berth, Hermit};
use rollcall_controller_tests::stage::{Scene, eventually};
use serde_json::{Value, json};
use std::net::SocketAddr;

const FLAGS: [&str; 3] = ["--authority-lifetime=80s", "--authority-overlap=16s", "--leaf-lifetime=12s"];
const SECRET: &str = "rollcall-ca";
const NAME: &str = "rotated-1";

struct Installation<'a> {
    scene: &'a Scene,
    at: SocketAddr,
    controller: Option<Controller>,
    looker: Hermit,
}

impl Installation<'_> {
    /// Waits for something; all the while lookups find what they found.
    fn until(&self, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
        eventually(what, || {
            let (found, age) = self.looker.lookup("orders")?;
            if found != ["orders-1"] {
                // Nothing that a later look could make good.
                panic!("{what}: lookups find {found:?}, {age} s old");
            }
            holds()
        })
    }

    fn secret(&self) -> Result<Value> {
        let namespace = self.scene.stage.namespace();
        let get = ["-n", namespace, "get", "secret", SECRET, "--ignore-not-found", "-o", "json"];
        let text = self.scene.stage.kubectl.call(&get)?;
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    fn entry(&self, name: &str) -> Result<String> {
        let secret = self.secret()?;
        let text = secret["data"][name].as_str().unwrap_or_default();
        Ok(String::from_utf8(BASE64_STANDARD.decode(text)?)?)
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<()> {
        self.scene.kubectl(self.scene.stage.namespace(), arguments).map(drop)
    }

    fn patch(&self, entries: &[(&str, &str)]) -> Result<()> {
        let data: serde_json::Map<_, _> = entries
            .iter()
            .map(|(name, text)| ((*name).to_owned(), json!(BASE64_STANDARD.encode(text))))
            .collect();
        self.kubectl(&["patch", "secret", SECRET, "--type=merge", "-p", &json!({"data": data}).to_string()])
    }

    /// Pulls the controller's plug; the next one has a session with the sidecar.
    fn restart(&mut self) -> Result<()> {
        if let Some(mut controller) = self.controller.take() {
            controller.kill();
        }
        let next = self.scene.stage.replica_with(NAME, self.at, &[], &FLAGS)?;
        self.until("the sidecar is back in step", || {
            if next.metric("rollcall_sessions", "")? == 2.0 && self.looker.lookup("orders")?.1 == 0 {
                return Ok(true);
            }
            bail!("{}\n{}", self.looker.last_words(), next.last_words())
        })?;
        self.controller = Some(next);
        Ok(())
    }
}

fn new_authority() -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Runs a test in an installation whose authorities live for seconds, with a pod that is looked up all the while.
fn with_terms_of_seconds(test: impl FnOnce(&mut Installation<'_>) -> Result<()>) -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    let system = scene.stage.namespace();
    let pod_away = ["delete", "pod", NAME, "--force", "--grace-period=0", "--ignore-not-found"];
    scene.stage.restart(|| {
        let berth = Berth::new()?;
        let at: SocketAddr = (berth.address(), free_port()?.port()).into();
        // The one that is there is good for years: this test begins without it, and all the others go on with it.
        let good_for_years = scene.stage.kubectl.json(&["-n", system, "get", "secret", SECRET])?;
        let away = || scene.kubectl(system, &["delete", "secret", SECRET, "--ignore-not-found"]);
        away()?;
        scene.pod_by_hand(system, NAME, &json!({}), &[&at.ip().to_string()])?;
        let controller = scene.stage.replica_with(NAME, at, &[], &FLAGS)?;
        let _order = scene.hermit_at(at, (&shop, "orders-1", "orders", 1))?;
        let looker = scene.hermit_at(at, (&shop, "looker", "lookers", 2))?;
        eventually("lookups find it", || Ok(looker.lookup("orders")? == (vec!["orders-1".to_owned()], 0)))?;
        let tested = test(&mut Installation { scene: &scene, at, controller: Some(controller), looker });
        // Whatever it came to: the next one makes a pod of that name, and nobody else is to meet an authority that ends soon.
        scene.kubectl(system, &pod_away)?;
        away()?;
        let metadata = &good_for_years["metadata"];
        scene.apply(
            system,
            &json!({
                "apiVersion": "v1", "kind": "Secret", "type": good_for_years["type"], "data": good_for_years["data"],
                "metadata": {
                    "name": SECRET, "labels": metadata["labels"], "annotations": metadata["annotations"],
                },
            }),
        )?;
        tested
    })
}

#[test]
fn authorities_come_and_go_and_lookups_go_on() -> Result<()> {
    with_terms_of_seconds(|all| {
        let first = all.entry("tls.crt")?;
        all.kubectl(&["delete", "secret", SECRET])?;
        all.until("it is written back", || Ok(all.entry("tls.crt")? == first))?;
        for entry in ["tls.crt", "tls.key", "ca.crt"] {
            all.patch(&[(entry, "garbage")])?;
            all.until("it is put right", || {
                Ok(all.entry("ca.crt")? == first && all.entry("tls.crt")? == first)
            })?;
        }
        all.restart()?;

        let (certificate, key) = new_authority()?;
        all.patch(&[("tls.crt", &certificate), ("tls.key", &key)])?;
        all.until("it is announced", || Ok(all.entry("previous.crt")?.contains(&first)))?;
        ensure!(all.entry("ca.crt")?.matches("BEGIN CERTIFICATE").count() == 2);
        all.restart()?;
        all.until("the one before is retired", || Ok(all.entry("previous.crt")?.is_empty()))?;
        ensure!(!all.entry("ca.crt")?.contains(&first));
        all.restart()?;

        if let Some(mut controller) = all.controller.take() {
            controller.kill();
        }
        let system = all.scene.stage.namespace();
        let events = all.scene.kubectl(system, &["get", "events", "-o", "jsonpath={.items[*].reason}"])?;
        for reason in ["AuthorityMade", "AuthorityRepaired", "AuthorityAdopted", "AuthorityRetired"] {
            ensure!(events.contains(reason), "{reason}: {events}");
        }
        Ok(())
    })
}

#[test]
fn a_rotation_needs_nobody() -> Result<()> {
    with_terms_of_seconds(|all| {
        let first = all.entry("tls.crt")?;
        all.until("another is announced", || Ok(all.entry("previous.crt")?.contains(&first)))?;
        let second = all.entry("tls.crt")?;
        all.until("the first is retired", || Ok(all.entry("ca.crt")? == second))?;
        all.restart()
    })
}
