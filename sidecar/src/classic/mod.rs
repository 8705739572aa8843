//! The classic API: the calls of the registry that we take the place of, word for word. Its apps work as they are.
//!
//! ```text
//!  POST /{name}/{version}/register      ─► Own: a registration beside others, which beats
//!  GET  /{name}/{version}/heartbeat     ─► Own: a beat
//!  POST /{name}/{version}/deregister    ─► Own
//!  GET  /{name}/{version}/getaddresses  ─► a lookup, as any other
//! ```

mod addresses;
mod refusal;

use std::net::IpAddr;

use http::{HeaderValue, Method, Request, StatusCode, header::ALLOW, request::Parts};
use hyper::body::Incoming;
use rollcall_catalogue::ServiceName;
use rollcall_net::{Forbidden, check_local};
use rollcall_wire::{
    Problem,
    query::{address, number, only, parameters, segment},
};

use self::refusal::Refusal;
use crate::{
    api::{
        Api,
        answer::{Answer, json},
        body,
    },
    own::{self, ClassicBody, Settled, Value},
};

const SUCCESS: &str = r#"{"success":true}"#;

/// Holds what a path of the classic API means; names are as the caller means them, their escapes read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    name: String,
    version: String,
    what: What,
    /// The method is one of those that are allowed here.
    allowed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Register,
    GetAddresses,
    Heartbeat,
    Deregister,
}

/// What this path means, where it is one of the classic API.
pub(crate) fn call(method: &Method, path: &str) -> Option<Call> {
    let mut segments = path.strip_prefix('/')?.split('/');
    let (name, version, what) = (segments.next()?, segments.next()?, segments.next()?);
    let what = What::of(what)?;
    if segments.next().is_some() || name.is_empty() || version.is_empty() {
        return None;
    }
    let allowed = what.methods().split(", ").any(|allowed| allowed == method.as_str());
    Some(Call { name: segment(name).ok()?, version: segment(version).ok()?, what, allowed })
}

/// The answer to it, in the shape that its callers know.
pub(crate) async fn answer(api: &Api, call: Call, request: Request<Incoming>) -> Answer {
    if let Err(forbidden) = check_local(request.uri(), request.headers()) {
        return Refusal::from(match forbidden {
            Forbidden::Host => Problem::forbidden_host(),
            Forbidden::Origin => Problem::forbidden_origin(),
        })
        .answer();
    }
    if !call.allowed {
        let allow = call.what.methods();
        let mut answer = Refusal::from(Problem::method_not_allowed(allow)).answer();
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        return answer;
    }
    let (head, body) = request.into_parts();
    let answered = match call.what {
        What::Register => register(api, call, &head, body).await,
        What::GetAddresses => addresses::answer(api, &call.name, &call.version).await,
        What::Heartbeat => heartbeat(api, &call, &head),
        What::Deregister => deregister(api, &call, &head, body).await,
    };
    answered.unwrap_or_else(|refusal| refusal.answer())
}

async fn register(api: &Api, call: Call, head: &Parts, body: Incoming) -> Result<Answer, Refusal> {
    let body = read(head, body).await?;
    let service: ServiceName = call
        .name
        .parse()
        .map_err(|error: rollcall_catalogue::NameError| Refusal::bad_value(error.to_string()))?;
    let address = named(body.address.as_deref());
    let said = body.registration(service, call.version)?;
    let owner = api.owners.to_register(address?).await?;
    let ticket = owner.own.put_classic(said)?;
    owner.own.kept().await;
    match owner.own.word(&ticket).await {
        Settled::Rejected(refusal) => Err(Refusal::bad_value(refusal.reason)),
        // Without a controller it counts from when one is there; nobody else is told of it before.
        Settled::Registered | Settled::Open | Settled::Overtaken => Ok(success()),
    }
}

async fn deregister(api: &Api, call: &Call, head: &Parts, body: Incoming) -> Result<Answer, Refusal> {
    let body = read(head, body).await?;
    let owner = api.owners.registered(named(body.address.as_deref())?)?;
    let service = call.name.parse().map_err(|_| Refusal::unknown())?;
    let owner = owner.ok_or_else(Refusal::unknown)?;
    let removed = owner.own.remove_classic(&service, &call.version, body.port);
    owner.own.kept().await;
    match removed {
        0 => Err(Refusal::unknown()),
        _ => Ok(success()),
    }
}

