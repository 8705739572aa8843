//! What older builds said to each other, word for word: transcripts of whole sessions between the two ends of one version,
//! that this build's ends must understand, and answer as those did.
//!
//! Each was written by the two machines of a build of that version, in the story of [`PARTS`]; no session of today's build can
//! make it anew. A line is a part's name, or a frame of one end, its fields in the order of the alphabet. A version that others
//! run gets one, and none is ever changed.

use std::{net::SocketAddr, sync::Arc};

use rollcall_catalogue::{
    Instance, Visibility,
    changes::{Position, Reading},
    liveness::ProbeWitness,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    Down, Drain, HealthOf, Question, RegistrationKey, Token, Told, Up,
    client::Client,
    server::{Heard, Server},
    testing::{Registry, key},
};

/// The versions, the oldest first, and what was said in each.
pub(crate) const TRANSCRIPTS: [(&str, &str); 2] =
    [("1.0", include_str!("../golden/1.0.jsonl")), ("1.1", include_str!("../golden/1.1.jsonl"))];

/// What happens, in this order; in each part the client acts first, and the world after it.
pub(crate) const PARTS: [&str; 14] = [
    "opens",
    "changes",
    "unknown",
    "lists",
    "no list",
    "health",
    "asks",
    "drains",
    "beats",
    "told of replicas",
    "renews its token",
    "takes back",
    "is gone",
    "goes away",
];

/// Holds one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Line {
    Part(String),
    Up(Value),
    Down(Value),
}

/// Holds what the controller knows, and what a person hears from it.
pub(crate) struct World {
    pub(crate) registry: Registry,
    reading: Arc<Reading>,
    pub(crate) now_ms: u64,
}

