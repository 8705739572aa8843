//! Sidecars, the controller and the network between them fail, in every way that real ones do: lookups must not notice
//! more than they must.

use anyhow::{Result, bail, ensure};
use rollcall_controller_tests::hermit::{Fault, Hermit};
use rollcall_controller_tests::stage::Scene;
use serde_json::json;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The promise for a node that is dead or cut off.
const NODE_LOST_MAX: Duration = Duration::from_secs(10);
/// What a loaded machine may add to a promise that is measured here.
const SLACK: Duration = Duration::from_secs(2);

/// Three of one service, each on a node of its own, and one that looks at them from a fourth.
struct Shop {
    scene: Scene,
    namespace: String,
    orders: Vec<Hermit>,
    looker: Hermit,
}

impl Shop {
    fn open() -> Result<Self> {
        let scene = Scene::begin()?;
        let namespace = scene.namespace(&json!({}))?;
        let order = |n: u8| scene.hermit(&namespace, &format!("orders-{n}"), "orders", n);
        let orders = (1..=3).map(order).collect::<Result<_>>()?;
        let looker = scene.hermit(&namespace, "looker", "lookers", 4)?;
        let shop = Self { scene, namespace, orders, looker };
        shop.finds(&[1, 2, 3])?;
        shop.scene.eventually("all sessions are there", || {
            for n in 1..=3 {
                ensure!(shop.reason(n)? == "Ready", "{n}: {}", shop.reason(n)?);
            }
            Ok(true)
        })?;
        Ok(shop)
    }

    /// Waits until lookups find just these, from memory that is in step.
    fn finds(&self, numbers: &[u8]) -> Result<()> {
        let expected: Vec<_> = numbers.iter().map(|n| format!("orders-{n}")).collect();
        self.scene.eventually(&format!("lookups find {expected:?}"), || {
            let found = self.looker.lookup("orders")?;
            if found == (expected.clone(), 0) { Ok(true) } else { bail!("{found:?}") }
        })
    }

    /// Lookups find all three, all the time until then.
    fn finds_all_for(&self, time: Duration) -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < time {
            let (found, _) = self.looker.lookup("orders")?;
            ensure!(found.len() == 3, "after {:?}: {found:?}", begin.elapsed());
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Why the controller has this one as it is.
    fn reason(&self, number: u8) -> Result<String> {
        let service = self
            .scene
            .stage
            .controller()
            .read(&format!("/v1/services/orders.{}?all=true", self.namespace))?;
        let all = service["instances"].as_array().into_iter().flatten();
        let mut named = all.filter(|one| one["pod"] == format!("orders-{number}"));
        Ok(named.next().map_or("removed", |one| one["reason"].as_str().unwrap_or_default()).to_owned())
    }

    fn evictions(&self) -> Result<f64> {
        self.scene.stage.controller().metric("rollcall_evictions_total", "reason=\"SessionSilent\"")
    }
}

#[test]
fn a_sidecar_that_is_killed_takes_nobody_out() -> Result<()> {
    let mut shop = Shop::open()?;
    let evictions = shop.evictions()?;
    shop.orders[0].kill();
    shop.scene.eventually("the session is lost", || Ok(shop.reason(1)? == "SidecarLost"))?;
    shop.finds_all_for(Duration::from_secs(3))?;
    shop.orders[0].start()?;
    shop.scene.eventually("the session is back", || Ok(shop.reason(1)? == "Ready"))?;
    shop.finds(&[1, 2, 3])?;
    ensure!(shop.evictions()? == evictions);
    Ok(())
}

/// A frozen process and a node that is cut off look alike: out within 10 s, and back with its first word.
#[test]
fn who_falls_silent_is_out_in_time_and_back_with_its_first_word() -> Result<()> {
    type Break = fn(&Hermit) -> Result<()>;
    let faults: [(&str, Break, Break); 3] = [
        ("frozen", Hermit::stop, Hermit::go_on),
        ("cut off", |hermit| hermit.suffer(Fault::Cut), Hermit::heal),
        ("not heard", |hermit| hermit.suffer(Fault::Deaf), Hermit::heal),
    ];
    let shop = Shop::open()?;
    for (what, fail, heal) in faults {
        fail(&shop.orders[0])?;
        let begin = Instant::now();
        shop.finds(&[2, 3])?;
        let took = begin.elapsed();
        ensure!(took <= NODE_LOST_MAX + SLACK, "{what}: out after {took:?}");
        shop.scene.eventually("it is doubted, and then not believed any more", || {
            let reason = shop.reason(1)?;
            if reason == "SessionSilent" { Ok(true) } else { bail!("{what}: {reason}") }
        })?;
        heal(&shop.orders[0])?;
        shop.finds(&[1, 2, 3])?;
    }
    Ok(())
}

/// The controller's words are lost, the sidecar's are not: it says so by `Age`, and comes back by itself.
#[test]
fn who_hears_nothing_goes_on_from_the_last_state_and_says_how_old_it_is() -> Result<()> {
    let shop = Shop::open()?;
    for fault in [Fault::Blind, Fault::Cut] {
        shop.looker.suffer(fault)?;
        shop.scene.eventually("the answers grow old", || {
            let (found, age) = shop.looker.lookup("orders")?;
            ensure!(found.len() == 3, "{found:?}");
            Ok(age >= 8)
        })?;
        shop.looker.heal()?;
        shop.finds(&[1, 2, 3])?;
    }
    Ok(())
}

/// What a sidecar reads after a standstill was true before it: it must not be told as current.
#[test]
fn who_stood_still_does_not_take_old_words_for_new_ones() -> Result<()> {
    let shop = Shop::open()?;
    let frozen = &shop.orders[0];
    shop.scene.eventually("it is in step", || Ok(frozen.lookup("orders")?.1 == 0))?;
    frozen.stop()?;
    shop.scene.eventually("it is silent", || {
        let reason = shop.reason(1)?;
        if reason == "SessionSilent" { Ok(true) } else { bail!(reason) }
    })?;
    // What was said to it until then waits in its socket, and there is nothing new.
    frozen.suffer(Fault::Cut)?;
    frozen.go_on()?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        let (found, age) = frozen.lookup("orders")?;
        ensure!(!found.is_empty() && age >= 8, "{found:?}, {age} s old");
    }
    frozen.heal()?;
    shop.finds(&[1, 2, 3])
}

