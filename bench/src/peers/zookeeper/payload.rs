//! What a node of an instance holds: what Curator writes there, and Spring Cloud's part in it.

use std::net::Ipv4Addr;

use anyhow::Context;
use serde_json::{Value, json};

use crate::peers::{PORT, spring::metadata};

/// Some moment, of the same length as any other.
const REGISTERED_MS: u64 = 1_795_300_000_000;

/// What an instance's node holds.
pub(super) fn payload(service: &str, instance: &str) -> String {
    let of_the_app = json!({
        "@class": "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance",
        "id": service, "name": service, "metadata": metadata(),
    });
    json!({
        "name": service, "id": instance, "address": instance, "port": PORT, "sslPort": null, "payload": of_the_app,
        "registrationTimeUTC": REGISTERED_MS, "serviceType": "DYNAMIC", "uriSpec": null, "enabled": true,
    })
    .to_string()
}

/// The address in it; none of one that is not enabled.
pub(super) fn address(payload: &[u8]) -> anyhow::Result<Option<String>> {
    let read: Value = serde_json::from_slice(payload)?;
    let address = read.get("address").and_then(Value::as_str).context("an instance without an address")?;
    address.parse::<Ipv4Addr>().context("an address that is none")?;
    let is_enabled = read.get("enabled").and_then(Value::as_bool).unwrap_or(true);
    Ok(is_enabled.then(|| address.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::{TAG, VERSION};

    #[test]
    fn what_is_written_is_read() {
        let written = payload("orders", "10.0.0.1");
        assert_eq!(address(written.as_bytes()).unwrap().as_deref(), Some("10.0.0.1"));
        for part in [VERSION, TAG, "\"enabled\":true", "00000001", "payments"] {
            assert!(written.contains(part), "{part} in {written}");
        }
    }

    #[test]
    fn who_is_not_enabled_is_not_there_and_who_has_no_address_is_wrong() {
        assert_eq!(address(br#"{"address":"10.0.0.1","enabled":false}"#).unwrap(), None);
        assert_eq!(address(br#"{"address":"10.0.0.1"}"#).unwrap().as_deref(), Some("10.0.0.1"));
        for bad in [&br#"{"enabled":true}"#[..], br#"{"address":7}"#, br#"{"address":"here"}"#, b"{", b""] {
            assert!(address(bad).is_err(), "{bad:?}");
        }
    }
}
