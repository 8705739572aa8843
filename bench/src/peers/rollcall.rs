//! Rollcall itself, as those that it is measured beside: the sidecar, and the controller's read API.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    sync::Arc,
};

use anyhow::Context;
use futures::{FutureExt, future::BoxFuture};
use rollcall_results::{Class, Configuration, Program};
use serde_json::Value;

use super::{Client, Data, NameServer, Peer};
use crate::{
    local::{Caller, Half, NAMESPACE, Shop, Sidecar, listening, measured},
    report::program,
    sessions::Door,
};

/// Holds a sidecar in session that has looked all services up once, so that it holds them.
pub(crate) struct SidecarPeer {
    pub(crate) sidecar: Sidecar,
    requests: Requests,
}

/// Holds a controller that answers people and their scripts.
pub(crate) struct ControllerPeer {
    half: Half,
    at: SocketAddr,
    requests: Requests,
    /// Where its sessions are.
    pub(crate) door: Door,
}

/// Holds what is said over HTTP to look each service up.
pub(super) type Requests = Arc<[String]>;

/// Holds one connection to one of them, or to what answers as they do.
pub(super) struct Asker {
    caller: Caller,
    requests: Requests,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Starts a controller that holds this data and answers its read API on this port; its sessions have the next one.
pub(crate) async fn start_controller(data: Data, port: u16) -> anyhow::Result<ControllerPeer> {
    let arguments = Shop { data, generation: 1 }.arguments(port + 1, Some(port));
    let process = measured("starting a controller", &env::current_exe()?, move |half| {
        half.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    })?;
    let (half, authority) = Half::of(process)?;
    let door = Door { address: (Ipv4Addr::LOCALHOST, port + 1).into(), authority };
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    listening(at, &half.process).await?;
    let request = |service| format!("/v1/services/{}.{NAMESPACE}", Data::service(service));
    Ok(ControllerPeer { half, at, requests: requests(data, at, request), door })
}

/// What asks for each service by a GET of its path.
pub(super) fn requests(data: Data, at: SocketAddr, path: impl Fn(u32) -> String) -> Requests {
    (0..data.services)
        .map(|service| format!("GET {} HTTP/1.1\r\nHost: {at}\r\n\r\n", path(service)))
        .collect()
}

/// The addresses in an answer of ours.
fn addresses(answer: &[u8]) -> anyhow::Result<Vec<String>> {
    let text = std::str::from_utf8(answer)?;
    let (_, body) = text.split_once("\r\n\r\n").context("an answer without a body")?;
    let answer: Value = serde_json::from_str(body)?;
    let instances =
        answer.get("instances").and_then(Value::as_array).context("an answer without instances")?;
    let of_one = |instance: &Value| instance.get("address").and_then(Value::as_str).map(str::to_owned);
    let mut found: Vec<_> =
        instances.iter().map(of_one).collect::<Option<_>>().context("an instance without an address")?;
    found.sort();
    Ok(found)
}

// === impl SidecarPeer ===

impl SidecarPeer {
    /// Of a sidecar that runs; it holds all services from then on.
    pub(crate) async fn new(sidecar: Sidecar, data: Data) -> anyhow::Result<Self> {
        sidecar.hold(data.services).await?;
        let path = |service| format!("/v1/services/{}", Data::service(service));
        let requests = requests(data, sidecar.at, path);
        Ok(Self { sidecar, requests })
    }
}

impl Peer for SidecarPeer {
    fn name(&self) -> &str {
        "sidecar"
    }

    fn class(&self) -> Class {
        Class::B
    }

    fn configuration(&self) -> Configuration {
        Configuration::Default
    }

    fn programs(&self) -> Vec<Program> {
        program("rollcall-sidecar", VERSION, self.sidecar.process.pid()).into_iter().collect()
    }

    fn pids(&self) -> Vec<u32> {
        vec![self.sidecar.process.pid()]
    }

    fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>> {
        Asker::connected(self.sidecar.at, self.requests.clone())
    }
}

impl NameServer for SidecarPeer {
    fn dns(&self) -> SocketAddr {
        self.sidecar.dns
    }

    fn hosts(&self, service: u32) -> String {
        format!("{}.{NAMESPACE}.rollcall", Data::service(service))
    }

    fn ports(&self, service: u32) -> String {
        format!("_http._tcp.{}", self.hosts(service))
    }
}

// === impl ControllerPeer ===

impl Peer for ControllerPeer {
    fn name(&self) -> &str {
        "controller's read API"
    }

    fn class(&self) -> Class {
        Class::C
    }

    fn configuration(&self) -> Configuration {
        Configuration::Default
    }

    fn programs(&self) -> Vec<Program> {
        program("rollcall-controller", VERSION, self.half.process.pid()).into_iter().collect()
    }

    fn pids(&self) -> Vec<u32> {
        vec![self.half.process.pid()]
    }

    fn client(&self) -> BoxFuture<'_, anyhow::Result<Box<dyn Client>>> {
        Asker::connected(self.at, self.requests.clone())
    }
}

// === impl Asker ===

impl Asker {
    /// A client who looks services up at this address.
    pub(super) fn connected(
        at: SocketAddr,
        requests: Requests,
    ) -> BoxFuture<'static, anyhow::Result<Box<dyn Client>>> {
        let connected = async move {
            let client: Box<dyn Client> = Box::new(Self { caller: Caller::connect(at).await?, requests });
            Ok(client)
        };
        connected.boxed()
    }

    async fn answer(&mut self, service: u32) -> anyhow::Result<&[u8]> {
        self.caller.answer(self.requests.get(service as usize).context("no such service")?).await
    }
}

impl Client for Asker {
    fn instances(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<Vec<String>>> {
        async move { addresses(self.answer(service).await?) }.boxed()
    }

    fn lookup(&mut self, service: u32) -> BoxFuture<'_, anyhow::Result<usize>> {
        async move { Ok(self.answer(service).await?.len()) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_sorted_and_an_answer_without_them_is_none() {
        let answer = |body: &str| addresses(format!("HTTP/1.1 200 OK\r\nage: 0\r\n\r\n{body}").as_bytes());
        let both = r#"{"instances":[{"address":"10.0.0.9"},{"address":"10.0.0.10"}]}"#;
        assert_eq!(answer(both).expect("read"), ["10.0.0.10", "10.0.0.9"]);
        for wrong in [r#"{"instances":[{"port":1}]}"#, "{}", ""] {
            assert!(answer(wrong).is_err(), "{wrong}");
        }
    }
}