pub(crate) fn lines(transcript: &str) -> Vec<Line> {
    transcript.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Where sessions are served, at the beginning.
pub(crate) fn replicas(lasts: &[u8]) -> Arc<[SocketAddr]> {
    lasts.iter().map(|last| SocketAddr::from(([10, 0, 0, *last], 7310))).collect()
}

fn of<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// An instance as pods have it, with all there is to be said of one.
fn orders(number: u8, state: &str, weight: u16) -> Instance {
    of(json!({
        "id": format!("0b7c-{number}-8080"), "address": format!("10.1.0.{number}"),
        "addresses": [format!("10.1.0.{number}"), format!("fd00::{number}")], "port": 8080,
        "ports": {"http": 8080, "dns": 53}, "protocols": {"dns": "UDP"}, "appProtocols": {"http": "kubernetes.io/h2c"},
        "version": "1.4.2", "zone": "a", "node": "node1", "pod": format!("orders-{number}"), "weight": weight,
        "tags": ["blue"], "metadata": {"team": "payments"}, "state": state,
        "reason": if state == "Serving" { "Ready" } else { "ProbeRefused" }, "revision": 0,
    }))
}

fn cart() -> RegistrationKey {
    RegistrationKey { service: "cart".parse().unwrap(), port: None }
}

/// What the client does first in a part.
pub(crate) fn act(client: &mut Client, part: &str) -> Vec<Up> {
    let frame = match part {
        "opens" => {
            let registration = json!({
                "service": "cart", "version": "2.0.0", "ports": [{"name": "http", "port": 8080}], "tags": ["blue"],
                "metadata": {"by": "itself"}, "weight": 7, "probe": "http:/healthz",
            });
            assert_eq!(client.register(of(registration)).unwrap(), None, "it is said with the hello");
            assert_eq!(client.subscribe([key("orders.shop")]), None);
            return client.open(0);
        }
        "unknown" => client.subscribe([key("billing.shop"), key("nothing.shop")]),
        "lists" => client.want_summary(true),
        "no list" => client.want_summary(false),
        "health" => {
            let word = HealthOf { service: cart().service, port: None };
            client.health(Some(word), ProbeWitness::Dead).unwrap()
        }
        "asks" => {
            let explain = Question::Explain { service: key("orders.shop"), id: None };
            let asked =
                client.ask(explain).into_iter().chain(client.ask(Question::Address([10, 1, 0, 2].into())));
            return asked.map(|(_, frame)| frame).collect();
        }
        "drains" => client.drain(Drain::Wait, 3_000).map(|(_, frame)| frame),
        "beats" => {
            client.tick(6_000).unwrap();
            return client.take_up();
        }
        "renews its token" => client.renew(Token::read(b"of.no.account").unwrap()),
        "takes back" => {
            let taken_back = client.deregister(&cart());
            let left = client.unsubscribe([&key("nothing.shop")]);
            return taken_back.into_iter().chain(left).collect();
        }
        _ => None,
    };
    frame.into_iter().collect()
}

// === impl World ===

impl World {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::of(&[("billing.shop", &[9])]);
        let all = (1..=4).map(|number| orders(number, "Serving", 100)).collect();
        registry.put("orders.shop", all, Visibility::Cluster);
        let mut world = Self { registry, reading: Arc::default(), now_ms: 0 };
        world.read(7);
        world
    }

    fn read(&mut self, pods: u64) {
        let mut position = Position::default();
        position.saw("Pod", pods);
        self.reading = Arc::new(Reading { reach: position.clone(), changed: position });
    }

    /// What happens in a part after the client has acted, or while it says nothing.
    pub(crate) fn turn(&mut self, part: &str, server: &mut Server) {
        match part {
            "opens" => server.set_duties(Arc::from([of(json!({
                "service": "cart", "id": "7d1e-8080", "addresses": ["10.1.0.7"], "port": 8080,
                "probe": {
                    "check": {"http": "/healthz"}, "port": 8080, "intervalMs": 500, "timeoutMs": 1000,
                    "failureThreshold": 3, "successThreshold": 1,
                },
            }))])),
            "changes" => {
                let others = [3, 4].map(|number| orders(number, "Serving", 100));
                let changed = [orders(2, "Failing", 50)].into_iter().chain(others).collect();
                self.registry.put("orders.shop", changed, Visibility::Cluster);
                self.read(8);
            }
            "beats" => {
                self.now_ms = 3_000;
                server.tick(self.now_ms);
            }
            "told of replicas" => server.set_replicas(replicas(&[1, 2, 3])),
            "is gone" => {
                self.registry.remove("billing.shop");
                self.read(9);
            }
            "goes away" => server.send_away("shutdown", replicas(&[2]).first().copied()),
            _ => {}
        }
    }

    /// Answers as the rest of a controller does.
    pub(crate) fn hear(&self, server: &mut Server, frame: Up) {
        for heard in server.hear(frame, self.now_ms).unwrap() {
            match heard {
                Heard::Hello { registrations, .. } => {
                    for registration in registrations {
                        let key = RegistrationKey { service: registration.service, port: None };
                        server.say(Down::Registered { key });
                    }
                }
                Heard::Ask { ask, question: Question::Explain { service, .. } } => {
                    assert_eq!(service, key("orders.shop"));
                    let explained = of(json!({
                        "id": "0b7c-2-8080", "address": "10.1.0.2", "port": 8080, "pod": "orders-2", "served": false,
                        "state": "Failing", "reason": "ProbeRefused", "sinceSeconds": 4, "witnesses": {
                            "pod": "ready", "endpoint": "none", "session": "open", "probe": "dead", "intent": "none",
                            "registry": "well",
                        },
                    }));
                    server.tell(ask, Told::Explained(vec![explained]));
                }
                Heard::Ask { ask, question: Question::Address(address) } => {
                    let found = orders(2, "Failing", 50);
                    assert_eq!(found.address(), address);
                    let found = crate::Found { service: key("orders.shop"), instance: found };
                    server.tell(ask, Told::Found(vec![found]));
                }
                Heard::Drain { drain, deadline_ms, ask } => {
                    assert_eq!((drain, deadline_ms), (Drain::Wait, 3_000));
                    server.say(Down::Drained {
                        ask,
                        complete: false,
                        terminating: true,
                        acked: 1,
                        subscribers: 2,
                        late: vec!["shop/storefront-1".to_owned()],
                        elapsed_ms: 80,
                    });
                }
                Heard::Health { of, probe } => {
                    assert_eq!((of.unwrap().service, probe), (cart().service, ProbeWitness::Dead));
                }
                Heard::Deregister(key) => assert_eq!(key, cart()),
                Heard::Token(token) => assert_eq!(token.secret(), "of.no.account"),
                _ => {}
            }
        }
    }

    /// All that the server says now.
    pub(crate) fn said(&self, server: &mut Server) -> Vec<Line> {
        server.look(&self.registry.snapshot, self.registry.number, &self.reading);
        let frames = std::iter::from_fn(|| server.speak(&self.registry.snapshot, self.now_ms));
        frames.map(|bytes| Line::Down(serde_json::from_slice(&bytes).unwrap())).collect()
    }
}

/// A frame as it was said, which is none that is unknown.
pub(crate) fn read<T: DeserializeOwned>(frame: &Value) -> T {
    serde_json::from_value(frame.clone()).unwrap()
}

/// What the client says.
pub(crate) fn up(frames: Vec<Up>) -> Vec<Line> {
    frames.into_iter().map(|frame| Line::Up(serde_json::to_value(frame).unwrap())).collect()
}
