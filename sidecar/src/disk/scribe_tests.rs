use std::{fs, path::Path};

use rollcall_net::{Trigger, shutdown};
use rollcall_wire::SelfRegistration;
use tokio::{task::JoinHandle, time::sleep};

use super::*;
use crate::store::store;

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
    let words = Folder::new(folder).read_words().unwrap().unwrap_or_default();
    String::from_utf8(words.said).unwrap()
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
    assert_eq!(Folder::new(place.path()).read_words().unwrap().unwrap().pod.as_deref(), Some("u1"));
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
