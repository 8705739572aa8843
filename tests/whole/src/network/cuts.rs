//! Who reaches whom.

use std::{net::IpAddr, sync::Arc};

/// Names a group of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    All,
    One(IpAddr),
    Some(Arc<[IpAddr]>),
    Node(Arc<str>),
}

/// Names a cut; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutId(u64);

/// Holds the ways that are cut, each of one direction.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    made: u64,
    cuts: Vec<(CutId, Whom, Whom)>,
}

// === impl Whom ===

impl Whom {
    pub(super) fn has(&self, (address, node): (IpAddr, Option<&str>)) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => *one == address,
            Self::Some(some) => some.contains(&address),
            Self::Node(name) => node == Some(&**name),
        }
    }
}

// === impl Cuts ===

impl Cuts {
    pub(super) fn add(&mut self, from: Whom, to: Whom) -> CutId {
        self.made += 1;
        self.cuts.push((CutId(self.made), from, to));
        CutId(self.made)
    }

    pub(super) fn remove(&mut self, cuts: &[CutId]) {
        self.cuts.retain(|(id, ..)| !cuts.contains(id));
    }

    pub(super) fn clear(&mut self) {
        self.cuts.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    /// Within one node everyone reaches everyone, unless an address is cut off by name.
    pub(super) fn let_pass(&self, from: (IpAddr, Option<&str>), to: (IpAddr, Option<&str>)) -> bool {
        let is_within = from.1.is_some() && from.1 == to.1;
        let of_nodes = |whom: &Whom| matches!(whom, Whom::Node(_) | Whom::All);
        !self.cuts.iter().any(|(_, one, other)| {
            one.has(from) && other.has(to) && !(is_within && of_nodes(one) && of_nodes(other))
        })
    }
}
