use proptest::prelude::*;
use rollcall_catalogue::{ContentHash, Instance, Policy};

use super::*;

fn instance(number: usize, text: &str) -> Arc<Instance> {
    let json = serde_json::json!({
        "id": format!("pod-{number}-8080"), "address": format!("10.0.{}.{}", number / 250, 1 + number % 250),
        "port": 8080, "ports": {"http": 8080}, "weight": 100, "tags": [], "metadata": {"note": text},
        "state": "Serving", "reason": "Ready", "revision": 3,
    });
    Arc::new(serde_json::from_value(json).unwrap())
}

/// A service of so many instances, each of about so many bytes.
fn service(name: &str, instances: usize, bytes: usize) -> (ServiceKey, Arc<Service>) {
    let key: ServiceKey = name.parse().unwrap();
    let head = Head { revision: 7, hash: ContentHash(0), policy: Policy::default(), truncated: false };
    let all = (0..instances).map(|number| instance(number, &"x".repeat(bytes))).collect();
    let mut service = Service::of(head, all);
    service.hash = service.content_hash(&key);
    (key, Arc::new(service))
}

fn state() -> State {
    let services = vec![service("billing.shop", 0, 0), service("orders.shop", 3, 10)];
    State {
        pod: Some(serde_json::from_str(r#"{"namespace":"shop","name":"web-1","uid":"u1"}"#).unwrap()),
        current_at_ms: 1_700_000_000_000,
        names: services.iter().map(|(key, _)| key.clone()).collect(),
        services,
        position: serde_json::from_str(r#"{"pods":7,"services":9}"#).unwrap(),
        of_another_build: false,
    }
}

fn bytes_of(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(state, &mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<State, Damaged> {
    decode(bytes, bytes.len() as u64)
}

#[test]
fn what_was_written_is_read() {
    for state in [state(), State::default()] {
        assert_eq!(read(&bytes_of(&state)).unwrap(), state);
    }
}

#[test]
fn a_service_of_several_frames_comes_back_as_one() {
    let large = State { services: vec![service("large.shop", 600, 1_000)], ..State::default() };
    let bytes = bytes_of(&large);
    assert!(bytes.windows(11).any(|at| at == b"\"more\":true"), "it takes several");
    assert_eq!(read(&bytes).unwrap(), large);
}

#[test]
fn a_service_whose_hash_counts_more_than_we_know_is_kept_with_it() {
    let mut newer = state();
    let (_, service) = &mut newer.services[1];
    *service = Arc::new(Service { hash: ContentHash(99), ..Service::clone(service) });
    assert_eq!(read(&bytes_of(&newer)).unwrap(), newer);
}

#[test]
fn what_does_not_fit_is_left_out_whole_and_the_rest_is_kept() {
    // Each of the large ones takes more than half of the file.
    let large = |name| service(name, 1_100, 3_300);
    let services = vec![large("a.shop"), large("b.shop"), service("c.shop", 2, 10)];
    let full = State { services, ..state() };
    let mut bytes = Vec::new();
    assert_eq!(encode(&full, &mut bytes).unwrap().left_out, 1);
    assert!(bytes.len() as u64 <= FILE_BYTES_MAX);
    let kept = read(&bytes).unwrap();
    let names: Vec<_> = kept.services.iter().map(|(key, _)| key.service.as_str()).collect();
    assert_eq!((names, kept.names.len()), (vec!["a", "c"], 2));
}

#[test]
fn a_number_that_could_not_be_read_costs_its_service_and_not_the_file() {
    let mut grown = state();
    let (_, service) = &mut grown.services[0];
    *service = Arc::new(Service { revision: REVISION_END, ..Service::clone(service) });
    let mut bytes = Vec::new();
    assert_eq!(encode(&grown, &mut bytes).unwrap().left_out, 1);
    assert_eq!(read(&bytes).unwrap().services, state().services[1..]);
}

#[test]
fn what_another_build_wrote_is_known_to_be_its() {
    let ours = bytes_of(&state());
    let (from, to) = (build(), format!("x{}", &build()[1..]));
    let at = ours.windows(from.len()).position(|at| at == from.as_bytes()).unwrap();
    let mut body = ours[..ours.len() - TRAILER_BYTES].to_vec();
    body.splice(at..at + from.len(), to.bytes());
    let mut theirs = Vec::new();
    let mut out = Digested::new(&mut theirs);
    out.write_all(&body).unwrap();
    out.seal().unwrap();
    assert_eq!(read(&theirs).unwrap(), State { of_another_build: true, ..state() });
}

#[test]
fn a_longer_file_than_any_and_another_builds_are_not_read() {
    assert!(matches!(decode(io::repeat(b'a'), FILE_BYTES_MAX + 1), Err(Damaged::TooLong)));
    let mut other = bytes_of(&state());
    other[14] = b'2';
    assert!(matches!(read(&other), Err(Damaged::Format)));
    assert!(matches!(read(b""), Err(Damaged::Format)));
}

/// What can happen to a file.
#[derive(Debug, Clone)]
enum Harm {
    Flip(usize, u8),
    Cut(usize),
    Add(Vec<u8>),
    Drop(usize, usize),
    Zero(usize, usize),
    Twice(usize),
}

fn any_harm() -> impl Strategy<Value = Harm> {
    let place = || any::<usize>();
    prop_oneof![
        4 => (place(), 1..=255u8).prop_map(|(at, with)| Harm::Flip(at, with)),
        1 => place().prop_map(Harm::Cut),
        1 => proptest::collection::vec(any::<u8>(), 1..64).prop_map(Harm::Add),
        1 => (place(), 1..200usize).prop_map(|(at, length)| Harm::Drop(at, length)),
        1 => (place(), 1..200usize).prop_map(|(at, length)| Harm::Zero(at, length)),
        1 => place().prop_map(Harm::Twice),
    ]
}

fn harmed(bytes: &[u8], harms: &[Harm]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for harm in harms {
        let length = bytes.len().max(1);
        match harm {
            Harm::Flip(at, with) => bytes.get_mut(at % length).into_iter().for_each(|byte| *byte ^= with),
            Harm::Cut(at) => bytes.truncate(at % length),
            Harm::Add(more) => bytes.extend(more),
            Harm::Drop(at, count) => {
                let at = (at % length).min(bytes.len());
                drop(bytes.drain(at..(at + count).min(bytes.len())));
            }
            Harm::Zero(at, count) => {
                bytes.iter_mut().skip(at % length).take(*count).for_each(|byte| *byte = 0);
            }
            Harm::Twice(at) => bytes.extend_from_within((at % length).min(bytes.len())..),
        }
    }
    bytes
}

proptest! {
    /// Of bytes that are not as they were written nothing is believed, and nothing breaks by them.
    #[test]
    fn damage_is_found(harms in proptest::collection::vec(any_harm(), 1..4)) {
        let written = bytes_of(&state());
        let bytes = harmed(&written, &harms);
        prop_assert_eq!(read(&bytes).is_ok(), bytes == written);
    }

    /// Also where the digest is right, as whoever can write here can make it.
    #[test]
    fn forged_bytes_break_nothing(harms in proptest::collection::vec(any_harm(), 1..4)) {
        let written = bytes_of(&state());
        let mut bytes = harmed(&written[..written.len() - TRAILER_BYTES], &harms);
        let digest = Sha256::digest(&bytes);
        let length = bytes.len() as u64;
        bytes.extend(length.to_le_bytes());
        bytes.extend(digest);
        if let Ok(state) = read(&bytes) {
            prop_assert!(state.names.len() <= SUBSCRIPTIONS_MAX);
        }
    }
}
