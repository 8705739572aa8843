//! What a container asks for and may take, as the settings have it. What no pod could be made with is refused where it is
//! read: a webhook that fails lets all pods go without a sidecar, but one that breaks them does not.

use rollcall_catalogue::limits::SIDECAR_MEMORY_MIB;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use crate::quantity::Quantity;

/// Holds what the sidecar asks for and may take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    pub requests: Amounts,
    pub limits: Amounts,
}

/// Holds amounts as Kubernetes writes them; empty: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Amounts {
    #[serde(deserialize_with = "amount")]
    pub cpu: String,
    #[serde(deserialize_with = "amount")]
    pub memory: String,
}

/// A field of [`Resources`], for `deserialize_with`.
pub(crate) fn resources<'de, D: Deserializer<'de>>(from: D) -> Result<Resources, D::Error> {
    let resources = Resources::deserialize(from)?;
    let Resources { requests, limits } = &resources;
    for (name, asked, limit) in
        [("cpu", &requests.cpu, &limits.cpu), ("memory", &requests.memory, &limits.memory)]
    {
        if !limit.is_empty() && Quantity::parse(asked) > Quantity::parse(limit) {
            return Err(D::Error::custom(format!(
                "requests.{name}: {asked} is more than the limit of {limit}"
            )));
        }
    }
    check_memory(&limits.memory).map_err(D::Error::custom)?;
    Ok(resources)
}

/// A field of [`Amounts`] that holds both, for `deserialize_with`.
pub(crate) fn both<'de, D: Deserializer<'de>>(from: D) -> Result<Amounts, D::Error> {
    let amounts = Amounts::deserialize(from)?;
    for (name, amount) in [("cpu", &amounts.cpu), ("memory", &amounts.memory)] {
        if !Quantity::parse(amount).is_some_and(Quantity::is_positive) {
            return Err(D::Error::custom(format!(
                "{name}: needs an amount, since a Guaranteed pod has both"
            )));
        }
    }
    check_memory(&amounts.memory).map_err(D::Error::custom)?;
    Ok(amounts)
}

fn check_memory(limit: &str) -> Result<(), String> {
    let mib = |mib: &u32| Quantity::of(i64::from(*mib) * 1024 * 1024);
    let (least, most) = (SIDECAR_MEMORY_MIB.start(), SIDECAR_MEMORY_MIB.end());
    let takes = |limit| (mib(least)..=mib(most)).contains(&limit);
    match Quantity::parse(limit).is_none_or(takes) {
        true => Ok(()),
        false => Err(format!("memory: a limit of {limit}; use {least}Mi to {most}Mi")),
    }
}

/// Of people, `1` is a number too.
fn amount<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = match Value::deserialize(from)? {
        Value::Null => return Ok(String::new()),
        Value::String(text) => text,
        other => other.to_string(),
    };
    match text.is_empty() || Quantity::parse(&text).is_some_and(|amount| amount >= Quantity::of(0)) {
        true => Ok(text),
        false => Err(D::Error::custom(format!("`{text}` is no amount; use one as 50m or 48Mi"))),
    }
}

// === impl Resources ===

impl Default for Resources {
    fn default() -> Self {
        Self {
            requests: Amounts { cpu: "5m".to_owned(), memory: "16Mi".to_owned() },
            limits: Amounts { cpu: String::new(), memory: "48Mi".to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Settings;

    fn read(settings: serde_json::Value) -> Result<Settings, String> {
        serde_json::from_value(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_is_as_it_always_is() {
        assert_eq!(read(json!({})).unwrap(), Settings::default());
        let one = read(json!({"resources": {"requests": {"cpu": 1, "memory": null}}})).unwrap();
        assert_eq!((one.resources.requests.cpu.as_str(), one.resources.requests.memory.as_str()), ("1", ""));
        assert_eq!(one.resources.limits, Settings::default().resources.limits);
    }

    #[test]
    fn what_no_pod_could_be_made_with_is_refused() {
        for (settings, told) in [
            (json!({"image": ""}), "image"),
            (json!({"image": " \t"}), "image"),
            (json!({"image": "registry.example/a b"}), "`registry.example/a b`"),
            (json!({"images": "x"}), "images"),
            (json!({"imagePullPolicy": "Sometimes"}), "Sometimes"),
            (json!({"resources": {"requests": {"cpu": "much"}}}), "`much`"),
            (json!({"resources": {"requests": {"cpu": "-1"}}}), "`-1`"),
            (json!({"resources": {"requests": {"memory": "64Mi"}}}), "more than the limit"),
            (json!({"resources": {"limits": {"memory": "16Mi"}}}), "24Mi"),
            (json!({"resources": {"limits": {"memory": "5Gi"}}}), "24Mi"),
            (json!({"guaranteed": {"cpu": "50m"}}), "memory: needs"),
            (json!({"guaranteed": {"cpu": "0", "memory": "48Mi"}}), "cpu: needs"),
        ] {
            let error = read(settings.clone()).unwrap_err();
            assert!(error.contains(told), "{settings}: {error}");
        }
    }
}
