//! Lookups of a service's healthy instances, and the queries that wait for the next change of them.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Method};
use serde::Deserialize;

use super::{Way, process::ANSWER_MAX};
use crate::{
    local::Caller,
    peers::{Client, Data, Watcher, http::Http},
};

/// How long a query waits for a change, which is Consul's own default.
const WAIT: Duration = Duration::from_secs(300);
/// By then it has answered also what did not change: it adds a sixteenth to the wait.
const WAIT_MAX: Duration = Duration::from_secs(330);

/// Holds one client.
pub(super) struct Lookups {
    way: Way,
    at: SocketAddr,
    caller: Caller,
    http: Http,
}

/// Holds one watcher: what it asks, and the index of what it knows.
pub(super) struct Health {
    path: String,
    http: Http,
    /// None until there was an answer.
    index: Option<u64>,
}

/// Holds one instance as Consul answers it.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "Service")]
    service: Service,
}

#[derive(Deserialize)]
struct Service {
    #[serde(rename = "Address")]
    address: String,
}

// === impl Lookups ===

impl Lookups {
    pub(super) async fn connect(at: SocketAddr, way: Way) -> anyhow::Result<Self> {
        Ok(Self { way, at, caller: Caller::connect(at).await?, http: Http::connect(at).await? })
    }
}

impl Client for Lookups {
    fn instances(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<Vec<String>>> {
        async move {
            let path = self.way.path(&Data::service(service));
            addresses(&self.http.ask(Method::GET, &path, "", ANSWER_MAX).await?.good()?)
        }
        .boxed()
    }

    fn lookup(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<usize>> {
        async move {
            let path = self.way.path(&Data::service(service));
            let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.at);
            Ok(self.caller.answer(&request).await?.len())
        }
        .boxed()
    }
}

fn addresses(body: &[u8]) -> anyhow::Result<Vec<String>> {
    let entries: Vec<Entry> = serde_json::from_slice(body)?;
    let mut all: Vec<_> = entries.into_iter().map(|entry| entry.service.address).collect();
    all.sort();
    Ok(all)
}

// === impl Health ===

impl Health {
    pub(super) async fn connect(at: SocketAddr, path: String) -> anyhow::Result<Self> {
        Ok(Self { path, http: Http::connect(at).await?, index: None })
    }

    async fn newer(&mut self) -> anyhow::Result<(Instant, Vec<String>)> {
        loop {
            let path = match self.index {
                None => self.path.clone(),
                Some(index) => format!("{}&index={index}&wait={}s", self.path, WAIT.as_secs()),
            };
            let answer = self.http.ask(Method::GET, &path, "", WAIT_MAX).await?;
            let (before, index) = (self.index, index(&answer.heads)?);
            let known = addresses(&answer.good()?)?;
            let at = Instant::now();
            self.index = following(before, index);
            // What merely waited to its end is no news.
            if before != Some(index) {
                return Ok((at, known));
            }
        }
    }
}

impl Watcher for Health {
    fn next(&mut self) -> BoxFuture<'_, anyhow::Result<(Instant, Vec<String>)>> {
        self.newer().boxed()
    }
}

fn index(heads: &HeaderMap) -> anyhow::Result<u64> {
    let text = heads.get("x-consul-index").context("an answer without an index")?;
    Ok(text.to_str()?.parse()?)
}

/// The index to ask with after this answer. One that goes back is of another log, as Consul's documentation has it: then all is
/// asked for anew.
fn following(before: Option<u64>, index: u64) -> Option<u64> {
    // With 0 nobody waits.
    let is_of_this_log = index > 0 && before.is_none_or(|before| index >= before);
    is_of_this_log.then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_those_of_services_and_sorted() {
        let entry = |node: &str, address: &str| {
            format!(
                r#"{{"Node":{{"Address":"{node}"}},"Service":{{"ID":"a","Address":"{address}","Port":1}},"Checks":[]}}"#
            )
        };
        let body = format!("[{},{}]", entry("127.0.0.1", "10.0.0.2"), entry("127.0.0.1", "10.0.0.1"));
        assert_eq!(addresses(body.as_bytes()).unwrap(), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(addresses(b"[]").unwrap(), Vec::<String>::new());
        for wrong in ["", "{}", r#"[{"Service":{}}]"#, &body[..body.len() - 1]] {
            assert!(addresses(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_index_that_goes_back_begins_anew() {
        for (before, index, after) in [
            (None, 7, Some(7)),
            (Some(7), 7, Some(7)),
            (Some(7), 9, Some(9)),
            (Some(7), 3, None),
            (None, 0, None),
            (Some(7), 0, None),
        ] {
            assert_eq!(following(before, index), after, "{before:?} {index}");
        }
    }
}
