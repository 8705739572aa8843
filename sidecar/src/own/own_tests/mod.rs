mod beats;
mod doubts;
mod property;
mod registrations;

use rollcall_wire::{HealthOf, SelfPort};

use super::{entry::Status, *};

fn service(name: &str) -> ServiceName {
    name.parse().unwrap()
}

/// What an app says of its one instance in this service.
fn whole(name: &str, port: Option<u16>, ttl_seconds: Option<u32>) -> SelfRegistration {
    let named = |port: u16| SelfPort {
        name: Some("http".into()),
        port: port.into(),
        protocol: None,
        app_protocol: None,
    };
    SelfRegistration {
        service: service(name),
        version: Some("1.4.2".to_owned()),
        ports: port.map(named).into_iter().collect(),
        tags: vec![],
        metadata: Default::default(),
        weight: None,
        probe: None,
        ttl_seconds,
        beside: false,
    }
}

/// What a classic caller says: one address among others, which beats.
fn beside(name: &str, port: u16) -> SelfRegistration {
    SelfRegistration { beside: true, ..whole(name, Some(port), Some(15)) }
}

fn key(name: &str, port: Option<u32>) -> RegistrationKey {
    RegistrationKey { service: service(name), port }
}

fn spot(name: &str, port: u16) -> Spot {
    Spot { service: service(name), port }
}

fn duty(name: &str, port: u16, ttl_seconds: Option<u32>) -> Duty {
    Duty {
        service: service(name),
        id: format!("u1-{port}").as_str().into(),
        addresses: vec![[10, 0, 0, 1].into()],
        port,
        declared: true,
        probe: None,
        ttl_seconds,
    }
}

fn of(name: &str, port: u16, probe: ProbeWitness) -> Say {
    Say::Health { of: Some(HealthOf { service: service(name), port: Some(port) }), probe }
}

fn well(failing: bool, ttl_ms: Option<u64>) -> AppWord {
    AppWord { failing, ttl_ms, output: String::new() }
}

fn refusal() -> Refusal {
    Refusal { reason: "no".to_owned(), field: None }
}

/// A ledger in session.
fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.set_in_session(true, 0);
    ledger
}
