//! The controller's real parts over the model, hurt at every place: whatever goes wrong, in the end all is as if nothing
//! had.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

mod process;
mod story;

use std::time::Duration;

use rollcall_apiserver::{Calls, Fault, Faults, Harm};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    process::{Process, Supervisor},
    story::{End, STEP, Story, Tale},
};

/// By then each kind was listed once more, whole: after half an hour to an hour.
const AUDITED: Duration = Duration::from_secs(62 * 60);
/// The events of a story are hidden in so many turns, so that each is hidden in one of them.
const TURNS: u64 = 4;

/// The story as it ends where nothing goes wrong.
async fn unhurt(tale: Tale) -> End {
    let story = Story::new(tale);
    let controller = story.told_beside(&[0], &Faults::default()).await;
    story.ends(controller).await
}

/// Harms the writes of our objects in this way, one after the other, each in a story of its own.
async fn each_write(harm: Harm) {
    for (tale, least) in [(Tale::Busy, 10), (Tale::Unwanted, 6)] {
        let expected = unhurt(tale).await;
        for number in 1.. {
            let story = Story::new(tale);
            let faults = Faults::default();
            faults.place(Fault::of_write(number, harm).of("serviceregistrations"));
            let mut controller = story.told_beside(&[0], &faults).await;
            if tale == Tale::Unwanted {
                controller.pass(AUDITED / 4).await;
            }
            let was_met = faults.harmed() > 0;
            let crashes = matches!(harm, Harm::CrashBefore | Harm::CrashAfter);
            assert_eq!(controller.deaths, u32::from(crashes && was_met), "write {number}");
            assert_eq!(story.ends(controller).await, expected, "{harm:?} at write {number} of {tale:?}");
            if !was_met {
                assert!(number > least, "only {number} writes were harmed");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_story_comes_to_the_same_end_each_time() {
    for (tale, registrations) in [(Tale::Busy, 4), (Tale::Unwanted, 2)] {
        let end = unhurt(tale).await;
        assert_eq!(end.registrations.len(), registrations, "{end:#?}");
        assert_eq!(end, unhurt(tale).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_each_write() {
    each_write(Harm::CrashBefore).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_each_write() {
    each_write(Harm::CrashAfter).await;
}

#[tokio::test(start_paused = true)]
async fn each_answer_lost() {
    each_write(Harm::Lost).await;
}

#[tokio::test(start_paused = true)]
async fn each_write_in_the_way_of_another() {
    each_write(Harm::Conflict).await;
}

#[tokio::test(start_paused = true)]
async fn each_event_hidden() {
    let expected = unhurt(Tale::Busy).await;
    for turn in 1..=TURNS {
        let story = Story::new(Tale::Busy);
        let faults = Faults::default();
        faults.hide_each(TURNS, turn);
        let mut controller = story.told_beside(&[0], &faults).await;
        assert!(faults.harmed() > 5, "{}", faults.harmed());
        faults.mend();
        controller.pass(AUDITED).await;
        assert_eq!(story.ends(controller).await, expected, "turn {turn}");
    }
}

#[tokio::test(start_paused = true)]
async fn watches_that_last_a_second() {
    let expected = unhurt(Tale::Busy).await;
    let story = Story::new(Tale::Busy);
    let faults = Faults::default();
    faults.watches_last(Some(Duration::from_secs(1)));
    let controller = story.told_beside(&[0], &faults).await;
    assert_eq!(story.ends(controller).await, expected);
}

#[tokio::test(start_paused = true)]
async fn replicas_of_which_one_lags() {
    let expected = unhurt(Tale::Busy).await;
    for lag in [Duration::from_millis(300), Duration::from_secs(20)] {
        let story = Story::new(Tale::Busy);
        let slow = story.server.replica_frozen_at(story.server.revision());
        story.server.freeze(slow, false);
        story.server.lag(slow, lag);
        let faults = Faults::default();
        // So that it goes from one to the other all the time.
        faults.watches_last(Some(Duration::from_secs(3)));
        let controller = story.told_beside(&[0, slow], &faults).await;
        assert_eq!(story.ends(controller).await, expected, "{lag:?}");
    }
}

/// Whoever begins at a replica of long ago knows what is and not what was, and writes nothing by that.
#[tokio::test(start_paused = true)]
async fn a_start_at_each_older_revision() {
    let story = Story::new(Tale::Busy);
    let first = story.server.revision();
    let controller = story.told_beside(&[0], &Faults::default()).await;
    let expected = controller.process.catalogue();
    drop(controller);
    let older = story.server.written_after(first).into_iter().filter(|one| one.id.kind != "leases");
    for one in older.collect::<Vec<_>>() {
        let before = story.server.revision();
        let replica = story.server.replica_frozen_at(one.revision);
        let process = Process::start(&story.server, &[replica], &Faults::default());
        process.complete().await;
        sleep(STEP).await;
        assert_eq!(process.catalogue(), expected, "at {} of {:?}", one.revision, one.id);
        let written = story.server.written_after(before);
        assert!(written.iter().all(|one| one.id.kind == "leases"), "{written:#?}");
        story.server.freeze(replica, false);
        sleep(STEP).await;
        assert_eq!(process.catalogue(), expected, "after {} of {:?}", one.revision, one.id);
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_half_of_the_time() {
    let expected = unhurt(Tale::Busy).await;
    let story = Story::new(Tale::Busy);
    let faults = Faults::default();
    let away = async {
        for _ in 0..story.steps().len() / 2 {
            sleep(STEP / 2).await;
            faults.away(true);
            sleep(STEP).await;
            faults.away(false);
            sleep(STEP / 2).await;
        }
    };
    let (controller, ()) = tokio::join!(story.told_beside(&[0], &faults), away);
    assert_eq!(story.ends(controller).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_conflicts_and_refusals() {
    let expected = unhurt(Tale::Busy).await;
    for harm in [Harm::Conflict, Harm::TooManyRequests { retry_after_seconds: 1 }, Harm::LostBehindGateway] {
        let story = Story::new(Tale::Busy);
        let faults = Faults::default();
        faults.place(Fault { calls: Calls::Writes, kind: None, first: 1, many: 20, harm });
        let controller = story.told_beside(&[0], &faults).await;
        assert_eq!(faults.harmed(), 20, "{harm:?}");
        assert_eq!(story.ends(controller).await, expected, "{harm:?}");
    }
}

/// A compaction after each step, with all watches cut: whoever is too old lists anew.
#[tokio::test(start_paused = true)]
async fn histories_that_are_forgotten() {
    let expected = unhurt(Tale::Busy).await;
    let story = Story::new(Tale::Busy);
    let faults = Faults::default();
    let forgets = async {
        for _ in story.steps() {
            sleep(STEP).await;
            faults.away(true);
            sleep(Duration::from_secs(1)).await;
            story.server.compact(story.server.revision());
            faults.away(false);
        }
    };
    let (controller, ()) = tokio::join!(story.told_beside(&[0], &faults), forgets);
    assert_eq!(story.ends(controller).await, expected);
}

/// The kinds that are watched.
const WATCHED: [&str; 6] =
    ["pods", "serviceregistrations", "services", "endpointslices", "namespaces", "nodes"];

/// As many lists of each kind as this, from the next on, have nothing in them.
fn empty_lists(faults: &Faults, many: u64) {
    for kind in WATCHED {
        faults.place(Fault { calls: Calls::Lists, kind: Some(kind), first: 1, many, harm: Harm::Empty });
    }
}

/// Lets time pass; all the while everything is as it was.
async fn stays(controller: &mut Supervisor, time: Duration) {
    let expected = controller.process.catalogue();
    let until = Instant::now() + time;
    while Instant::now() < until {
        controller.pass(Duration::from_secs(5)).await;
        assert_eq!(controller.process.catalogue(), expected);
    }
}

/// One wrong list of each kind takes nothing out, be it made only to look, or since the history is forgotten.
#[tokio::test(start_paused = true)]
async fn one_empty_list_of_each_kind() {
    let expected = unhurt(Tale::Busy).await;
    let story = Story::new(Tale::Busy);
    let faults = Faults::default();
    let mut controller = story.told_beside(&[0], &faults).await;
    let before = story.server.revision();
    empty_lists(&faults, 1);
    faults.away(true);
    controller.pass(Duration::from_secs(1)).await;
    // A bookmark may have told a watch of all that was written; of this one none was.
    story.server.put_raw("configmaps", "other", "unseen", json!({}));
    story.server.compact(story.server.revision());
    faults.away(false);
    stays(&mut controller, STEP).await;
    assert_eq!(faults.harmed(), 6, "each kind was listed anew");
    empty_lists(&faults, 1);
    stays(&mut controller, AUDITED).await;
    assert_eq!(faults.harmed(), 12, "each kind was looked at");
    let written = story.server.written_after(before).into_iter();
    let ours: Vec<_> = written.filter(|one| one.id.kind == "serviceregistrations").collect();
    assert!(ours.is_empty(), "{ours:#?}");
    assert_eq!(story.ends(controller).await, expected);
}

/// Two in a row are believed. All comes back by itself, and before anything was written by that.
#[tokio::test(start_paused = true)]
async fn two_empty_lists_of_pods_in_a_row() {
    let expected = unhurt(Tale::Busy).await;
    let story = Story::new(Tale::Busy);
    let faults = Faults::default();
    let mut controller = story.told_beside(&[0], &faults).await;
    let catalogue = controller.process.catalogue();
    let managed = |story: &Story| -> Vec<_> {
        story
            .server
            .objects("serviceregistrations")
            .iter()
            .map(|one| one["metadata"]["uid"].clone())
            .collect()
    };
    let before = managed(&story);
    faults.place(Fault { calls: Calls::Lists, kind: Some("pods"), first: 1, many: 2, harm: Harm::Empty });
    while faults.harmed() < 2 {
        controller.pass(Duration::from_secs(1)).await;
    }
    controller.pass(Duration::from_secs(1)).await;
    assert_ne!(controller.process.catalogue(), catalogue, "it is no trap");
    controller.pass(Duration::from_secs(120)).await;
    assert_eq!(controller.process.catalogue(), catalogue);
    controller.pass(Duration::from_secs(20 * 60)).await;
    assert_eq!(managed(&story), before, "none was removed and made anew");
    assert_eq!(story.ends(controller).await, expected);
}
