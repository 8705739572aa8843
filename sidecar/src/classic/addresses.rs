//! `getaddresses`: where the healthy instances of one version are.

use std::net::SocketAddr;

use http::StatusCode;
use rollcall_catalogue::{Query, Service, States, Version, VersionFilter};
use rollcall_wire::Slug;
use serde::Serialize;

use super::refusal::Refusal;
use crate::{
    api::{
        Api,
        answer::{Answer, about, dated, json, of},
    },
    store::Dialect,
};

#[derive(Debug, Serialize)]
struct Body {
    addresses: Vec<String>,
}

pub(super) async fn answer(api: &Api, name: &str, version: &str) -> Result<Answer, Refusal> {
    // What is no version has no instance.
    let version: Version = version.parse().map_err(|_| Refusal::unknown())?;
    let held = match api.known_service(name, Dialect::Classic).await {
        Ok(held) => held,
        Err(refusal) if refusal.slug == Slug::UnknownService => {
            return Ok(dated(Refusal::unknown().answer(), api.standing(None)));
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let standing = api.standing(Some(&held));
    let Some(addresses) = addresses(&held.service, version) else {
        return Ok(of(&held, Refusal::unknown().answer(), standing));
    };
    // Text, which serde_json cannot fail to write.
    let answer = json(StatusCode::OK, serde_json::to_vec(&Body { addresses }).unwrap_or_default());
    Ok(about(&held, answer, "addresses", standing))
}

/// The healthy ones in the order of their texts; none where there is no instance of that version at all.
fn addresses(service: &Service, version: Version) -> Option<Vec<String>> {
    let mut query =
        Query { version: Some(VersionFilter::Exact(version)), states: States::All, ..Query::default() };
    if query.select(service).is_empty() {
        return None;
    }
    query.states = States::Served;
    let found = query.select(service);
    let addresses = found.iter().map(|one| SocketAddr::new(one.instance.address(), one.port).to_string());
    let mut addresses: Vec<_> = addresses.collect();
    addresses.sort_unstable();
    Some(addresses)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rollcall_catalogue::{
        Addresses, ContentHash, Instance, Policy, Port, Profile, Reason, State, changes::Head,
    };

    use super::*;

    fn instance(address: &str, version: &str, state: State) -> Arc<Instance> {
        let profile = Profile {
            port: 8080,
            ports: [Port::tcp(Some("http"), 8080)].into(),
            version: version.parse().ok(),
            weight: 100,
            tags: Default::default(),
            metadata: Default::default(),
        };
        Arc::new(Instance {
            id: format!("{address}-8080").as_str().into(),
            addresses: Addresses::new(&[address.parse().unwrap()]).unwrap(),
            zone: None,
            node: None,
            pod: None,
            profile: Arc::new(profile),
            state,
            reason: Reason::Ready,
            revision: 7,
        })
    }

    #[test]
    fn healthy_ones_of_exactly_that_version_are_listed() {
        let head = Head { revision: 7, hash: ContentHash(1), policy: Policy::default(), truncated: false };
        let service = Service::of(
            head,
            vec![
                instance("10.0.0.10", "1.4.2", State::Serving),
                instance("10.0.0.2", "1.4.2", State::Serving),
                instance("fd00::2", "1.4.2", State::Serving),
                instance("10.0.0.3", "1.4.2", State::Failing),
                instance("10.0.0.4", "1.5.0", State::Failing),
            ],
        );
        let of = |version: &str| addresses(&service, version.parse().unwrap());
        let found = ["10.0.0.10:8080", "10.0.0.2:8080", "[fd00::2]:8080"].map(str::to_owned);
        assert_eq!(of("1.4.2"), Some(found.to_vec()));
        assert_eq!(of("1.5.0"), Some(vec![]), "known, and none is healthy");
        assert_eq!(of("1.4.3"), None);
    }
}
