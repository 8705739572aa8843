//! Three controllers and a fleet of sidecars on a machine that is asked for twice the CPU that it has, with packets lost: all
//! are well, and so nobody may leave the lookups.

mod fleet;
mod result;

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    thread::{available_parallelism, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rollcall_cluster::{Collects, Kubectl, companion::Companion, interrupt};
use rollcall_controller_tests::{hermit::Fault, stage::Scene};
use rollcall_faults::{Watchers, judge};
use rollcall_results::{Program, Record};
use serde_json::json;

use self::{fleet::Fleet, result::Outcome};
use crate::{kept::Kept, own_cluster::in_own_cluster};

/// Of the packets between a sidecar and the controllers, in both directions.
const LOST: f64 = 0.01;
/// The networks of one process have room for 64, of which the controllers have three.
const SIDECARS_MAX: u8 = 60;
/// Each sidecar looks all services up so often: enough to miss nobody for longer, and no load of its own.
const LOOK_EACH: Duration = Duration::from_secs(1);
const SECONDS_IN_A_MINUTE: u32 = 60;

/// In a cluster that is there for nothing else.
pub(crate) fn run(minutes: u32, sidecars: u8) -> Result<()> {
    ensure!(minutes > 0, "nothing to measure");
    ensure!((3..=SIDECARS_MAX).contains(&sidecars), "3 to {SIDECARS_MAX} sidecars, and not {sidecars}");
    in_own_cluster(1, Collects::AsShipped, |own| on_a_process_of_its_own(&own.kubectl, minutes, sidecars))
}

/// The environment says which cluster is meant. What it came to is kept also where it was not good.
fn on_a_process_of_its_own(kubectl: &Kubectl, minutes: u32, sidecars: u8) -> Result<()> {
    let kept = Kept::begin("overload", programs())?;
    let record = tempfile::NamedTempFile::new()?;
    let mut on_it = Command::new(env::current_exe()?);
    on_it.args(["overload-on", &minutes.to_string(), &sidecars.to_string()]).arg(record.path());
    on_it.env("KUBECONFIG", &kubectl.kubeconfig).env("ROLLCALL_KUBECTL", &kubectl.program);
    let status = on_it.status()?;
    let text = fs::read_to_string(record.path())?;
    match serde_json::from_str::<Record>(&text)
        .with_context(|| format!("the measurement ended with {status}"))
    {
        Ok(record) => {
            kept.push(&record)?;
            if !status.success() {
                kept.blame(&record, &format!("the measurement ended with {status}"));
            }
        }
        Err(error) => kept.miss(Outcome::nothing(usize::from(sidecars)), &error)?,
    }
    kept.end()
}

fn programs() -> Vec<Program> {
    let program = |name: &str, command: &str| Program {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: command.to_owned(),
    };
    vec![
        program("rollcall-controller", "three replicas, beside a real API server"),
        program("rollcall-sidecar", "each in a network of its own"),
    ]
}

/// Leaves its record in this file.
pub(crate) fn run_on_it(minutes: u32, sidecars: u8, record: &Path) -> Result<()> {
    interrupt::listen()?;
    let scene = Scene::begin()?;
    let shop = scene.namespace(&json!({}))?;
    // In the place of the stage's own controller.
    scene.stage.restart(|| measure(&scene, &shop, minutes, sidecars, record))
}

fn measure(scene: &Scene, shop: &str, minutes: u32, sidecars: u8, record: &Path) -> Result<()> {
    let fleet = Fleet::start(scene, shop, sidecars)?;
    let before = fleet.counted()?;
    fleet.sidecars.iter().try_for_each(|sidecar| sidecar.suffer(Fault::Lossy(LOST)))?;
    let processors = available_parallelism()?.get();
    let begin = Instant::now();
    let watchers = Watchers::begin(begin, &fleet.subjects(), &fleet.services(), LOOK_EACH);
    let burners = (0..2 * processors).map(|_| burner()).collect::<Result<Vec<_>>>()?;
    for minute in 1..=minutes {
        for _ in 0..SECONDS_IN_A_MINUTE {
            interrupt::check()?;
            fleet.check()?;
            sleep(Duration::from_secs(1));
        }
        // For who reads along: on a machine so busy an answer may be late, and what counts is asked for in the end.
        match fleet.counted() {
            Ok(counted) => println!("  {minute} min of {minutes}: {}", counted.since(&before)),
            Err(error) => println!("  {minute} min of {minutes}: {error:#}"),
        }
    }
    let lasted_ms = u64::try_from(watchers.elapsed().as_millis())?;
    let verdict = judge(&watchers.finish()?, &fleet.truth(), lasted_ms);
    drop(burners);
    println!(
        "{minutes} min with {} processes more than {processors} processors, {} sidecars of {} controllers, {} % of packets lost",
        2 * processors,
        fleet.sidecars.len(),
        fleet.replicas(),
        LOST * 100.0,
    );
    fleet.check()?;
    let (counted, controllers) = (fleet.counted()?.since(&before), fleet.replicas());
    let outcome = Outcome { verdict, counted, minutes, controllers };
    fs::write(record, serde_json::to_string(&outcome.record())?)?;
    outcome.tell()
}

/// Does nothing, as fast as it can.
fn burner() -> Result<Companion> {
    Ok(Companion::start("burning CPU", Path::new("sh"), |sh| {
        sh.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
    })?)
}
