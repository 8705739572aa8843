//! `rollcall resolve`: who serves it, for scripts.

use clap::Args;

use super::{
    ServiceAnswer,
    catalogue::{escaped, found},
};
use crate::{
    failure::Failure,
    names::Named,
    options::{Form, Where},
    print, print_body,
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
            let version = self.named.version.map(|version| format!("@{version}")).unwrap_or_default();
            return Err(Failure::Nothing(format!(
                "nobody serves `{key}{version}`; `rollcall explain {key}` says why"
            )));
        }
        Ok(())
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
    fn addresses_are_sorted_lines() {
        let instance = |address: &str| json!({"id": address, "address": address, "port": 8080, "state": "Serving", "reason": "Ready"});
        let body = json!({"instances": [instance("10.0.0.9"), instance("fd00::1"), instance("10.0.0.10")]});
        let service: ServiceAnswer = serde_json::from_value(body).unwrap();
        assert_eq!(lines(&service), "10.0.0.10:8080\n10.0.0.9:8080\n[fd00::1]:8080\n");
        assert_eq!(lines(&ServiceAnswer { instances: Vec::new() }), "");
    }
}
