//! The load: queries over UDP, as the resolvers of apps make them, at the least cost to the machine.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::query::{Client, Query};
use crate::local::{Outcome, micros, open};

/// As many queries as so many clients can make, one after the other each. One thread plays them all, in turn: a server
/// answers in the order in which it is asked, so that nobody's reply lies unread for another's.
pub(super) fn closed(
    at: SocketAddr,
    queries: &[Query],
    clients: usize,
    lasts: Duration,
) -> anyhow::Result<Outcome> {
    let mut queries = queries.iter().cycle();
    let mut next = move || queries.next().context("no query");
    let mut delays_us = Vec::new();
    let begin = Instant::now();
    let mut asking = VecDeque::new();
    for _ in 0..clients {
        let (mut client, query) = (Client::connect(at)?, next()?);
        client.send(query)?;
        asking.push_back((client, query, Instant::now()));
    }
    while let Some((mut client, query, asked)) = asking.pop_front() {
        client.hear(query)?;
        let now = Instant::now();
        delays_us.push(micros(now - asked));
        if now - begin < lasts {
            let query = next()?;
            client.send(query)?;
            asking.push_back((client, query, now));
        }
    }
    Ok(Outcome::of(begin, delays_us))
}

/// So many queries a second, by so many clients.
pub(super) fn steady(
    at: SocketAddr,
    queries: &[Query],
    clients: usize,
    a_second: u32,
    lasts: Duration,
) -> anyhow::Result<Outcome> {
    let client = || {
        let mut client = Client::connect(at)?;
        Ok(move |turn: usize| client.ask(queries.get(turn % queries.len()).context("no query")?).map(drop))
    };
    open((0..clients).map(|_| client()).collect::<anyhow::Result<_>>()?, a_second, lasts)
}