fn heartbeat(api: &Api, call: &Call, head: &Parts) -> Result<Answer, Refusal> {
    let parameters = parameters(head.uri.query())?;
    only(&parameters, &["address", "port"])?;
    let port = number(&parameters, "port")?.map(u16::try_from).transpose().map_err(|_| Refusal::unknown())?;
    let owners = api.owners.to_beat(address(&parameters, "address")?);
    let service: ServiceName = call.name.parse().map_err(|_| Refusal::unknown())?;
    // Each of them beats, also behind one that did.
    match owners.iter().filter(|owner| owner.own.beat(&service, &call.version, port)).count() {
        0 => Err(Refusal::unknown()),
        _ => Ok(success()),
    }
}

async fn read(head: &Parts, body: Incoming) -> Result<ClassicBody, Refusal> {
    let body: Value = body::read(&head.headers, body).await?;
    Ok(own::classic(body)?)
}

/// The address that a caller names, if any.
fn named(said: Option<&str>) -> Result<Option<IpAddr>, Refusal> {
    let address = said.map(str::parse).transpose();
    address.map_err(|_| Refusal::bad_value("address: no IP address; leave it out"))
}

fn success() -> Answer {
    json(StatusCode::OK, SUCCESS)
}

// === impl What ===

impl What {
    fn of(segment: &str) -> Option<Self> {
        Some(match segment {
            "register" => Self::Register,
            "getaddresses" => Self::GetAddresses,
            "heartbeat" => Self::Heartbeat,
            "deregister" => Self::Deregister,
            _ => return None,
        })
    }

    const fn methods(self) -> &'static str {
        match self {
            Self::Register | Self::Deregister => "POST",
            Self::GetAddresses => "GET, HEAD",
            // It changes something: whoever only looks does not beat.
            Self::Heartbeat => "GET",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_three_parts_that_end_in_a_call_are_the_classic_ones() {
        let call = |name: &str, version: &str, what, allowed| {
            Some(Call { name: name.to_owned(), version: version.to_owned(), what, allowed })
        };
        let table = [
            ("POST", "/orders/1.4.2/register", call("orders", "1.4.2", What::Register, true)),
            ("GET", "/orders/1.4.2/getaddresses", call("orders", "1.4.2", What::GetAddresses, true)),
            ("HEAD", "/orders/1.4.2/getaddresses", call("orders", "1.4.2", What::GetAddresses, true)),
            ("GET", "/orders.shop/1/heartbeat", call("orders.shop", "1", What::Heartbeat, true)),
            ("HEAD", "/orders/1.4.2/heartbeat", call("orders", "1.4.2", What::Heartbeat, false)),
            ("DELETE", "/a/b/deregister", call("a", "b", What::Deregister, false)),
            ("POST", "/a/1.0.0%2Bb/deregister", call("a", "1.0.0+b", What::Deregister, true)),
            ("GET", "/orders/1.4.2", None),
            ("GET", "/orders/1.4.2/getaddresses/", None),
            ("GET", "/orders/1.4.2/GetAddresses", None),
            ("GET", "//1.4.2/getaddresses", None),
            ("GET", "/orders//getaddresses", None),
            ("GET", "/a/%zz/getaddresses", None),
            ("GET", "/", None),
        ];
        for (method, path, expected) in table {
            assert_eq!(super::call(&method.parse().unwrap(), path), expected, "{method} {path}");
        }
    }

    #[test]
    fn an_address_is_one_or_left_out() {
        assert_eq!(named(None).unwrap(), None);
        for good in ["127.0.0.1", "::1", "10.0.0.1"] {
            assert_eq!(named(Some(good)).unwrap(), Some(good.parse().unwrap()));
        }
        for bad in ["localhost", "10.0.0.1:80", ""] {
            let status = named(Some(bad)).unwrap_err().status;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
        }
    }
}
