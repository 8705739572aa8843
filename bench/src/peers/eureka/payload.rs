//! What is said to Eureka of an instance, as Spring Cloud's client says it, and what it answers.

use anyhow::Context;
use serde_json::{Value, json};

use crate::peers::{PORT, Pace, spring::metadata};

/// Where an app's instances are.
pub(super) fn path_of(service: &str) -> String {
    format!("/eureka/apps/{}", service.to_ascii_uppercase())
}

/// Where one of them is. Its name is its address.
pub(super) fn instance_path(service: &str, instance: &str) -> String {
    format!("{}/{instance}", path_of(service))
}

/// Where a beat of one of them goes.
pub(super) fn beat_path(service: &str, instance: &str) -> String {
    format!("{}?status=UP", instance_path(service, instance))
}

/// What registers an instance, whose lease is counted in whole seconds.
pub(super) fn registration(service: &str, instance: &str, pace: Pace) -> String {
    let page = |path: &str| format!("http://{instance}:{PORT}{path}");
    json!({"instance": {
        "instanceId": instance, "hostName": instance, "ipAddr": instance, "app": service.to_ascii_uppercase(),
        "vipAddress": service, "secureVipAddress": service, "status": "UP", "overriddenstatus": "UNKNOWN",
        "port": {"$": PORT, "@enabled": "true"}, "securePort": {"$": 443, "@enabled": "false"}, "countryId": 1,
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "leaseInfo": {
            "renewalIntervalInSecs": (pace.beat_ms / 1_000).max(1),
            "durationInSecs": (pace.ttl_ms / 1_000).max(1),
        },
        "homePageUrl": page("/"), "statusPageUrl": page("/actuator/info"),
        "healthCheckUrl": page("/actuator/health"), "metadata": metadata(),
    }})
    .to_string()
}

/// The addresses of those who are up, sorted as text, in an app's instances.
pub(super) fn addresses(answer: &[u8]) -> anyhow::Result<Vec<String>> {
    let read: Value = serde_json::from_slice(answer)?;
    let instances = read.pointer("/application/instance").context("no instances in the answer")?;
    // Of one instance, older servers make no list.
    let instances = instances.as_array().map_or(std::slice::from_ref(instances), Vec::as_slice);
    let is_up = |one: &&Value| one.get("status").and_then(Value::as_str) == Some("UP");
    let address = |one: &Value| -> anyhow::Result<String> {
        Ok(one.get("ipAddr").and_then(Value::as_str).context("an instance without an address")?.to_owned())
    };
    let mut all = instances.iter().filter(is_up).map(address).collect::<anyhow::Result<Vec<_>>>()?;
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::{TAG, VERSION};

    const PACE: Pace = Pace { ttl_ms: 3_000, beat_ms: 500 };

    #[test]
    fn a_registration_says_who_it_is_and_how_long_it_is_believed() {
        let said: Value = serde_json::from_str(&registration("orders-1", "10.0.0.1", PACE)).unwrap();
        for (place, expected) in [
            ("/instance/app", json!("ORDERS-1")),
            ("/instance/vipAddress", json!("orders-1")),
            ("/instance/ipAddr", json!("10.0.0.1")),
            ("/instance/leaseInfo/durationInSecs", json!(3)),
            ("/instance/leaseInfo/renewalIntervalInSecs", json!(1)),
            ("/instance/metadata/version", json!(VERSION)),
            ("/instance/metadata/tags", json!(TAG)),
            ("/instance/metadata/team", json!("payments")),
        ] {
            assert_eq!(said.pointer(place), Some(&expected), "{place}");
        }
        assert_eq!(beat_path("orders-1", "10.0.0.1"), "/eureka/apps/ORDERS-1/10.0.0.1?status=UP");
    }

    #[test]
    fn who_is_up_is_found() {
        let one = |address: &str, status: &str| json!({"ipAddr": address, "status": status});
        let answer =
            |instances: Value| json!({"application": {"name": "A", "instance": instances}}).to_string();
        let found = |instances| addresses(answer(instances).as_bytes()).unwrap();
        let all = json!([one("10.0.0.2", "UP"), one("10.0.0.3", "DOWN"), one("10.0.0.1", "UP")]);
        assert_eq!(found(all), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(found(one("10.0.0.1", "UP")), ["10.0.0.1"]);
        assert_eq!(found(json!([])), [""; 0]);
        for bad in ["{}", "", r#"{"application":{"instance":[{"status":"UP"}]}}"#] {
            assert!(addresses(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
