//! How a connection comes about.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    task::{Poll, Waker},
};

use futures::{FutureExt, future::BoxFuture};
use rollcall_net::{Network, Stream};

use super::{
    Event, Net, State, again_ms,
    connection::{Connection, Side},
    wire::Wire,
};

/// The ports that kernels give to those who dial.
const PORTS: std::ops::Range<u64> = 32_768..61_000;

/// Holds a machine's way into the network.
#[derive(Debug, Clone)]
pub struct Endpoint {
    net: Net,
    address: IpAddr,
}

/// Holds one that has no answer yet, or has it and has not looked.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) from: IpAddr,
    to: SocketAddr,
    answer: Option<Result<u64, io::ErrorKind>>,
    /// What the other side made of it.
    met: Option<Result<u64, io::ErrorKind>>,
    waker: Option<Waker>,
}

/// Holds somebody who waits for an answer; who gives up leaves nothing behind.
struct Waiting<'a> {
    net: &'a Net,
    dial: u64,
}

// === impl Net ===

impl Net {
    pub fn endpoint(&self, address: IpAddr) -> Endpoint {
        Endpoint { net: self.clone(), address }
    }

    /// Somebody's first word arrives.
    pub(super) fn knock(&self, state: &mut State, number: u64, tries: u32, wakers: &mut Vec<Waker>) {
        let Some(dial) = state.dials.get(&number) else { return };
        let (from, to) = (dial.from, dial.to);
        if !state.passes(from, to.ip()) {
            // A second, two, four: as Linux does it.
            return state.schedule(5 * again_ms(tries), Event::Syn { dial: number, tries: tries + 1 });
        }
        let met = if state.backlogs.contains_key(&to) {
            let connection = state.number();
            let port = PORTS.start + connection % (PORTS.end - PORTS.start);
            let dialled = SocketAddr::new(from, u16::try_from(port).unwrap_or(u16::MAX));
            state.connections.insert(connection, Connection::new(dialled, to));
            let wire = Wire { net: self.clone(), connection, side: Side::Accepted };
            let waker = state.backlogs.get_mut(&to).and_then(|backlog| {
                backlog.waiting.push_back((wire, dialled));
                backlog.waker.take()
            });
            state.touch(to.ip(), waker, wakers);
            Ok(connection)
        } else {
            Err(io::ErrorKind::ConnectionRefused)
        };
        if let Some(dial) = state.dials.get_mut(&number) {
            dial.met = Some(met);
        }
        let in_ms = state.way(to.ip(), from).latency_ms;
        state.schedule(in_ms, Event::Answer { dial: number, tries: 0 });
    }
}

// === impl State ===

impl State {
    /// The answer arrives.
    pub(super) fn answer(&mut self, number: u64, tries: u32, wakers: &mut Vec<Waker>) {
        let Some(dial) = self.dials.get(&number) else { return };
        let (from, to) = (dial.from, dial.to);
        if !self.passes(to.ip(), from) {
            return self.schedule(5 * again_ms(tries), Event::Answer { dial: number, tries: tries + 1 });
        }
        let Some(dial) = self.dials.get_mut(&number) else { return };
        dial.answer = dial.met;
        let waker = dial.waker.take();
        self.touch(from, waker, wakers);
    }

    /// Who stands behind an address: itself, or one of those that it stands for.
    fn behind(&mut self, to: SocketAddr) -> Option<SocketAddr> {
        let draw = self.jitter.next_u64();
        match self.services.get(&to) {
            None => Some(to),
            Some(behind) => {
                let place = usize::try_from(draw % behind.len().max(1) as u64).unwrap_or_default();
                behind.get(place).copied()
            }
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

impl Network for Endpoint {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        async move {
            let waiting = {
                let mut state = self.net.state();
                let Some(to) = state.behind(address) else {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                };
                let dial = state.number();
                let in_ms = state.way(self.address, to.ip()).latency_ms;
                state
                    .dials
                    .insert(dial, Dial { from: self.address, to, answer: None, met: None, waker: None });
                state.schedule(in_ms, Event::Syn { dial, tries: 0 });
                Waiting { net: &self.net, dial }
            };
            let connection = waiting.answer().await?;
            Ok(Box::new(Wire { net: self.net.clone(), connection, side: Side::Dialled }) as Box<dyn Stream>)
        }
        .boxed()
    }
}

// === impl Waiting ===

impl Waiting<'_> {
    async fn answer(self) -> io::Result<u64> {
        poll_fn(|context| {
            let mut state = self.net.state();
            let Some(dial) = state.dials.get_mut(&self.dial) else {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            };
            match dial.answer {
                None => {
                    dial.waker = Some(context.waker().clone());
                    Poll::Pending
                }
                Some(answer) => {
                    // It is the caller's now, and not to be closed with the dial.
                    dial.met = None;
                    Poll::Ready(answer.map_err(io::Error::from))
                }
            }
        })
        .await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.net.state();
        let Some(dial) = state.dials.remove(&self.dial) else { return };
        // The other side has taken a connection that nobody wants.
        if let Some(Ok(connection)) = dial.met {
            let abandoned = Wire { net: self.net.clone(), connection, side: Side::Dialled };
            drop(state);
            drop(abandoned);
        }
    }
}
