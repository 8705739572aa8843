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
/// the Lease is another's whose pod is there: so one that is the only one never waits for a Lease to expire. Another's
/// pod that is not ready may serve all the same, as one whose probe is late does; only where it does not renew the
/// Lease either is it taken for dead. None where too little is known: then it goes on as it is.
pub fn role(own: &str, holder: &Holder, vigil: Option<&Vigil>, port: u16) -> Option<Role> {
    let (name, is_silent) = match holder {
        Holder::NotSeen => return None,
        Holder::NobodyKnown => return Some(Role::Serving),
        Holder::Replica(name) => (name, false),
        Holder::Silent(name) => (name, true),
    };
    if **name == *own {
        return Some(Role::Serving);
    }
    let found = vigil.filter(|vigil| vigil.name == *name)?;
    Some(match found.pod {
        Some(pod) if pod.is_ready || !is_silent => {
            Role::Standby { serving: SocketAddr::new(pod.address, port) }
        }
        // It is no pod of ours, or one that has ended or is about to, or is dead.
        _ => Role::Serving,
    })
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
    use crate::index::Replica;

    #[test]
    fn a_replica_serves_unless_another_one_that_is_alive_holds_the_lease() {
        let vigil = |name: &str, pod: Option<Replica>| Some(Vigil { name: name.into(), pod });
        let at = |last: u8, is_ready| Some(Replica { address: [10, 0, 0, last].into(), is_ready });
        let (of, silent) =
            (|name: &str| Holder::Replica(name.into()), |name: &str| Holder::Silent(name.into()));
        let standby = Some(Role::Standby { serving: ([10, 0, 0, 2], 7310).into() });
        let serving = Some(Role::Serving);
        let (alive, not_ready, gone) = (vigil("b", at(2, true)), vigil("b", at(2, false)), vigil("b", None));
        let table = [
            ("nothing was seen yet", Holder::NotSeen, None, None),
            ("and what was alive says nothing of it", Holder::NotSeen, alive.clone(), None),
            ("the Lease is out of reach", Holder::NobodyKnown, None, serving),
            ("and another one is alive", Holder::NobodyKnown, alive.clone(), serving),
            ("it is ours", of("a"), None, serving),
            ("of an earlier life of ours, whatever our pod is", of("a"), vigil("a", None), serving),
            ("of an earlier life of ours, whatever is alive", silent("a"), vigil("a", at(1, true)), serving),
            ("another one is alive", of("b"), alive.clone(), standby),
            ("its looks at the Lease fail, or ours", silent("b"), alive.clone(), standby),
            ("another one is not ready, and renews", of("b"), not_ready.clone(), standby),
            ("another one is not ready, and does not", silent("b"), not_ready, serving),
            ("another one is dead, or no pod", of("b"), gone.clone(), serving),
            ("and does not renew", silent("b"), gone, serving),
            ("another one, of which nothing is known yet", of("b"), None, None),
            ("and does not renew", silent("b"), None, None),
            ("another one, and a third is alive", of("c"), alive, None),
        ];
        for (what, holder, vigil, expected) in table {
            assert_eq!(role("a", &holder, vigil.as_ref(), 7310), expected, "{what}");
        }
    }
}
