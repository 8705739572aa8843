//! The story: an older version is upgraded, apps are rolled, all is rolled back and forward again, and installed anew.

use std::time::Duration;

use anyhow::{Result, ensure};
use rollcall_faults::Promise;

use crate::{
    Chapter, Stage,
    stage::{COPIES, REGISTERS},
};

/// As of a roll-out of one version: every controller that ends sends its sessions to others, or breaks them off.
const CHANGED: Promise = Promise { in_step_within: Duration::from_secs(15), back_within: BACK_WITHIN };
/// Nothing of ours changes: pods of apps alone do.
const ROLLED: Promise = Promise { in_step_within: Duration::from_secs(5), back_within: BACK_WITHIN };
/// Who was alone tries again within half a minute at most.
const BACK_WITHIN: Duration = Duration::from_secs(40);
const APPS: [&str; 3] = ["orders", "billing", "stock"];
/// How long nobody is there to serve sessions, besides the time that uninstalling and installing take.
const ALONE: Duration = Duration::from_secs(5);
/// The first revision of the release is the old version.
const FIRST: &str = "1";

/// Tells all of it; each chapter is judged, and those after one that failed are told too.
pub fn tell() -> Result<()> {
    let stage = Stage::set_up()?;
    let lasting = stage.lasting()?;
    let mut broken = Vec::new();
    for (title, promise, act) in CHAPTERS {
        broken.extend(Chapter::tell(&stage, title, *promise, |chapter| {
            act(chapter)?;
            let stays = chapter.stage.lasting()? == lasting;
            chapter.expect(stays, "the CRD, the authority, or registrations are not those of before");
            Ok(())
        })?);
    }
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

/// A title, what is promised, and what is done.
type Told = (&'static str, Promise, fn(&mut Chapter<'_>) -> Result<()>);

const CHAPTERS: &[Told] = &[
    ("1 upgrade", CHANGED, upgrade),
    ("2 apps rolled to new sidecars", ROLLED, roll),
    ("3 rollback", CHANGED, rollback),
    ("4 forward again", CHANGED, upgrade_again),
    ("5 uninstalled and installed anew", ROLLED, reinstall),
];

/// Controllers become new, and the sidecars of pods stay what they were.
fn upgrade(chapter: &mut Chapter<'_>) -> Result<()> {
    chapter
        .change_controllers("helm upgrade to this checkout", "stock", |stage| stage.install.upgrade(&[]))?;
    chapter.comes("all sidecars are in session with new controllers", |stage| stage.are_served_by(false))?;
    chapter.expect(chapter.stage.has_our_crd()?, "the CRD is not this checkout's");
    let (old, new) = chapter.stage.by_sidecar()?;
    chapter.expect(new.is_empty(), &format!("upgrading gave pods new sidecars: {new:?}"));
    chapter.note(&format!("{} old sidecars", old.len()));
    one_more(chapter, false)?;
    chapter.lose_app("billing")
}

/// A pod that is made now gets a sidecar of the version that is installed, and is found by all others, and finds them.
fn one_more(chapter: &mut Chapter<'_>, old: bool) -> Result<()> {
    let copies = (COPIES + 1).to_string();
    chapter.act("one more pod of orders", |stage| {
        stage.install.injects()?;
        stage.install.shop.kubectl(&["scale", "deployment/orders", &format!("--replicas={copies}")])?;
        stage.install.shop.all_ready("orders", usize::from(COPIES) + 1)
    })?;
    let (of_old, of_new) = chapter.stage.by_sidecar()?;
    let expected = if old { &of_old } else { &of_new };
    let is_there = expected.iter().any(|name| name.starts_with("orders-"));
    chapter.expect(is_there, "the new pod's sidecar is not of the version that is installed");
    // Of both kinds, by the one who tells people.
    chapter.comes("the status that people read tells of it", |stage| stage.declared_serves(COPIES + 1))?;
    chapter.act("and one fewer", |stage| {
        stage.install.shop.kubectl(&["scale", "deployment/orders", &format!("--replicas={COPIES}")])?;
        stage.install.shop.all_ready("orders", COPIES.into())
    })
}

/// Apps are made anew, one after the other, and get new sidecars.
fn roll(chapter: &mut Chapter<'_>) -> Result<()> {
    for app in APPS {
        chapter.act(&format!("kubectl rollout restart deployment/{app}"), |stage| {
            let deployment = format!("deployment/{app}");
            stage.install.shop.kubectl(&["rollout", "restart", &deployment])?;
            stage.install.shop.kubectl(&["rollout", "status", &deployment, "--timeout=60s"]).map(drop)
        })?;
    }
    chapter.stage.all_ready()?;
    let (old, new) = chapter.stage.by_sidecar()?;
    let only_callers = old.iter().all(|name| name.starts_with("storefront-"));
    chapter
        .expect(only_callers && old.iter().any(|name| name == REGISTERS), &format!("old sidecars: {old:?}"));
    chapter.note(&format!("{} new sidecars beside {} old ones", new.len(), old.len()));
    chapter.lose_app("stock")
}

/// Controllers become old again, and new sidecars stay.
fn rollback(chapter: &mut Chapter<'_>) -> Result<()> {
    chapter.change_controllers("helm rollback", "stock", |stage| stage.install.rollback(FIRST))?;
    chapter
        .comes("all sidecars are in session with the old controllers", |stage| stage.are_served_by(true))?;
    one_more(chapter, true)?;
    chapter.lose_app("billing")
}

/// And new again.
fn upgrade_again(chapter: &mut Chapter<'_>) -> Result<()> {
    chapter
        .change_controllers("helm upgrade to this checkout", "billing", |stage| stage.install.upgrade(&[]))?;
    chapter.comes("all sidecars are in session with new controllers", |stage| stage.are_served_by(false))?;
    chapter.lose_app("stock")
}

/// For a while there is no controller at all, and no webhook.
fn reinstall(chapter: &mut Chapter<'_>) -> Result<()> {
    chapter.nobody_serves();
    chapter.act("helm uninstall", |stage| stage.install.uninstall())?;
    std::thread::sleep(ALONE);
    chapter.act("helm install", |stage| stage.install.install(&[]))?;
    chapter.somebody_serves();
    chapter.comes("all sidecars are in session again", |stage| stage.are_served_by(false))?;
    one_more(chapter, false)?;
    chapter.lose_app("billing")
}
