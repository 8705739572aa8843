use std::{
    fs::{self, File},
    path::Path,
};

use rollcall_net::{Trigger, shutdown};
use rollcall_wire::SelfRegistration;
use tokio::{task::JoinHandle, time::sleep};

use super::*;
use crate::{disk::read_said, own::Doubt, store::store};

const MS: Duration = Duration::from_millis(1);

fn said(service: &str) -> SelfRegistration {
    serde_json::from_value(serde_json::json!({ "service": service })).unwrap()
}

fn start(folder: &Path) -> (Own, Trigger, JoinHandle<()>) {
    let (trigger, ear) = shutdown();
    let own = Own::default();
    let (folder, store) = (Folder::new(folder), store().1);
    let scribe = Scribe::new(folder, store, own.clone(), Some("u1".to_owned()));
    (own, trigger, tokio::spawn(scribe.run(ear)))
}

/// What a process that begins now would find.
fn kept(folder: &Path) -> String {
    String::from_utf8(read_said(&Folder::new(folder), Some("u1")).unwrap_or_default()).unwrap()
}

// Time stands still while a disk is waited for, and with it the patience of who waits for the disk.
#[tokio::test(start_paused = true)]
async fn who_has_an_answer_finds_his_word_on_the_disk() {
    let place = tempfile::tempdir().unwrap();
    let (own, trigger, scribe) = start(place.path());
    own.kept().await;
    assert!(fs::read_dir(place.path()).unwrap().next().is_none(), "nothing is said, and nothing is kept");
    for service in ["orders", "billing", "search"] {
        own.put(said(service)).unwrap();
        own.kept().await;
        assert!(kept(place.path()).contains(service), "{service}");
    }
    assert_eq!(read_said(&Folder::new(place.path()), Some("u2")), None, "another pod's");
    own.remove(Some(&"orders".parse().unwrap()));
    own.kept().await;
    assert!(!kept(place.path()).contains("orders"));
    let begin = Instant::now();
    own.put(said("search")).unwrap();
    own.kept().await;
    assert_eq!(begin.elapsed(), Duration::ZERO, "it says nothing new");
    own.put(said("last")).unwrap();
    trigger.pull();
    scribe.await.unwrap();
    assert!(kept(place.path()).contains("last"), "the end is no reason to forget");
}

