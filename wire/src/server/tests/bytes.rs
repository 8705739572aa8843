//! What the changes cost on the wire.

use std::net::IpAddr;

use rollcall_catalogue::{Instance, Port, Profile, Reason, State, Update, Visibility};

use super::*;

/// As Kubernetes and people name things.
fn realistic(number: u8, state: State) -> Instance {
    let profile = Profile {
        port: 8_080,
        ports: [Port::tcp(Some("http"), 8_080), Port::tcp(Some("metrics"), 9_090)].into(),
        version: Some("1.14.2".parse().unwrap()),
        weight: 100,
        tags: ["blue", "canary"].into(),
        metadata: [("team", "payments")].into(),
    };
    Instance {
        id: format!("6f1d2c3b-7a58-4e0e-9d1c-0123456789{number:02x}-8080").as_str().into(),
        addresses: IpAddr::from([10, 244, 3, number]).into(),
        zone: Some("eu-central-1a".into()),
        node: Some("ip-10-0-12-34.eu-central-1.compute.internal".into()),
        pod: Some(format!("order-service-6c8d9f7b5-x{number:04}").as_str().into()),
        profile: profile.into(),
        state,
        reason: Reason::Ready,
        revision: 0,
    }
}

/// The ideal is the JSON of what changed, and the name of whose it is.
#[test]
fn single_changes_cost_little_more_than_what_changed() {
    let name = "order-service.shop";
    let mut registry = Registry::new();
    registry.put(name, (0..100).map(|n| realistic(n, State::Serving)).collect(), Visibility::Cluster);
    let mut s = Session::subscribed(&registry, &["order-service"]);
    s.acked(&registry);
    let (mut told, mut ideal) = (0, 0);
    for turn in 0..100u8 {
        let changed = realistic(turn, State::Failing);
        let part = Update::Part { settings: None, upserts: vec![changed.clone()], removes: vec![] };
        registry.update(name, part);
        let changed = registry.service(name).instance(&changed.id).unwrap();
        ideal += serde_json::to_vec(&**changed).unwrap().len() + name.len();
        s.server.look(&registry.snapshot, registry.number, &Arc::default());
        while let Some(bytes) = s.server.speak(&registry.snapshot, 0) {
            told += bytes.len();
            if let Down::Synced { cursor, .. } = serde_json::from_slice(&bytes).unwrap() {
                s.hear(Up::Ack { cursor });
            }
        }
    }
    assert!(told * 2 <= ideal * 3, "{told} bytes for {ideal}");
}
