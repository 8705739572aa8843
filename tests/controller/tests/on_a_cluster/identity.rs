//! Who gets in at which door, and what is told to those who do not.

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rollcall_cluster::{Cluster, Home};
use rollcall_controller_tests::http;
use rollcall_controller_tests::knock::{Said, knock};
use rollcall_controller_tests::objects::annotations;
use rollcall_controller_tests::stage::Scene;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Says what a token gets at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gets {
    Refused(u16),
    /// A session, as this pod.
    SessionAs(&'static str),
}

/// The token of this ServiceAccount for sessions, bound to no pod.
fn unbound(scene: &Scene, namespace: &str, account: &str, audience: &str) -> Result<String> {
    let query = ["create", "token", account, "--duration", "1h", "--audience", audience];
    scene.kubectl(namespace, &query)
}

/// The same token but for its times, signed with the cluster's own key; none where that is not ours to have.
fn with_times(scene: &Scene, token: &str, ends_in_s: i64) -> Result<Option<String>> {
    let config: Value =
        serde_json::from_str(&scene.stage.kubectl.call(&["config", "view", "--raw", "-o", "json"])?)?;
    let authority =
        config["clusters"][0]["cluster"]["certificate-authority-data"].as_str().unwrap_or_default();
    let Some(cluster) = Cluster::of_authority(&Home::of_this_user()?, authority)? else { return Ok(None) };
    let claims = token.split('.').nth(1).context("no JWT")?;
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    for (claim, value) in [("iat", now - 7_200), ("nbf", now - 7_200), ("exp", now + ends_in_s)] {
        claims[claim] = value.into();
    }
    Ok(Some(cluster.sign_token(&claims)?))
}

#[test]
fn each_identity_gets_what_is_its_own_at_each_route_and_nothing_before() -> Result<()> {
    let scene = Scene::begin()?;
    let (shop, mall) = (scene.namespace(&json!({}))?, scene.namespace(&json!({}))?);
    // Whose names nobody is told before he has shown who he is.
    scene.pod_by_hand(&shop, "vault", &annotations("strongroom", "1.0.0", "http:8080"), &["198.19.15.90"])?;
    for (namespace, pod, last) in
        [(&shop, "ours", 91), (&mall, "other", 92), (&shop, "gone", 93), (&shop, "late", 94)]
    {
        scene.pod_by_hand(namespace, pod, &json!({}), &[&format!("198.19.15.{last}")])?;
    }
    let (door, authority) = (scene.stage.controller().sessions(), scene.stage.authority()?);
    let at = |method: &str, path: &str, token: Option<&str>| knock(door, &authority, method, path, token);
    let system = scene.stage.namespace();
    scene.kubectl(system, &["create", "serviceaccount", "rollcall-controller"])?;

    let ours = scene.token(&shop, "ours", "rollcall")?;
    let (gone, late) = (scene.token(&shop, "gone", "rollcall")?, scene.token(&shop, "late", "rollcall")?);
    // One of the two was let in before its pod went.
    ensure!(at("POST", "/v1/session", Some(&late))?.status == 200);
    for pod in ["gone", "late"] {
        scene.kubectl(&shop, &["delete", "pod", pod, "--force", "--grace-period=0"])?;
    }
    let forged = format!("{}.c2lnbmF0dXJl", ours.rsplit_once('.').context("no JWT")?.0);
    let mut identities = vec![
        ("no token", None, Gets::Refused(401)),
        ("garbage", Some("garbage".to_owned()), Gets::Refused(401)),
        ("ours, with a signature of nobody", Some(forged), Gets::Refused(401)),
        (
            "for the API server",
            Some(scene.kubectl(&shop, &["create", "token", "default"])?),
            Gets::Refused(403),
        ),
        ("for somebody else", Some(scene.token(&shop, "ours", "somebody-else")?), Gets::Refused(403)),
        ("for peers", Some(scene.token(&shop, "ours", "rollcall-peers")?), Gets::Refused(403)),
        ("of a pod that is gone", Some(gone), Gets::Refused(401)),
        ("of a pod that is gone, known from before", Some(late), Gets::Refused(403)),
        ("bound to no pod", Some(unbound(&scene, &shop, "default", "rollcall")?), Gets::Refused(403)),
        (
            "the controller's own",
            Some(unbound(&scene, system, "rollcall-controller", "rollcall")?),
            Gets::Refused(403),
        ),
        ("of another pod", Some(scene.token(&mall, "other", "rollcall")?), Gets::SessionAs("other")),
    ];
    match (with_times(&scene, &ours, -60)?, with_times(&scene, &ours, 600)?) {
        (Some(expired), Some(good)) => identities.extend([
            ("ours, expired", Some(expired), Gets::Refused(401)),
            ("ours, signed as that one and not expired", Some(good), Gets::SessionAs("ours")),
        ]),
        _ => println!("no expired token: this cluster's signing key is not ours"),
    }
    identities.push(("ours", Some(ours), Gets::SessionAs("ours")));

    let tells_nothing = |what: &str, said: &str| {
        let secrets = ["strongroom", "vault", "198.19.15.90", &shop];
        let told = secrets.into_iter().find(|secret| said.contains(secret));
        ensure!(told.is_none(), "{what}: {said}");
        Ok(())
    };
    for (who, token, gets) in &identities {
        let Said { status, text } = at("POST", "/v1/session", token.as_deref())?;
        match gets {
            Gets::Refused(expected) => {
                ensure!(status == *expected, "{who}: {status} {text}");
                tells_nothing(who, &text)?;
            }
            Gets::SessionAs(pod) => {
                ensure!(status == 200, "{who}: {status} {text}");
                let welcome: Value = serde_json::from_str(&text)?;
                ensure!(welcome["type"] == "welcome" && welcome["pod"]["name"] == *pod, "{who}: {welcome}");
                ensure!(!text.contains("strongroom"), "it has asked for nothing: {text}");
            }
        }
    }
    // No other route has anything, for whoever it is.
    let routes = [
        ("GET", "/v1/session", 405),
        ("DELETE", "/v1/session", 405),
        ("POST", "/v1/session/", 404),
        ("POST", "/inject", 404),
        ("GET", "/", 404),
        ("GET", "/v1/services", 404),
        ("GET", "/v1/catalogue", 404),
        ("GET", "/metrics", 404),
    ];
    for (method, path, expected) in routes {
        for (who, token, _) in &identities {
            let Said { status, text } = at(method, path, token.as_deref())?;
            ensure!(status == expected, "{who}: {method} {path}: {status} {text}");
            tells_nothing(&format!("{who}: {method} {path}"), &text)?;
        }
    }
    Ok(())
}

/// The ports at which nobody is asked who he is: what is of the catalogue is at those of loopback alone.
#[test]
fn doors_without_identity_say_nothing_of_the_catalogue_or_are_on_loopback() -> Result<()> {
    const HEALTH: u16 = 7390;
    const CONNECT_MAX: Duration = Duration::from_secs(5);
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    let hermit = scene.hermit(&shop, "vault", "strongroom", 1)?;
    scene.eventually("the sidecar knows its service", || Ok(hermit.lookup("strongroom")?.0 == ["vault"]))?;
    let controller = scene.stage.controller();
    let pod = SocketAddr::from((hermit.address(), HEALTH));
    for (whose, door) in [("the controller", controller.health()), ("the sidecar", pod)] {
        let paths = [
            "/healthz",
            "/readyz",
            "/metrics",
            "/v1/services",
            "/v1/services/strongroom",
            "/v1/catalogue",
            "/",
        ];
        for path in paths {
            let said = http::get(door, path)?;
            let expected = if matches!(path, "/healthz" | "/readyz" | "/metrics") { 200 } else { 404 };
            ensure!(said.status == expected, "{whose} {path}: {} {}", said.status, said.body);
            for secret in ["strongroom", "vault", &shop, &hermit.address().to_string()] {
                ensure!(!said.body.contains(secret), "{whose} {path}: {secret} in {}", said.body);
            }
        }
    }
    // The catalogue for people, from an address of this machine that is not loopback.
    ensure!(controller.read_status(&format!("/v1/services/strongroom.{shop}"))? == 200);
    let machine = UdpSocket::bind("0.0.0.0:0")?;
    machine.connect(pod)?;
    let reading = SocketAddr::new(machine.local_addr()?.ip(), controller.reading().port());
    let lookups = [7300, 7353].map(|port| SocketAddr::from((hermit.address(), port)));
    for door in [reading, lookups[0], lookups[1]] {
        ensure!(!door.ip().is_loopback());
        let said = TcpStream::connect_timeout(&door, CONNECT_MAX);
        ensure!(said.is_err(), "{door} is open to the cluster");
    }
    Ok(())
}
