use std::{fs, path::Path, sync::Arc, time::SystemTime};

use rollcall_catalogue::{ContentHash, Policy, Service, ServiceKey, changes::Head};
use rollcall_net::{Trigger, shutdown};
use tokio::{task::JoinHandle, time::sleep};

use super::*;
use crate::store::{Contact, Writer, store};

fn key(text: &str) -> ServiceKey {
    text.parse().unwrap()
}

fn set(writer: &Writer, name: &str, revision: u64) {
    let head = Head { revision, hash: ContentHash(revision), policy: Policy::default(), truncated: false };
    writer.add([key(name)]);
    writer.set_service(&key(name), Arc::new(Service::of(head, vec![])));
}

fn start(folder: &Path) -> (Writer, Trigger, JoinHandle<()>) {
    let (writer, store) = store();
    let (trigger, ear) = shutdown();
    let keeper = Keeper::new(Folder::new(folder), store, false);
    (writer, trigger, tokio::spawn(keeper.run(ear)))
}

fn kept(folder: &Path) -> Vec<(String, u64)> {
    let state = Folder::new(folder).read().unwrap().unwrap_or_default();
    state.services.iter().map(|(key, held)| (key.to_string(), held.revision)).collect()
}

fn orders(revision: u64) -> Vec<(String, u64)> {
    vec![("orders.shop".to_owned(), revision)]
}

#[tokio::test(start_paused = true)]
async fn changes_are_written_soon_and_not_often_and_at_the_end() {
    let place = tempfile::tempdir().unwrap();
    let (writer, trigger, keeper) = start(place.path());
    sleep(TOUCH_EVERY * 2).await;
    assert!(fs::read_dir(place.path()).unwrap().next().is_none(), "nothing is known, and nothing is kept");
    set(&writer, "orders.shop", 1);
    writer.add([key("unknown.shop")]);
    writer.set(&key("unknown.shop"), Known::Unknown);
    sleep(GATHER + Duration::from_millis(100)).await;
    assert_eq!(kept(place.path()), orders(1));
    let names = Folder::new(place.path()).read().unwrap().unwrap().names;
    assert_eq!(names, [key("orders.shop")], "of what is unknown nothing is kept");

    for revision in 2..=4 {
        set(&writer, "orders.shop", revision);
        sleep(GATHER).await;
    }
    assert_eq!(kept(place.path()), orders(1), "not so soon after the last");
    sleep(APART_MIN).await;
    assert_eq!(kept(place.path()), orders(4));
    fs::remove_file(place.path().join("state")).unwrap();
    sleep(APART_MIN * 2).await;
    assert_eq!(kept(place.path()), [], "nothing has changed since, and nothing is written");
    set(&writer, "orders.shop", 5);
    trigger.pull();
    keeper.await.unwrap();
    assert_eq!(kept(place.path()), orders(5), "the end is no reason to forget");
}

#[tokio::test(start_paused = true)]
async fn the_file_says_how_long_all_of_it_was_still_so() {
    let place = tempfile::tempdir().unwrap();
    let (writer, trigger, keeper) = start(place.path());
    let current_at = || Folder::new(place.path()).read().unwrap().unwrap().current_at_ms;
    set(&writer, "orders.shop", 1);
    sleep(GATHER * 2).await;
    let began_at = current_at();
    // The wall clock is not paused, so that the time that passed here is taken off it.
    let latest = wall_ms(SystemTime::now() - GATHER);
    assert!(
        began_at > 0 && began_at <= latest,
        "it never was, and does not claim to be: {began_at} {latest}"
    );
    writer.current();
    writer.set_contact(Contact::Live { caught_up: true, synced: true });
    set(&writer, "orders.shop", 2);
    sleep(APART_MIN * 2).await;
    let written_at = current_at();
    let file = fs::File::options().write(true).open(place.path().join("state")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(current_at(), written_at);
    for _ in 0..TOUCH_EVERY.as_secs() {
        writer.current();
        sleep(Duration::from_secs(1)).await;
    }
    let touched = || file.metadata().unwrap().modified().unwrap() != SystemTime::UNIX_EPOCH;
    assert!(touched(), "it is still so");

    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    writer.set_contact(Contact::Lost);
    sleep(TOUCH_EVERY * 2).await;
    trigger.pull();
    keeper.await.unwrap();
    assert!(!touched(), "nobody knows any more");
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_cannot_be_used_is_tried_again_after_a_while() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("later");
    let (writer, trigger, keeper) = start(&folder);
    set(&writer, "orders.shop", 1);
    sleep(GATHER * 2).await;
    fs::create_dir(&folder).unwrap();
    sleep(RETRY_AFTER / 2).await;
    assert_eq!(kept(&folder), [], "not at once");
    sleep(RETRY_AFTER).await;
    assert_eq!(kept(&folder), orders(1), "and without another change");
    trigger.pull();
    keeper.await.unwrap();
}