#[tokio::test(start_paused = true)]
async fn what_an_app_says_as_it_starts_is_kept_at_once_and_what_it_never_ends_to_say_is_not() {
    let place = tempfile::tempdir().unwrap();
    let (own, trigger, scribe) = start(place.path());
    let begin = Instant::now();
    let say = async |version: u32| {
        own.put(SelfRegistration { version: Some(format!("v{version}")), ..said("orders") }).unwrap();
        own.kept().await;
        assert!(kept(place.path()).contains(&format!("v{version}\"")));
    };
    for number in 1..=AT_ONCE {
        say(number).await;
        assert_eq!(begin.elapsed(), Duration::ZERO, "{number}");
    }
    for number in 1..=40 {
        say(number).await;
        // The timers of a clock that stands still go by whole milliseconds.
        assert!(begin.elapsed() >= APART * number && begin.elapsed() < (APART + MS) * number, "{number}");
    }
    // Who was silent may say as much at once as in the beginning, and no more.
    sleep(APART * 100).await;
    let begin = Instant::now();
    for number in 1..=AT_ONCE {
        say(number).await;
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
    say(0).await;
    assert!(begin.elapsed() >= APART, "{:?}", begin.elapsed());
    trigger.pull();
    scribe.await.unwrap();
}

/// Waits until this is so, for as long as the device may take: none of this clock, but some of another one.
async fn soon(what: &str, by: Instant, holds: impl Fn() -> bool) {
    while !holds() {
        assert!(Instant::now() <= by, "{what}");
        sleep(MS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn words_go_to_the_device_a_second_later_and_until_then_the_older_ones_are_there() {
    let place = tempfile::tempdir().unwrap();
    let on_the_device = || {
        let words = Folder::new(place.path()).read_words().unwrap();
        words.map(|words| String::from_utf8(words.said).unwrap()).unwrap_or_default()
    };
    let begin = Instant::now();
    let (own, trigger, scribe) = start(place.path());
    own.put(said("orders")).unwrap();
    own.kept().await;
    sleep(SETTLE_AFTER / 2).await;
    own.put(said("billing")).unwrap();
    own.kept().await;
    assert_eq!(on_the_device(), "");
    // The second word does not put it off.
    let by = begin + SETTLE_AFTER + MS * 20;
    soon("both are on the device", by, || on_the_device().contains("billing")).await;
    own.put(said("search")).unwrap();
    own.remove(Some(&"orders".parse().unwrap()));
    own.kept().await;
    scribe.abort();
    assert!(scribe.await.unwrap_err().is_cancelled());
    let after_a_kill = kept(place.path());
    assert!(after_a_kill.contains("search") && !after_a_kill.contains("orders"), "{after_a_kill}");
    assert!(on_the_device().contains("orders") && !on_the_device().contains("search"));
    drop(trigger);

    // The process that comes next has what was said last, and sees to it that the device has it.
    let (trigger, ear) = shutdown();
    let again = Own::default();
    again.restore(after_a_kill.as_bytes(), Doubt::None);
    let scribe = Scribe::new(Folder::new(place.path()), store().1, again, Some("u1".to_owned()));
    let scribe = tokio::spawn(scribe.run(ear));
    let by = Instant::now() + SETTLE_AFTER + MS * 20;
    soon("what was killed is settled", by, || on_the_device().contains("search")).await;
    trigger.pull();
    scribe.await.unwrap();
    let fresh = place.path().join("words.fresh");
    let length = fs::metadata(&fresh).unwrap().len();
    for cut in [length - 1, 0] {
        File::options().write(true).open(&fresh).unwrap().set_len(cut).unwrap();
        assert_eq!(kept(place.path()), on_the_device(), "the power went: {cut}");
    }
    Folder::new(place.path()).clear().unwrap();
    assert!(fs::read_dir(place.path()).unwrap().next().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_device_that_refuses_holds_nobody_up_and_is_tried_again() {
    let place = tempfile::tempdir().unwrap();
    let (own, trigger, scribe) = start(place.path());
    // No file takes the place of a folder.
    let words = place.path().join("words");
    fs::create_dir(&words).unwrap();
    let begin = Instant::now();
    own.put(said("orders")).unwrap();
    own.kept().await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
    sleep(SETTLE_AFTER * 2).await;
    fs::remove_dir(&words).unwrap();
    // Without another word.
    soon("it is on the device", begin + SETTLE_AFTER + RETRY_AFTER + MS * 20, || words.is_file()).await;

    fs::remove_file(&words).unwrap();
    fs::create_dir(&words).unwrap();
    own.put(said("billing")).unwrap();
    own.kept().await;
    sleep(SETTLE_AFTER * 2).await;
    let begin = Instant::now();
    own.put(said("search")).unwrap();
    own.kept().await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert!(kept(place.path()).contains("search"));
    trigger.pull();
    scribe.await.unwrap();
}

#[test]
fn who_takes_long_to_write_rests_all_the_same() {
    let begin = Instant::now();
    let slow = APART * 3;
    let mut pace = Pace(begin);
    let mut now = begin;
    for number in 0..100 {
        let began = now;
        now = pace.wrote(began, began + slow);
        assert!(now >= began + slow, "{number}");
        assert!(number < AT_ONCE || now >= began + slow + APART, "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_disk_that_is_broken_and_it_is_tried_again() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("later");
    let (own, trigger, scribe) = start(&folder);
    own.put(said("orders")).unwrap();
    own.kept().await;
    let begin = Instant::now();
    for service in ["billing", "search"] {
        own.put(said(service)).unwrap();
        own.kept().await;
    }
    assert_eq!(begin.elapsed(), Duration::ZERO, "it was tried, and failed");
    fs::create_dir(&folder).unwrap();
    sleep(RETRY_AFTER * 2).await;
    assert!(kept(&folder).contains("search"), "and without another word");
    trigger.pull();
    scribe.await.unwrap();
}
