//! A thousand pods whose readiness turns fifty times a second.

use anyhow::{Context, Result, ensure};
use rollcall_controller_tests::objects::{
    deployment, http_port, readiness, registration, selecting, service,
};
use rollcall_controller_tests::stage::Scene;
use serde_json::json;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// With three times as many, on two processors that had much other work, this test had not ended after four minutes.
/// How the controller fares at scale is measured by `cargo xtask bench lists`.
const SERVICES: u32 = 50;
const REPLICAS: u32 = 20;
const PODS: usize = (SERVICES * REPLICAS) as usize;
/// How long the turning goes on, and how often something turns.
const TURNING: Duration = Duration::from_secs(20);
const TURN_EVERY: Duration = Duration::from_millis(20);
/// Writes at a time: one alone would be too slow on a loaded machine.
const WRITERS: usize = 4;
/// So many pods turn, each several times.
const TURNING_PODS: usize = 200;
/// Deployments are made in parts, since kubectl sends them one by one.
const AT_ONCE: usize = 25;

#[test]
fn a_thousand_pods_of_fifty_services_are_followed_while_they_turn() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({"rollcall.dev/adopt-services": "enabled"}))?;
    let placement = scene.stage.nodes.placement();
    let mut objects = Vec::new();
    for number in 0..SERVICES {
        let name = format!("app{number}");
        objects.push(deployment(&name, REPLICAS, &json!({}), &placement));
        // Half of them by their labels, half by what Kubernetes makes of their Service.
        objects.push(match number % 2 {
            0 => registration(&name, &json!({"target": selecting(&name), "ports": http_port(8080)})),
            _ => service(&name, &json!({})),
        });
    }
    let began = Instant::now();
    for part in objects.chunks(AT_ONCE) {
        scene.apply_all(&shop, part)?;
    }
    let of = [shop.clone()];
    let serving = || -> Result<usize> {
        let catalogue = scene.stage.controller().catalogue(&of)?;
        Ok(catalogue.0.values().flatten().filter(|(_, entry)| entry.serves()).count())
    };
    scene.eventually("all of them serve", || {
        let serving = serving()?;
        ensure!(serving == PODS, "{serving} of {PODS} serve");
        Ok(true)
    })?;
    scene.agrees()?;
    let filled = began.elapsed();

    let list = scene.stage.kubectl.json(&["-n", &shop, "get", "pods"])?;
    let pods = list["items"].as_array().context("no pods")?.iter();
    // Of all services: the list is in the order of their names.
    let names: Vec<&str> =
        pods.step_by(PODS / TURNING_PODS).filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    ensure!(names.len() >= TURNING_PODS, "{} pods", names.len());
    let before = scene.stage.controller().cost()?;
    let observer = scene.observe()?;
    let begin = Instant::now();
    let turned: usize = scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (scene, shop, names) = (&scene, &shop, &names);
                scope.spawn(move || turn(scene, shop, names, writer, begin))
            })
            .collect();
        let ended = writers.into_iter().map(|writer| writer.join().unwrap());
        ended.sum::<Result<usize>>()
    })?;
    let turning = begin.elapsed();
    let after = scene.stage.controller().cost()?;
    scene.agrees()?;
    let seen = observer.end()?;
    let controller = scene.stage.controller();
    let drift = controller.metric("rollcall_relist_drift_total", "")?;
    let cpu_ms = after.cpu_ms - before.cpu_ms;
    println!(
        "{PODS} pods in {SERVICES} services after {filled:.1?}; {turned} turns in {turning:.1?}; {seen:?}"
    );
    println!(
        "memory {} KiB, then {} KiB; CPU {cpu_ms} ms, {:.2} ms a turn; drift {drift}",
        before.memory_kib,
        after.memory_kib,
        cpu_ms as f64 / turned.max(1) as f64,
    );
    ensure!(drift == 0.0, "the watches missed {drift} objects");
    ensure!(turned > 0 && seen.turns > 0, "nothing turned: {turned} {seen:?}");
    Ok(())
}

/// Turns this writer's share of the pods, at the pace of all; leaves half of them out of service.
fn turn(scene: &Scene, shop: &str, names: &[&str], writer: usize, begin: Instant) -> Result<usize> {
    let own: Vec<_> = names.iter().skip(writer).step_by(WRITERS).collect();
    let mut turned = 0;
    while begin.elapsed() < TURNING {
        let round = turned / own.len();
        scene.pod_status(shop, own[turned % own.len()], &readiness(round % 2 == 1))?;
        turned += 1;
        let next = begin + TURN_EVERY * u32::try_from(turned * WRITERS).unwrap_or(u32::MAX);
        sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(turned)
}
