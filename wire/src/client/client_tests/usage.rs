//! How services are used, to whom that is told.

use super::*;
use crate::{
    Reports, ServiceUsage, Up,
    client::Client,
    limits::{SUBSCRIPTIONS_MAX, USAGE_SERVICES_MAX},
};

fn news(many: usize) -> Vec<ServiceUsage> {
    let one = |number| ServiceUsage {
        service: key(&format!("s{number}")),
        lookups: 1,
        last_lookup_ago_ms: Some(0),
        reports: Reports::default(),
    };
    (0..many).map(one).collect()
}

fn welcomed(protocol: &str) -> Client {
    let mut client = Client::new("i".to_owned(), 1 << 20);
    client.open(0);
    let Down::Welcome { replica, epoch, replicas, ca, pod, position, changed, .. } = welcome("e") else {
        panic!()
    };
    let protocol = protocol.to_owned();
    let frame =
        Down::Welcome { protocol, replica, epoch, replicas, ca, controller: None, pod, position, changed };
    client.hear(frame, 0).unwrap();
    client
}

#[test]
fn it_is_told_in_frames_that_fit() {
    for (many, frames) in [(0, 0), (1, 1), (USAGE_SERVICES_MAX, 1), (SUBSCRIPTIONS_MAX, 2)] {
        let said = welcomed("1.2").tell_usage(|| news(many));
        assert_eq!(said.len(), frames, "{many}");
        let told = said.into_iter().flat_map(|frame| match frame {
            Up::Usage { services } => services,
            other => panic!("{other:?}"),
        });
        assert_eq!(told.collect::<Vec<_>>(), news(many));
    }
}

#[test]
fn who_cannot_know_of_it_is_not_told_and_nobody_is_asked() {
    let never = || panic!("it stays news");
    for older in ["1.0", "1.1", "1", "1.x"] {
        assert_eq!(welcomed(older).tell_usage(never), [], "{older}");
    }
    assert_eq!(welcomed("1.3").tell_usage(|| news(1)).len(), 1);
    let mut client = Client::new("i".to_owned(), 1 << 20);
    assert_eq!(client.tell_usage(never), []);
    client.open(0);
    assert_eq!(client.tell_usage(never), [], "nobody knows yet what it speaks");
    let mut client = welcomed("1.2");
    client.closed();
    assert_eq!(client.tell_usage(never), []);
}
