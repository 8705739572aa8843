//! What the catalogue keeps of an endpoint of a Service.

use std::{net::IpAddr, sync::Arc};

use crate::{liveness::EndpointWitness, registration::Port};

/// Holds what all EndpointSlices of one Service have on one endpoint, joined by the pod's UID or, where there is no
/// pod, by the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointFacts {
    /// The primary address first.
    pub addresses: Vec<IpAddr>,
    /// The ports as its slices number them, the Service's first one first.
    pub ports: Vec<Port>,
    /// Where it is as its slices say; nothing of a pod, of which its node says it.
    pub zone: Option<Arc<str>>,
    pub node: Option<Arc<str>>,
    pub witness: EndpointWitness,
}

// === impl EndpointFacts ===

impl EndpointFacts {
    /// What several Services have on one endpoint that is registered through all of them, `self` being the one whose
    /// registration is closest. Addresses and ports are those of both, its own first, each address and each name once.
    /// It can be reached while one of them reaches it, unless it is going: that is the pod's own affair.
    #[must_use]
    pub fn joined(mut self, other: &Self) -> Self {
        for address in &other.addresses {
            if !self.addresses.contains(address) {
                self.addresses.push(*address);
            }
        }
        for port in &other.ports {
            let same_number = |held: &Port| (held.port, held.transport) == (port.port, port.transport);
            let known = |held: &Port| held.name == port.name && (held.name.is_some() || same_number(held));
            if !self.ports.iter().any(known) {
                self.ports.push(port.clone());
            }
        }
        self.zone = self.zone.or_else(|| other.zone.clone());
        self.node = self.node.or_else(|| other.node.clone());
        self.witness = [self.witness, other.witness]
            .into_iter()
            .max_by_key(|word| weight(*word))
            .unwrap_or(self.witness);
        self
    }
}

/// Which word on an endpoint holds where there are several: the heaviest.
fn weight(word: EndpointWitness) -> u8 {
    match word {
        EndpointWitness::NoEndpoint => 0,
        EndpointWitness::NotReady => 1,
        EndpointWitness::Ready => 2,
        // Also says that the Service does not mind what becomes of the pod.
        EndpointWitness::Published => 3,
        EndpointWitness::Terminating => 4,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{address, named, unnamed};

    fn facts(addresses: &[u8], ports: &[Port], witness: EndpointWitness) -> EndpointFacts {
        let addresses = addresses.iter().map(|number| address(*number)).collect();
        EndpointFacts { addresses, ports: ports.to_vec(), zone: None, node: None, witness }
    }

    #[test]
    fn the_closest_comes_first_and_nothing_stands_twice() {
        use EndpointWitness::*;
        let close = facts(&[1, 2], &[named("http", 80), named("grpc", 90)], NotReady);
        let far = EndpointFacts {
            zone: Some("a".into()),
            ..facts(&[2, 3], &[named("http", 81), named("metrics", 91), unnamed(80), unnamed(80)], Ready)
        };
        let both = close.joined(&far);
        let ports = [named("http", 80), named("grpc", 90), named("metrics", 91), unnamed(80)];
        let expected = EndpointFacts { zone: Some("a".into()), ..facts(&[1, 2, 3], &ports, Ready) };
        assert_eq!(both, expected);
    }

    #[test]
    fn it_is_reached_while_one_service_reaches_it_unless_it_is_going() {
        use EndpointWitness::*;
        let table = [
            (NotReady, Ready, Ready),
            (Ready, Published, Published),
            (NotReady, Published, Published),
            (NoEndpoint, NotReady, NotReady),
            (Published, Terminating, Terminating),
            (Ready, Terminating, Terminating),
            (NotReady, NotReady, NotReady),
        ];
        for (one, other, expected) in table {
            for (one, other) in [(one, other), (other, one)] {
                assert_eq!(facts(&[1], &[], one).joined(&facts(&[1], &[], other)).witness, expected);
            }
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_which_are_joined_first(all in proptest::collection::vec((
            proptest::collection::vec(0u8..4, 0..3),
            proptest::collection::vec((proptest::option::of("[ab]"), 80u16..82), 0..3),
            proptest::sample::select(EndpointWitness::ALL.to_vec()),
            proptest::option::of("[xy]"),
        ), 3)) {
            let [a, b, c] = [0, 1, 2].map(|n: usize| {
                let (addresses, ports, witness, zone) = &all[n];
                let ports: Vec<_> = ports.iter().map(|(name, port)| Port::tcp(name.as_deref(), *port)).collect();
                let none = facts(&[], &[], *witness);
                // As a slice has them: nothing stands twice.
                let one = none.joined(&facts(addresses, &ports, *witness));
                EndpointFacts { zone: zone.as_deref().map(Into::into), ..one }
            });
            prop_assert_eq!(a.clone().joined(&b).joined(&c), a.joined(&b.joined(&c)));
        }
    }
}
