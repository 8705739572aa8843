//! The whole of it: installs, plays the scenes, says what was kept, and leaves nothing unless it is told to.

use anyhow::{Context, Result};
use rollcall_cluster::{Step, interrupt};

use crate::{
    Scene, Stage,
    report::Report,
    shop,
    stage::{SHOP, SYSTEM},
};

/// Says what is played, and what is left.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// One scene; none: all of them.
    pub only: Option<Scene>,
    /// The installation and the shop stay.
    pub keep: bool,
    /// The cluster ends with the demo, and all that is in it.
    pub ends_with_us: bool,
    /// How a shell comes to use the cluster, for those who try more: a command.
    pub shell: Option<String>,
    /// How what is kept is ended.
    pub ending: String,
}

/// Plays; says whether all that is promised was kept.
pub fn play(stage: &Stage, wish: &Wish) -> Result<bool> {
    shop::refuse_if_occupied(stage)?;
    let had_crd = shop::has_crd(stage)?;
    let mut report = Report::default();
    let played = play_scenes(stage, wish, had_crd, &mut report);
    let cleared = if wish.keep || wish.ends_with_us {
        Ok(())
    } else {
        let step = Step::start("removing the shop and the installation");
        shop::clear(stage, had_crd).map(|()| step.done())
    };
    played?;
    let is_good = report.end(stage.now_ms() / 1_000);
    what_next(&mut report, wish);
    println!("\n   The same as a page: {}", report.write()?.display());
    cleared.context("removing what the demo has made")?;
    Ok(is_good)
}

fn play_scenes(stage: &Stage, wish: &Wish, had_crd: bool, report: &mut Report) -> Result<()> {
    report.headline("The chart and the shop");
    report.command(&format!("helm install rollcall charts/rollcall -n {SYSTEM} --create-namespace --wait"));
    let begun_ms = stage.now_ms();
    shop::install(stage, had_crd)?;
    let installed_ms = stage.now_ms();
    interrupt::check()?;
    report.command("kubectl apply -f examples/demo.yaml");
    shop::open(stage)?;
    let seconds = |from_ms: u64, to_ms: u64| crate::sight::in_words(to_ms.saturating_sub(from_ms));
    let (chart, shop) = (seconds(begun_ms, installed_ms), seconds(installed_ms, stage.now_ms()));
    report.say(&format!(
        "Installed after {chart}; {shop} later storefront finds orders (two versions), payments and catalogue."
    ));
    for (scene, number) in Scene::ALL.into_iter().zip(1..) {
        if wish.only.is_some_and(|only| only != scene) {
            continue;
        }
        interrupt::check()?;
        report.headline(&format!("{number} of {}: {}", Scene::ALL.len(), scene.title()));
        if let Err(error) = scene.play(stage, report) {
            // Whatever failed after ctrl-C failed because of it.
            interrupt::check()?;
            report.verdict("the scene can be played", Some(format!("{error:#}")));
        }
    }
    Ok(())
}

fn what_next(report: &mut Report, wish: &Wish) {
    report.headline("What to try next");
    if !wish.keep {
        report.say("`cargo xtask demo --keep` leaves the cluster and the shop for all of this:");
    }
    let front = format!("kubectl -n {SHOP} exec deploy/storefront -c app --");
    let shell = wish.shell.as_deref().into_iter().map(str::to_owned);
    let tries = [
        format!("{front} wget -qO- 'http://127.0.0.1:7300/v1/services/orders?version=^1.4'"),
        format!("{front} wget -qO- http://127.0.0.1:7300/v1/explain/orders"),
        format!("{front} wget -qO- http://2-0-0.orders.rollcall:8080/"),
        format!("{front} timeout 20 wget -qO- http://127.0.0.1:7300/v1/services/orders/watch"),
        format!("kubectl -n {SHOP} scale deployment/orders --replicas=5"),
        format!("kubectl -n {SHOP} get serviceregistrations"),
        wish.ending.clone(),
    ];
    for command in shell.chain(tries) {
        report.command(&command);
    }
    report.say("All a sidecar answers is in docs/local-api.md; what becomes of every failure is in docs/failures.md.");
}
