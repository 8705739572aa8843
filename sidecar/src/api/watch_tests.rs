use std::{net::IpAddr, pin::pin};

use rollcall_catalogue::{ContentHash, Policy, Port, Profile, Reason, ServiceKey, State, changes::Head};
use tokio::sync::Semaphore;

use super::*;
use crate::{
    agent::errands,
    store::{Writer, store},
};

fn instance(number: u8, weight: u16) -> Arc<Instance> {
    let profile = Profile {
        port: 80,
        ports: [Port::tcp(Some("http"), 80)].into(),
        version: None,
        weight,
        tags: Default::default(),
        metadata: Default::default(),
    };
    Arc::new(Instance {
        id: format!("u{number}-80").as_str().into(),
        addresses: IpAddr::from([10, 0, 0, number]).into(),
        zone: None,
        node: None,
        pod: None,
        profile: Arc::new(profile),
        state: State::Serving,
        reason: Reason::Ready,
        revision: 1,
    })
}

fn key() -> ServiceKey {
    "orders.shop".parse().unwrap()
}

fn set(writer: &Writer, revision: u64, instances: Vec<Arc<Instance>>) {
    let head = Head { revision, hash: ContentHash(revision), policy: Policy::default(), truncated: false };
    writer.set_service(&key(), Arc::new(Service::of(head, instances)));
}

/// A watch of `orders.shop`, as far as it was told already.
fn watch(writer: &Writer, store: &crate::store::Store, told: Option<Arc<Service>>) -> Watch {
    writer.add([key()]);
    let slot = store.names().get(&key()).unwrap().clone();
    let permits = Arc::new(Semaphore::new(1));
    Watch {
        follow: Follow::new(store, &errands().0, slot),
        asked: Asked::default(),
        told: told.map_or(Told::Nothing, Told::Service),
        due: VecDeque::new(),
        over: false,
        _place: permits.try_acquire_owned().unwrap(),
    }
}

/// The next event, in one piece.
async fn event(watch: &mut Watch) -> String {
    let mut event = String::new();
    while !event.ends_with("\n\n") {
        event.push_str(std::str::from_utf8(&watch.next().await.unwrap()).unwrap());
    }
    event
}

#[tokio::test(start_paused = true)]
async fn all_of_it_then_what_changes_and_the_newest_alone() {
    let (writer, store) = store();
    let mut watch = watch(&writer, &store, None);
    set(&writer, 5, vec![instance(1, 100), instance(2, 100)]);
    let first = event(&mut watch).await;
    assert!(first.starts_with("event: snapshot\nid: 5\ndata: {\"service\":\"orders\""), "{first}");

    // Two changes while nobody reads: what is told is the way to the last.
    set(&writer, 6, vec![instance(2, 100), instance(3, 100)]);
    set(&writer, 7, vec![instance(2, 50), instance(4, 100)]);
    let told = [event(&mut watch).await, event(&mut watch).await, event(&mut watch).await];
    assert_eq!(told[0], "event: remove\nid: 5\ndata: {\"id\":\"u1-80\"}\n\n");
    assert!(told[1].starts_with("event: upsert\nid: 5\ndata: {\"id\":\"u2-80\""), "{}", told[1]);
    assert!(told[2].starts_with("event: upsert\nid: 7\ndata: {\"id\":\"u4-80\""), "{}", told[2]);

    // Nothing but comments while nothing changes.
    let begin = tokio::time::Instant::now();
    assert_eq!(event(&mut watch).await, ": still here\n\n");
    assert_eq!(begin.elapsed(), COMMENT_EVERY);

    // What is not watched changes: the reader learns how far it is.
    let mut failing = Instance::clone(&instance(9, 100));
    failing.state = State::Failing;
    set(&writer, 8, vec![instance(2, 50), instance(4, 100), Arc::new(failing)]);
    assert_eq!(event(&mut watch).await, "id: 8\n: nothing of this has changed\n\n");

    // It goes, and comes back.
    writer.set(&key(), Known::Unknown);
    assert_eq!(event(&mut watch).await, "event: gone\ndata: {}\n\n");
    set(&writer, 9, vec![instance(2, 50)]);
    assert!(event(&mut watch).await.starts_with("event: snapshot\nid: 9\n"));
    writer.set(&key(), Known::TooLarge);
    assert!(watch.next().await.is_none(), "the next request says why");
}

#[tokio::test(start_paused = true)]
async fn much_at_once_is_told_anew_and_a_place_that_is_given_up_is_taken_again() {
    let (writer, store) = store();
    let mut watch = watch(&writer, &store, None);
    set(&writer, 5, vec![]);
    event(&mut watch).await;
    set(&writer, 6, (0..=64).map(|number| instance(number, 100)).collect());
    assert!(event(&mut watch).await.starts_with("event: snapshot\nid: 6\n"));
    set(&writer, 7, (0..64).map(|number| instance(number, 100)).collect());
    assert_eq!(event(&mut watch).await, "event: remove\nid: 7\ndata: {\"id\":\"u64-80\"}\n\n");

    writer.leave(&[key()]);
    let again = async {
        writer.add([key()]);
        set(&writer, 8, vec![instance(2, 100)]);
    };
    let mut next = pin!(event(&mut watch));
    assert!(timeout(Duration::from_secs(1), next.as_mut()).await.is_err());
    again.await;
    assert!(next.await.starts_with("event: remove\nid: 7\n"), "from what was told to what is now");
}

#[tokio::test]
async fn a_reader_that_has_all_is_told_nothing_again() {
    let (writer, store) = store();
    writer.add([key()]);
    set(&writer, 5, vec![instance(1, 100)]);
    let slot = store.names().get(&key()).unwrap().clone();
    let Known::Service(held) = &**slot.known() else { unreachable!() };
    let mut watch = watch(&writer, &store, Some(held.service.clone()));
    set(&writer, 6, vec![]);
    assert_eq!(event(&mut watch).await, "event: remove\nid: 6\ndata: {\"id\":\"u1-80\"}\n\n");
}
