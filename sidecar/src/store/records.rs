//! What DNS tells of one content of a service: the records of each choice are written once, when they are asked for first.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use rollcall_catalogue::Transport;
use rollcall_dns::{Choice, PortAsked, Records};

/// Choices whose records are kept beside those of all that serve. An app asks for a version or a port or two; of who asks
/// for more than this, the newest are kept: an answer begins where the last one of the same records did not.
const CHOSEN_MAX: usize = 8;
/// Bytes of them for each instance, which is what a choice of all of them takes some times, and for the service itself.
const CHOSEN_INSTANCE_BYTES: usize = 400;
const CHOSEN_SERVICE_BYTES: usize = 4 * 1024;

/// Holds the records that were written.
#[derive(Debug, Default)]
pub(super) struct Written {
    all: OnceLock<Arc<Records>>,
    chosen: ArcSwap<Vec<Chosen>>,
}

/// Holds the records of a choice.
#[derive(Debug, Clone)]
struct Chosen {
    version: Option<Box<str>>,
    port: Option<(Box<str>, Transport)>,
    records: Arc<Records>,
}

// === impl Written ===

impl Written {
    /// Those of this choice, written where they are not kept, of a content with so many instances.
    pub(super) fn of(
        &self,
        choice: Choice<'_>,
        instances: usize,
        write: impl FnOnce() -> Records,
    ) -> Arc<Records> {
        if choice == Choice::default() {
            return self.all.get_or_init(|| Arc::new(write())).clone();
        }
        let kept = self.chosen.load();
        if let Some(chosen) = kept.iter().find(|chosen| chosen.is_of(choice)) {
            return chosen.records.clone();
        }
        let records = Arc::new(write());
        let mut next = Vec::clone(&kept);
        next.push(Chosen::new(choice, records.clone()));
        let room = CHOSEN_SERVICE_BYTES + instances * CHOSEN_INSTANCE_BYTES;
        while next.len() > CHOSEN_MAX || bytes(&next) > room {
            next.remove(0);
        }
        self.chosen.store(Arc::new(next));
        records
    }
}

fn bytes(chosen: &[Chosen]) -> usize {
    chosen.iter().map(|chosen| chosen.records.bytes()).sum()
}

// === impl Chosen ===

impl Chosen {
    fn new(choice: Choice<'_>, records: Arc<Records>) -> Self {
        let Choice { version, port } = choice;
        Self {
            version: version.map(Into::into),
            port: port.map(|port| (port.name.into(), port.transport)),
            records,
        }
    }

    fn is_of(&self, choice: Choice<'_>) -> bool {
        let port = self.port.as_ref().map(|(name, transport)| PortAsked { name, transport: *transport });
        Choice { version: self.version.as_deref(), port } == choice
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalogue::{ContentHash, Policy, Service, changes::Head};

    use super::*;

    fn service(instances: u8) -> Service {
        let instance = |number: u8| {
            let json = serde_json::json!({
                "id": format!("u{number}-8080"), "address": format!("10.0.0.{number}"), "port": 8080,
                "ports": {"http": 8080}, "weight": 100, "state": "Serving", "reason": "Ready",
            });
            Arc::new(serde_json::from_value(json).unwrap())
        };
        let head = Head { revision: 7, hash: ContentHash(1), policy: Policy::default(), truncated: false };
        Service::of(head, (1..=instances).map(instance).collect())
    }

    fn port(name: &str) -> Choice<'_> {
        let port = PortAsked { name, transport: Transport::Tcp };
        Choice { port: Some(port), ..Choice::default() }
    }

    #[test]
    fn each_choice_is_written_once_and_the_newest_are_kept() {
        let (written, service) = (Written::default(), service(1));
        let key = "orders.shop".parse().unwrap();
        let ask = |choice| written.of(choice, 1, || Records::of(&key, &service, choice, 0));
        assert!(Arc::ptr_eq(&ask(Choice::default()), &ask(Choice::default())));
        let names: Vec<_> = (0..=CHOSEN_MAX).map(|number| format!("p{number}")).collect();
        let other = Choice { port: Some(PortAsked { name: "p0", transport: Transport::Udp }), version: None };
        let version = Choice { version: Some("p0"), port: None };
        let first = ask(port(&names[0]));
        assert!(!Arc::ptr_eq(&first, &ask(other)) && !Arc::ptr_eq(&first, &ask(version)));
        assert!(Arc::ptr_eq(&first, &ask(port(&names[0]))));
        let others: Vec<_> = names[1..].iter().map(|name| ask(port(name))).collect();
        for (name, records) in names[1..].iter().zip(&others) {
            assert!(Arc::ptr_eq(records, &ask(port(name))), "{name}");
        }
        assert!(!Arc::ptr_eq(&first, &ask(port(&names[0]))), "the oldest went");
        assert_eq!(written.chosen.load().len(), CHOSEN_MAX);
    }

    #[test]
    fn what_is_kept_takes_no_more_than_the_service_may_have() {
        let (written, service) = (Written::default(), service(200));
        let key = "orders.shop".parse().unwrap();
        for number in 0..CHOSEN_MAX {
            let choice =
                Choice { version: None, port: Some(PortAsked { name: "http", transport: Transport::Tcp }) };
            let name = format!("v{number}");
            let choice = if number % 2 == 0 { choice } else { port(&name) };
            let instances = service.instances.len();
            written.of(choice, instances, || Records::of(&key, &service, choice, 0));
            assert!(
                bytes(&written.chosen.load()) <= CHOSEN_SERVICE_BYTES + instances * CHOSEN_INSTANCE_BYTES
            );
        }
        assert!(!written.chosen.load().is_empty());
        // One that alone is too much is written for who asks, and for nobody else.
        let all = port("http");
        let large = Written::default();
        large.of(all, 0, || Records::of(&key, &service, all, 0));
        assert!(large.chosen.load().is_empty());
    }
}
