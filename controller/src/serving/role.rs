//! Which replica serves sessions: one function of what is known.

use std::net::SocketAddr;

use crate::{index::Vigil, lease::Holder};

/// Says whether this replica serves sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// It has just started, and does not know who else is there.
    #[default]
    NotKnown,
    Serving,
    Standby {
        /// Where the sessions of the replica that serves are.
        serving: SocketAddr,
    },
}

/// What the replica of this name is to do, which has its sessions on this port as all of them have. It serves unless
/// the Lease is another's whose pod is alive: so one that is the only one never waits for a Lease to expire. None where
/// too little is known: then it goes on as it is.
pub fn role(own: &str, holder: &Holder, vigil: Option<&Vigil>, port: u16) -> Option<Role> {
    match holder {
        Holder::NotSeen => None,
        Holder::NobodyKnown => Some(Role::Serving),
        Holder::Replica(name) if **name == *own => Some(Role::Serving),
        Holder::Replica(name) => {
            let found = vigil.filter(|vigil| vigil.name == *name)?;
            Some(match found.address {
                Some(address) => Role::Standby { serving: SocketAddr::new(address, port) },
                // It is no pod of ours, or one that has ended or is about to.
                None => Role::Serving,
            })
        }
    }
}

// === impl Role ===

impl Role {
    pub fn serves(self) -> bool {
        self == Self::Serving
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_serves_unless_another_one_that_is_alive_holds_the_lease() {
        let vigil = |name: &str, address: Option<[u8; 4]>| {
            Some(Vigil { name: name.into(), address: address.map(Into::into) })
        };
        let of = |name: &str| Holder::Replica(name.into());
        let standby = Some(Role::Standby { serving: ([10, 0, 0, 2], 7310).into() });
        let serving = Some(Role::Serving);
        let alive = vigil("b", Some([10, 0, 0, 2]));
        let table = [
            ("nothing was seen yet", Holder::NotSeen, None, None),
            ("and what was alive says nothing of it", Holder::NotSeen, alive.clone(), None),
            ("the Lease is free", Holder::NobodyKnown, None, serving),
            ("and another one is alive", Holder::NobodyKnown, alive.clone(), serving),
            ("it is ours", of("a"), None, serving),
            ("of an earlier life of ours, whatever our pod is", of("a"), vigil("a", None), serving),
            ("of an earlier life of ours, whatever is alive", of("a"), vigil("a", Some([1; 4])), serving),
            ("another one is alive", of("b"), alive.clone(), standby),
            ("another one is dead, or no pod", of("b"), vigil("b", None), serving),
            ("another one, of which nothing is known yet", of("b"), None, None),
            ("another one, and a third is alive", of("c"), alive, None),
        ];
        for (what, holder, vigil, expected) in table {
            assert_eq!(role("a", &holder, vigil.as_ref(), 7310), expected, "{what}");
        }
    }
}
