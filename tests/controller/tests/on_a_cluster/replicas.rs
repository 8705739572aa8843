//! Two replicas of the controller: both serve and know what either hears, and when one dies, nobody misses it. How long
//! its sidecars are without a session is printed.

use anyhow::{Result, bail, ensure};
use rollcall_controller_tests::controller::{Controller, free_port};
use rollcall_controller_tests::hermit::{Berth, Hermit};
use rollcall_controller_tests::stage::{Scene, eventually};
use serde_json::json;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What a sidecar may be without a session: it tries another replica within a second or two.
const MOVE_MAX: Duration = Duration::from_secs(5);
/// By then it is decided what became of the sessions of a replica that has died: it is lost after 6 s, and its sessions have
/// 10 s to be elsewhere.
const DECIDED_AFTER: Duration = Duration::from_secs(20);

/// A replica with its pod, which is gone when it is.
struct Replica<'a> {
    scene: &'a Scene,
    name: &'static str,
    controller: Controller,
}

impl<'a> Replica<'a> {
    fn start(scene: &'a Scene, name: &'static str, sessions: SocketAddr, other: SocketAddr) -> Result<Self> {
        scene.pod_by_hand(scene.stage.namespace(), name, &json!({}), &[&sessions.ip().to_string()])?;
        Ok(Self { scene, name, controller: scene.stage.replica(name, sessions, &[other])? })
    }

    fn sessions(&self) -> Result<f64> {
        self.controller.metric("rollcall_sessions", "")
    }

    /// Waits until it hears one other replica.
    fn is_linked(&self) -> Result<()> {
        eventually(&format!("{} hears the other one", self.name), || {
            if self.controller.metric("rollcall_peers", "linked")? == 1.0 {
                return Ok(true);
            }
            bail!("{}", self.controller.last_words())
        })
    }
}

impl Drop for Replica<'_> {
    fn drop(&mut self) {
        let pod = ["delete", "pod", self.name, "--force", "--grace-period=0", "--ignore-not-found"];
        if let Err(error) = self.scene.kubectl(self.scene.stage.namespace(), &pod) {
            eprintln!("left behind: {error:#}");
        }
    }
}

/// Both of the service, all the time; says whether the answer is in step.
fn finds_both(looker: &Hermit) -> Result<bool> {
    let (found, age) = looker.lookup("orders")?;
    ensure!(found == ["orders-1", "orders-2"], "{found:?}, {age} s old");
    Ok(age == 0)
}

#[test]
fn all_replicas_serve_and_nobody_misses_one_that_dies() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    scene.stage.restart(|| {
        let berths = [Berth::new()?, Berth::new()?];
        let port = free_port()?.port();
        let [first, second]: [SocketAddr; 2] =
            [&berths[0], &berths[1]].map(|berth| (berth.address(), port).into());
        let mut one = Replica::start(&scene, "replica-1", first, second)?;
        let two = Replica::start(&scene, "replica-2", second, first)?;
        one.is_linked()?;
        two.is_linked()?;
        // Who comes from now on is told of both, and needs no second look to know where else to go.
        scene.pod_by_hand(&shop, "reader", &json!({}), &["198.19.15.99"])?;
        for dialled in [first, second] {
            eventually("both are named", || {
                let welcome = scene.client_at(dialled, &shop, "reader", &["orders"])?.frame("welcome")?;
                let named = welcome["replicas"].as_array().map_or(0, Vec::len);
                ensure!(named == 2, "{welcome}");
                Ok(true)
            })?;
        }

        let hermit = |pod: &str, service: &str, node, at| scene.hermit_at(at, (&shop, pod, service, node));
        let sidecars = [
            hermit("orders-1", "orders", 1, first)?,
            hermit("orders-2", "orders", 2, second)?,
            hermit("looker", "lookers", 3, first)?,
        ];
        let looker = &sidecars[2];
        eventually("lookups find both", || Ok(looker.lookup("orders")?.0.len() == 2 && finds_both(looker)?))?;
        eventually("each has its own sessions", || Ok((one.sessions()?, two.sessions()?) == (2.0, 1.0)))?;
        eventually("both know the same", || {
            let (ours, theirs) = (one.controller.dump(&shop)?, two.controller.dump(&shop)?);
            if ours == theirs { Ok(true) } else { bail!("{ours}\nis not\n{theirs}") }
        })?;
        // So does a client that knows nothing but the page on the protocol, at either of them.
        for dialled in [second, first] {
            let client = scene.client_at(dialled, &shop, "reader", &["orders"])?;
            client.frame("duties")?;
            drop(client);
        }
        eventually("it has left", || Ok((one.sessions()?, two.sessions()?) == (2.0, 1.0)))?;

        // The first is gone; its pod is still there by Kubernetes' word.
        let before = two.controller.dump(&shop)?;
        let counted = || {
            let names = ["rollcall_evictions_total", "rollcall_false_alarms_total"];
            names.into_iter().map(|name| two.controller.metric(name, "")).collect::<Result<Vec<_>>>()
        };
        // What was refused before its app listened is counted as well.
        let counted_before = counted()?;
        let begin = Instant::now();
        one.controller.kill();
        let mut moved = None;
        while begin.elapsed() < DECIDED_AFTER {
            let in_step = finds_both(looker)?;
            let now = two.controller.dump(&shop)?;
            ensure!(now == before, "after {:?}, {before}\nbecame\n{now}", begin.elapsed());
            if in_step && two.sessions()? == 3.0 {
                moved.get_or_insert_with(|| begin.elapsed());
            }
            ensure!(
                moved.is_some() || begin.elapsed() < MOVE_MAX,
                "{}\n{}",
                looker.last_words(),
                two.controller.last_words()
            );
            sleep(Duration::from_millis(20));
        }
        println!("replica-1 killed; all in step with replica-2 after {moved:?}");
        let counts = counted()?;
        ensure!(counts == counted_before, "{counted_before:?} evictions and false alarms became {counts:?}");
        scene.kubectl(&shop, &["delete", "pod/orders-1", "--force", "--grace-period=0"])?;
        eventually("and they follow it", || Ok(looker.lookup("orders")?.0 == ["orders-2"]))?;

        // One that is made in its place knows all of it before it serves anybody.
        drop(one);
        let three = Replica::start(&scene, "replica-3", first, second)?;
        ensure!(three.controller.dump(&shop)? == two.controller.dump(&shop)?);
        three.is_linked()?;
        two.is_linked()?;
        let again = looker.lookup("orders")?.0;
        ensure!(again == ["orders-2"], "{again:?}");
        Ok(())
    })
}
