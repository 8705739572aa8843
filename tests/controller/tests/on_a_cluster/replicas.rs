//! Two replicas of the controller: one serves, the other takes its place. How long that takes is printed.

use anyhow::{Context, Result, bail, ensure};
use rollcall_controller_tests::controller::{Controller, free_port};
use rollcall_controller_tests::hermit::{Berth, Hermit};
use rollcall_controller_tests::stage::{Scene, eventually};
use serde_json::json;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What a sidecar may be without a session: a pause of the back-off, and one more where the first found nobody.
const HANDOVER_MAX: Duration = Duration::from_secs(5);

/// A replica with its pod, which is gone when it is.
struct Replica<'a> {
    scene: &'a Scene,
    name: &'static str,
    controller: Controller,
}

impl<'a> Replica<'a> {
    fn start(scene: &'a Scene, name: &'static str, sessions: SocketAddr) -> Result<Self> {
        scene.pod_by_hand(scene.stage.namespace(), name, &json!({}), &[&sessions.ip().to_string()])?;
        Ok(Self { scene, name, controller: scene.stage.replica(name, sessions)? })
    }

    fn serves(&self) -> Result<bool> {
        Ok(self.controller.metric("rollcall_serving", "")? == 1.0)
    }

    fn sessions(&self) -> Result<f64> {
        self.controller.metric("rollcall_sessions", "")
    }

    fn leads(&self) -> Result<bool> {
        Ok(self.scene.stage.lease_holder()?.starts_with(&format!("{}-", self.name)))
    }

    /// Waits until just this one serves.
    fn serves_alone(&self, other: &Self) -> Result<()> {
        eventually(&format!("{} serves and {} stands by", self.name, other.name), || {
            if self.serves()? && !other.serves()? {
                return Ok(true);
            }
            bail!("{}\n{}", self.controller.last_words(), other.controller.last_words())
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
fn one_replica_serves_and_the_other_takes_its_place() -> Result<()> {
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    scene.stage.restart(|| {
        let berths = [Berth::new()?, Berth::new()?];
        let port = free_port()?.port();
        let [first, second]: [SocketAddr; 2] =
            [&berths[0], &berths[1]].map(|berth| (berth.address(), port).into());
        // The Lease of the one before is nobody's pod's: nobody waits for it.
        let mut one = Replica::start(&scene, "replica-1", first)?;
        eventually("it serves at once", || one.serves())?;
        eventually("it holds the Lease", || one.leads())?;
        let two = Replica::start(&scene, "replica-2", second)?;
        one.serves_alone(&two)?;

        // All of them know the second alone, as if that were the Service's choice.
        let hermit = |pod: &str, service: &str, node| scene.hermit_at(second, (&shop, pod, service, node));
        let sidecars = [
            hermit("orders-1", "orders", 1)?,
            hermit("orders-2", "orders", 2)?,
            hermit("looker", "lookers", 3)?,
        ];
        let looker = &sidecars[2];
        eventually("lookups find both", || Ok(looker.lookup("orders")?.0.len() == 2 && finds_both(looker)?))?;
        eventually("all are with the first", || Ok(one.sessions()? == 3.0))?;
        ensure!(two.sessions()? == 0.0);

        // So does a client that knows nothing but the page on the protocol, and the one that dials the first itself.
        scene.pod_by_hand(&shop, "reader", &json!({}), &["198.19.15.99"])?;
        for dialled in [second, first] {
            let client = scene.client_at(dialled, &shop, "reader", &["orders"])?;
            eventually("the first has it as well", || Ok(one.sessions()? == 4.0))?;
            client.frame("duties")?;
            drop(client);
            eventually("it has left", || Ok(one.sessions()? == 3.0))?;
        }

        // The first is gone, and its pod as well.
        let begin = Instant::now();
        one.controller.kill();
        let pod = ["delete", "pod", one.name, "--force", "--grace-period=0", "--wait=false"];
        scene.kubectl(scene.stage.namespace(), &pod)?;
        let (deleted, mut lost) = (begin.elapsed(), None);
        let moved = loop {
            let in_step = finds_both(looker)?;
            if !in_step && lost.is_none() {
                lost = Some(begin.elapsed());
            }
            if in_step && two.sessions()? == 3.0 {
                break begin.elapsed();
            }
            ensure!(
                begin.elapsed() < deleted + HANDOVER_MAX,
                "{}\n{}",
                looker.last_words(),
                two.controller.last_words()
            );
            sleep(Duration::from_millis(20));
        };
        println!(
            "replica-1 killed; its pod deleted after {deleted:?}; all in step with replica-2 after {moved:?}"
        );
        scene.kubectl(&shop, &["delete", "pod/orders-1", "--force", "--grace-period=0"])?;
        eventually("and they follow it", || Ok(looker.lookup("orders")?.0 == ["orders-2"]))?;

        // One that is made in its place: both may serve until the Lease of the dead one has run out.
        drop(one);
        let three = Replica::start(&scene, "replica-3", first)?;
        eventually("another one holds the Lease", || Ok(two.leads()? || three.leads()?))?;
        let (serves, stands_by) = if two.leads()? { (&two, &three) } else { (&three, &two) };
        serves.serves_alone(stands_by)?;
        println!("{} alone serves {:?} after replica-1 was killed", serves.name, begin.elapsed());
        eventually("all are with the one that serves", || {
            let sessions = (serves.sessions()?, stands_by.sessions()?);
            // But for the one whose pod is gone.
            if sessions == (2.0, 0.0) { Ok(true) } else { bail!("{sessions:?}") }
        })?;
        let again = looker.lookup("orders").context("after it all")?.0;
        ensure!(again == ["orders-2"], "{again:?}");
        Ok(())
    })
}
