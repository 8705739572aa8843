mod bytes;
mod clock;
mod golden;
mod people;
mod property;
mod replicas;
mod services;
mod summary;
mod usage;
mod way;

use super::*;
use crate::{
    Upsert,
    testing::{Registry, key},
};

/// Holds a session and the time of its shell.
struct Session {
    server: Server,
    now_ms: u64,
}

fn hello() -> Up {
    hello_with(&[], None, 0)
}

fn hello_with(held: &[(&str, ContentHash)], epoch: Option<&str>, cursor: u64) -> Up {
    Up::Hello {
        protocol: PROTOCOL.to_owned(),
        incarnation: "i".to_owned(),
        sequence: 1,
        epoch: epoch.map(str::to_owned),
        cursor,
        registrations: vec![],
        held: held.iter().map(|(name, hash)| (key(name), *hash)).collect(),
    }
}

fn subscribe(names: &[&str]) -> Up {
    Up::Subscribe { services: names.iter().map(|name| name.parse().unwrap()).collect(), summary: false }
}

fn unsubscribe(names: &[&str]) -> Up {
    Up::Unsubscribe { services: names.iter().map(|name| name.parse().unwrap()).collect(), summary: false }
}

fn orders() -> RegistrationKey {
    RegistrationKey { service: "orders".parse().unwrap(), port: None }
}

fn opening() -> Opening {
    let pod = PodIdentity {
        namespace: "shop".parse().unwrap(),
        name: "storefront-1".to_owned(),
        uid: "u".to_owned(),
        node: None,
        zone: None,
        addresses: vec![],
    };
    Opening {
        replica: "c".to_owned(),
        replicas: Arc::default(),
        way: Way::default(),
        pod,
        life_ms: 12 * 3_600_000,
    }
}

/// A frame in short.
fn short(bytes: &[u8]) -> String {
    let join = |all: Vec<String>| all.join(",");
    match serde_json::from_slice(bytes).unwrap() {
        Down::Welcome { pod, epoch, .. } => format!("welcome {} {epoch}", pod.name),
        Down::Upsert(Upsert { service, base, instances, removed, more, .. }) => {
            let ids = join(instances.iter().map(|one| one.id.to_string()).collect());
            let gone = removed.iter().map(|id| format!(" -{id}")).collect::<String>();
            let kind = if base.is_some() { "delta" } else { "whole" };
            format!("{kind} {service} {ids}{gone}{}", if more { " ..." } else { "" })
        }
        Down::Remove { service, ids } => {
            format!("remove {service} {}", join(ids.iter().map(ToString::to_string).collect()))
        }
        Down::Synced { cursor, services, summary, .. } => {
            let names = join(services.iter().map(ToString::to_string).collect());
            format!("synced {cursor} {names}{}", if summary { "summary" } else { "" })
        }
        Down::Summary { services, removed, whole } => {
            let of = |one: &crate::ServiceSummary| format!("{}:{}/{}", one.service, one.serving, one.total);
            let told = join(services.iter().map(of).collect());
            let gone = removed.iter().map(|key| format!(" -{key}")).collect::<String>();
            format!("summary {}{told}{gone}", if whole { "whole " } else { "" })
        }
        Down::Registered { key } => format!("registered {}", key.service),
        Down::Goaway { reason, .. } => format!("goaway {reason}"),
        Down::Heartbeat => "heartbeat".to_owned(),
        other => format!("{other:?}"),
    }
}

// === impl Session ===

impl Session {
    fn silent(registry: &Registry) -> Self {
        Self { server: Server::new(opening(), registry.feed.clone(), 0), now_ms: 0 }
    }

    /// After welcome.
    fn open(registry: &Registry, hello: Up) -> Self {
        let mut session = Self::silent(registry);
        session.hear(hello);
        assert_eq!(session.said(registry), ["welcome storefront-1 epoch-0"]);
        session
    }

    fn subscribed(registry: &Registry, names: &[&str]) -> Self {
        let mut session = Self::open(registry, hello());
        session.hear(subscribe(names));
        session
    }

    fn hear(&mut self, frame: Up) -> Vec<Heard> {
        self.server.hear(frame, self.now_ms).unwrap()
    }

    fn one(&mut self, registry: &Registry) -> Option<String> {
        let has_more = self.server.has_more();
        let frame = self.server.speak(&registry.snapshot, self.now_ms);
        assert_eq!(frame.is_some(), has_more, "what is promised is said");
        frame.map(|bytes| short(&bytes))
    }

    /// Everything that is said now, in short.
    fn said(&mut self, registry: &Registry) -> Vec<String> {
        self.server.look(&registry.snapshot, registry.number, &Arc::default());
        std::iter::from_fn(|| self.one(registry)).collect()
    }

    /// The same, applied by the peer.
    fn acked(&mut self, registry: &Registry) -> Vec<String> {
        let said = self.said(registry);
        for line in said.iter().filter_map(|line| line.strip_prefix("synced ")) {
            let cursor = line.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(self.hear(Up::Ack { cursor }), [Heard::Acked(cursor)]);
        }
        said
    }

    /// As a shell does that is always in time: until there is something to say, or so long.
    fn wait(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while !self.server.has_more() && !self.server.closed() && self.server.wake_at_ms() <= end {
            self.now_ms = self.server.wake_at_ms().max(self.now_ms);
            self.server.tick(self.now_ms);
        }
        if !self.server.has_more() && !self.server.closed() {
            self.now_ms = end;
        }
    }
}
