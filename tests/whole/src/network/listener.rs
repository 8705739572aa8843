//! A port that connections come to.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    net::SocketAddr,
    task::{Poll, Waker},
};

use rollcall_net::{Accept, Accepted};

use super::{Net, wire::Wire};

/// Holds connections that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Of which process this is the port.
    owner: u64,
    pub(super) waiting: VecDeque<(Wire, SocketAddr)>,
    pub(super) waker: Option<Waker>,
}

/// Holds an open port; dropping it closes the port, and with it what nobody has taken.
#[derive(Debug)]
pub struct Listener {
    net: Net,
    at: SocketAddr,
    owner: u64,
}

// === impl Net ===

impl Net {
    /// Opens this port, which nobody else may have open.
    pub fn listen(&self, at: SocketAddr) -> io::Result<Listener> {
        let mut state = self.state();
        if state.backlogs.contains_key(&at) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let owner = state.number();
        state.backlogs.insert(at, Backlog { owner, waiting: VecDeque::new(), waker: None });
        Ok(Listener { net: self.clone(), at, owner })
    }
}

impl Accept for Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        let (wire, peer) = poll_fn(|context| {
            let mut state = self.net.state();
            let Some(backlog) =
                state.backlogs.get_mut(&self.at).filter(|backlog| backlog.owner == self.owner)
            else {
                return Poll::Pending;
            };
            match backlog.waiting.pop_front() {
                Some(waiting) => Poll::Ready(waiting),
                None => {
                    backlog.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        Ok(Accepted { stream: Box::new(wire), peer, local: Some(self.at) })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.net.state();
        if state.backlogs.get(&self.at).is_some_and(|backlog| backlog.owner == self.owner) {
            let backlog = state.backlogs.remove(&self.at);
            drop(state);
            drop(backlog);
        }
    }
}