/// The controller is paused, as by a starved or suspended machine: it was deaf, and nobody else was silent.
#[test]
fn a_controller_that_was_paused_evicts_nobody() -> Result<()> {
    let shop = Shop::open()?;
    let evictions = shop.evictions()?;
    shop.scene.stage.controller().pause()?;
    let paused = shop.finds_all_for(Duration::from_secs(14));
    shop.scene.stage.controller().go_on()?;
    paused?;
    shop.finds_all_for(Duration::from_secs(3))?;
    shop.finds(&[1, 2, 3])?;
    ensure!(shop.evictions()? == evictions, "someone was evicted");
    Ok(())
}

#[test]
fn a_controller_that_dies_takes_nobody_with_it() -> Result<()> {
    let shop = Shop::open()?;
    shop.scene.stage.restart(|| shop.finds_all_for(Duration::from_secs(2)))?;
    shop.finds_all_for(Duration::from_secs(2))?;
    shop.finds(&[1, 2, 3])
}

#[test]
fn a_network_that_loses_one_packet_in_twenty_evicts_nobody() -> Result<()> {
    let shop = Shop::open()?;
    let evictions = shop.evictions()?;
    shop.orders.iter().try_for_each(|one| one.suffer(Fault::Lossy(0.05)))?;
    shop.finds_all_for(Duration::from_secs(15))?;
    shop.orders.iter().try_for_each(Hermit::heal)?;
    ensure!(shop.evictions()? == evictions, "someone was evicted");
    Ok(())
}

/// All sessions go at once: it is the network at the controller's end, and not all of the pods.
#[test]
fn half_of_the_sessions_and_more_are_not_believed_to_be_dead() -> Result<()> {
    let shop = Shop::open()?;
    shop.orders.iter().try_for_each(|one| one.suffer(Fault::Cut))?;
    shop.scene.eventually("the guard holds", || {
        Ok(shop.scene.stage.controller().metric("rollcall_freeze", "")? == 1.0)
    })?;
    shop.finds_all_for(Duration::from_secs(3))?;
    shop.orders.iter().try_for_each(Hermit::heal)?;
    shop.scene.eventually("the guard lets go", || {
        Ok(shop.scene.stage.controller().metric("rollcall_freeze", "")? == 0.0)
    })?;
    shop.finds(&[1, 2, 3])
}
