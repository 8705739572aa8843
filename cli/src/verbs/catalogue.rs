//! The catalogue as the controller's read API tells it, as far as a person is shown it.

use std::net::{IpAddr, SocketAddr};

use http::Method;
use rollcall_catalogue::{ServiceKey, ServiceName};
use serde::Deserialize;

use crate::{
    failure::Failure,
    names::likely,
    reach::{Answer, Source, decoded},
};

/// Holds the answer of `GET /v1/services/{name}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct ServiceAnswer {
    /// Of all its instances, whatever was asked for.
    #[serde(default)]
    pub(crate) versions: Vec<String>,
    pub(crate) instances: Vec<Instance>,
}

/// Holds an instance of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    #[serde(default)]
    pub(crate) version: Option<String>,
    #[serde(default)]
    pub(crate) pod: Option<String>,
    pub(crate) state: String,
    pub(crate) reason: String,
}

/// Holds the answer of `GET /v1/services`, as far as it names them.
#[derive(Debug, Deserialize)]
struct Names {
    services: Vec<Name>,
}

#[derive(Debug, Deserialize)]
struct Name {
    service: String,
    namespace: String,
}

// === impl Instance ===

impl Instance {
    pub(crate) fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

/// What the controller says of this service; an unknown one ends the command with what may have been meant.
pub(crate) async fn found(source: &Source, key: &ServiceKey, path: &str) -> Result<Answer, Failure> {
    let answer = source.read(path).await?;
    if answer.status != 404 {
        return Ok(answer);
    }
    let names: Names = decoded(&source.read("/v1/services").await?)?;
    let known: Vec<ServiceKey> = names
        .services
        .iter()
        .filter_map(|one| {
            let service: ServiceName = one.service.parse().ok()?;
            Some(ServiceKey { namespace: one.namespace.parse().ok()?, service })
        })
        .collect();
    if known.contains(key) {
        // It is there: what is missing is an instance of it.
        return Ok(answer);
    }
    Err(Failure::Nothing(unknown(key, &known, &source.flags())))
}

/// What is said of a service that nobody knows.
fn unknown(key: &ServiceKey, known: &[ServiceKey], flags: &str) -> String {
    let likely: Vec<_> = likely(key, known).into_iter().map(|key| format!("`{key}`")).collect();
    match likely.as_slice() {
        [] => format!("there is no service `{key}`; `rollcall services -A{flags}` lists what there is"),
        likely => format!("there is no service `{key}`; did you mean {}?", likely.join(" or ")),
    }
}

/// What may be said of a name in a path or a query.
pub(crate) fn escaped(text: &str) -> String {
    let mut told = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                told.push(char::from(byte));
            }
            other => told.push_str(&format!("%{other:02X}")),
        }
    }
    told
}

/// Every question here only reads.
pub(crate) const GET: Method = Method::GET;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_service_is_told_with_what_may_have_been_meant() {
        let known: Vec<ServiceKey> = ["orders.shop", "orders.bank"].map(|name| name.parse().unwrap()).into();
        assert_eq!(
            unknown(&"ordres.shop".parse().unwrap(), &known, ""),
            "there is no service `ordres.shop`; did you mean `orders.shop` or `orders.bank`?"
        );
        assert!(
            unknown(&"x.shop".parse().unwrap(), &known, " --local")
                .contains("`rollcall services -A --local`")
        );
    }

    #[test]
    fn what_stands_in_a_query_is_escaped() {
        assert_eq!(escaped(">=1, <2"), "%3E%3D1%2C%20%3C2");
        assert_eq!(escaped("1.4.2-rc.1+build"), "1.4.2-rc.1%2Bbuild");
    }
}
