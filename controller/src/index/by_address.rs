//! What belongs to an address, by the thousands.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Holds a value for each address: those of either kind by themselves, since in one map each of IPv4, which nearly all
/// are, would take the room of one of IPv6.
#[derive(Debug)]
pub(super) struct ByAddress<V> {
    four: HashMap<Ipv4Addr, V>,
    six: HashMap<Ipv6Addr, V>,
}

// === impl ByAddress ===

impl<V> Default for ByAddress<V> {
    fn default() -> Self {
        Self { four: HashMap::new(), six: HashMap::new() }
    }
}

impl<V> ByAddress<V> {
    pub(super) fn get(&self, address: IpAddr) -> Option<&V> {
        match address {
            IpAddr::V4(four) => self.four.get(&four),
            IpAddr::V6(six) => self.six.get(&six),
        }
    }

    pub(super) fn get_mut(&mut self, address: IpAddr) -> Option<&mut V> {
        match address {
            IpAddr::V4(four) => self.four.get_mut(&four),
            IpAddr::V6(six) => self.six.get_mut(&six),
        }
    }

    pub(super) fn insert(&mut self, address: IpAddr, value: V) {
        match address {
            IpAddr::V4(four) => drop(self.four.insert(four, value)),
            IpAddr::V6(six) => drop(self.six.insert(six, value)),
        }
    }

    pub(super) fn remove(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(four) => drop(self.four.remove(&four)),
            IpAddr::V6(six) => drop(self.six.remove(&six)),
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.four.is_empty() && self.six.is_empty()
    }
}
