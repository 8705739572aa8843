use std::{
    fs::{self, File},
    path::Path,
};

use rollcall_net::{Trigger, shutdown};
use rollcall_wire::SelfRegistration;
use tokio::{task::JoinHandle, time::sleep};

use super::*;
use crate::{disk::read_said, store::store};

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

#[tokio::test(start_paused = true)]
async fn words_go_to_the_device_a_second_later_and_until_then_the_older_ones_lie_below_them() {
    let place = tempfile::tempdir().unwrap();
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let (own, _trigger, scribe) = start(place.path());
    own.put(said("orders")).unwrap();
    own.kept().await;
    assert_eq!(names(), ["words.fresh"]);
    sleep(SETTLE_AFTER / 2).await;
    own.put(said("billing")).unwrap();
    own.kept().await;
    assert_eq!(names(), ["words.fresh"], "the second waits for the first one's time");
    sleep(SETTLE_AFTER / 2 + MS).await;
    // The disk takes no time of this clock, but some of another one.
    while names() != ["words"] {
        sleep(MS).await;
    }
    assert!(kept(place.path()).contains("billing"));
    own.put(said("search")).unwrap();
    own.remove(Some(&"orders".parse().unwrap()));
    own.kept().await;
    scribe.abort();
    assert!(scribe.await.unwrap_err().is_cancelled());
    assert_eq!(names(), ["words", "words.fresh"]);
    let after_a_kill = kept(place.path());
    assert!(after_a_kill.contains("search") && !after_a_kill.contains("orders"), "{after_a_kill}");
    let fresh = place.path().join("words.fresh");
    let length = fs::metadata(&fresh).unwrap().len();
    for cut in [0, length - 1] {
        File::options().write(true).open(&fresh).unwrap().set_len(cut).unwrap();
        let after_the_power_went = kept(place.path());
        assert!(after_the_power_went.contains("orders"), "{cut}: {after_the_power_went}");
    }
    Folder::new(place.path()).clear().unwrap();
    assert!(names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_put_on_the_device_is_written_anew() {
    let place = tempfile::tempdir().unwrap();
    let (own, trigger, scribe) = start(place.path());
    own.put(said("orders")).unwrap();
    own.kept().await;
    fs::remove_file(place.path().join("words.fresh")).unwrap();
    sleep(SETTLE_AFTER + RETRY_AFTER * 2).await;
    assert!(kept(place.path()).contains("orders"));
    trigger.pull();
    scribe.await.unwrap();
    assert!(place.path().join("words").exists());
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
