//! `rollcall resolve`: who serves it, for scripts.

use clap::Args;
use rollcall_catalogue::ServiceKey;

use super::{
    ServiceAnswer,
    catalogue::{escaped, found},
};
use crate::{
    failure::Failure,
    names::Named,
    options::{Form, Where},
    print,
    print::plain,
    print_body,
    reach::{Source, body, decoded},
};

/// Holds what `rollcall resolve` is told.
#[derive(Debug, Args)]
pub(crate) struct Resolve {
    /// A service, as orders or orders.shop, and which versions of it: orders@1.4.2, orders@^1.4
    #[arg(value_name = "NAME[@VERSION]")]
    named: Named,

    #[arg(long, short, value_name = "FORM")]
    output: Option<Form>,

    #[command(flatten)]
    place: Where,
}

// === impl Resolve ===

impl Resolve {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let source = Source::new(&self.place).await?;
        let key = self.named.key(source.namespace());
        let mut path = format!("/v1/services/{key}");
        if let Some(version) = &self.named.version {
            path.push_str(&format!("?version={}", escaped(version)));
        }
        let answer = found(&source, &key, &path).await?;
        let service: ServiceAnswer = decoded(&answer)?;
        if self.output == Some(Form::Json) {
            print_body(body(&answer)?)?;
        } else {
            print(lines(&service).as_bytes())?;
        }
        if service.instances.is_empty() {
            let (version, flags) = (self.named.version.as_deref(), source.flags());
            return Err(Failure::Nothing(nobody(&key, version, &service.versions, &flags)));
        }
        Ok(())
    }
}

/// What is said of a service that nobody serves, or not in this version.
fn nobody(key: &ServiceKey, version: Option<&str>, versions: &[String], flags: &str) -> String {
    let asked = version.map(|version| format!("@{}", plain(version))).unwrap_or_default();
    let known: Vec<_> = versions.iter().map(|version| plain(version)).collect();
    let explain = format!("`rollcall explain {key}{flags}` says why");
    match (version, known.is_empty()) {
        (Some(_), false) => {
            format!(
                "nobody serves `{key}{asked}`; it is there as {}; of those that are not served {explain}",
                known.join(", ")
            )
        }
        _ => format!("nobody serves `{key}{asked}`; {explain}"),
    }
}

/// In the order of their texts, as the classic API has them.
fn lines(service: &ServiceAnswer) -> String {
    let mut lines: Vec<_> =
        service.instances.iter().map(|instance| format!("{}\n", instance.socket())).collect();
    lines.sort();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_asks_for_a_version_that_is_not_there_hears_which_are() {
        let key = "orders.shop".parse().unwrap();
        let versions = ["1.4.2".to_owned()];
        let says = nobody(&key, Some("^2"), &versions, " --local");
        assert!(says.contains("`orders.shop@^2`; it is there as 1.4.2;"), "{says}");
        assert!(says.contains("`rollcall explain orders.shop --local` says why"), "{says}");
        assert!(
            nobody(&key, None, &versions, "").starts_with("nobody serves `orders.shop`; `rollcall explain")
        );
    }

    #[test]
    fn addresses_are_sorted_lines() {
        let instance = |address: &str| json!({"id": address, "address": address, "port": 8080, "state": "Serving", "reason": "Ready"});
        let body = json!({"instances": [instance("10.0.0.9"), instance("fd00::1"), instance("10.0.0.10")]});
        let service: ServiceAnswer = serde_json::from_value(body).unwrap();
        assert_eq!(lines(&service), "10.0.0.10:8080\n10.0.0.9:8080\n[fd00::1]:8080\n");
        assert_eq!(lines(&ServiceAnswer::default()), "");
    }
}
