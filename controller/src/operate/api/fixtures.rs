//! Plain instances for the tests beside.

use std::sync::Arc;

use rollcall_catalogue::{
    Instance, InstanceId, Port, Profile, Reason, ServiceKey, State, Update, consolidate::Settings,
};

pub(crate) fn key(service: &str) -> ServiceKey {
    format!("{service}.shop").parse().unwrap()
}

pub(crate) fn instance(number: u8) -> Instance {
    Instance {
        id: InstanceId::of_pod(&format!("u{number}").as_str().into(), 8080),
        addresses: std::net::IpAddr::from([10, 0, 0, number]).into(),
        zone: None,
        node: Some("n1".into()),
        pod: Some(format!("orders-{number}").into()),
        profile: Arc::new(Profile {
            port: 8080,
            ports: [Port::tcp(Some("http"), 8080)].into(),
            version: "1.4.2".parse().ok(),
            weight: 100,
            tags: ["blue"].into(),
            metadata: [("team", "payments")].into(),
        }),
        state: State::Serving,
        reason: Reason::Ready,
        revision: 0,
    }
}

pub(crate) fn whole(service: &str, instances: Vec<Instance>) -> (ServiceKey, Update) {
    (key(service), Update::Whole { settings: Settings::default(), instances })
}
