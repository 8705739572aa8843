//! Why the instances of a service are in their states, as the controller tells it.

use rollcall_catalogue::ServiceKey;
use serde::Deserialize;

use crate::{
    failure::Failure,
    options::Form,
    print,
    print::{Cell, Paint, Table, Tone, ago, plain},
    print_body,
    reach::{Reach, body, decoded},
    verbs::{escaped, found},
};

/// Holds the answer of `GET /v1/explain/{name}`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ExplainAnswer {
    pub(super) instances: Vec<Explained>,
}

/// Holds an instance of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explained {
    pub(super) id: String,
    pub(super) address: std::net::IpAddr,
    pub(super) port: u16,
    #[serde(default)]
    pub(super) pod: Option<String>,
    pub(super) served: bool,
    pub(super) state: String,
    pub(super) reason: String,
    #[serde(default)]
    pub(super) since_seconds: Option<u64>,
    pub(super) witnesses: Witnesses,
    #[serde(default)]
    pub(super) problems: Vec<String>,
}

/// Holds the words of docs/liveness.md.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Witnesses {
    pub(super) pod: String,
    pub(super) endpoint: String,
    pub(super) session: String,
    pub(super) probe: String,
    pub(super) intent: String,
}

pub(super) async fn explain(
    reach: &Reach,
    key: &ServiceKey,
    id: Option<&str>,
    output: Option<Form>,
) -> Result<(), Failure> {
    let id = id.map(|id| format!("/{}", escaped(id))).unwrap_or_default();
    let answer = found(reach, key, &format!("/v1/explain/{key}{id}")).await?;
    let told: ExplainAnswer = decoded(&answer)?;
    if output == Some(Form::Json) {
        return print_body(body(&answer)?);
    }
    print(text(key, &told, Paint::of_stdout()).as_bytes())
}

fn text(key: &ServiceKey, told: &ExplainAnswer, paint: Paint) -> String {
    let served = told.instances.iter().filter(|one| one.served).count();
    let mut text = format!("{key}: {served} of {} served\n", told.instances.len());
    if told.instances.is_empty() {
        return text;
    }
    let heads =
        ["ID", "ADDRESS", "STATE", "REASON", "SINCE", "POD", "ENDPOINT", "SESSION", "PROBE", "INTENT"];
    let mut table = Table::new(heads);
    for one in &told.instances {
        let tone = match one.state.as_str() {
            "Serving" => Tone::Good,
            "Failing" => Tone::Bad,
            _ => Tone::Doubtful,
        };
        let Witnesses { pod, endpoint, session, probe, intent } = &one.witnesses;
        let address = std::net::SocketAddr::new(one.address, one.port).to_string();
        let first: [Cell; 5] = [
            one.id.as_str().into(),
            address.into(),
            Cell::toned(tone, one.state.as_str()),
            one.reason.as_str().into(),
            one.since_seconds.map(ago).unwrap_or_default().into(),
        ];
        table.row(
            first.into_iter().chain([pod, endpoint, session, probe, intent].map(|word| word.as_str().into())),
        );
    }
    text.push_str(&table.text(paint));
    for one in &told.instances {
        for problem in &one.problems {
            text.push_str(
                &paint.on(
                    Tone::Doubtful,
                    &plain(&format!("{}: {problem}", one.pod.as_ref().unwrap_or(&one.id))),
                ),
            );
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_is_told_with_its_witnesses() {
        let told: ExplainAnswer = serde_json::from_str(
            r#"{"service":"orders","namespace":"shop","instances":[{"id":"u1-8080","address":"10.0.0.1","port":8080,"pod":"orders-1","served":true,
            "state":"Serving","reason":"Ready","sinceSeconds":3,"witnesses":{"pod":"ready","endpoint":"none","session":"live","probe":"passing","intent":"stay","registry":"well"},
            "problems":["rollcall.dev/weight: `x` is no number"]}],"partial":false}"#,
        )
        .unwrap();
        let key = "orders.shop".parse().unwrap();
        assert_eq!(
            text(&key, &told, Paint::new(false)),
            "orders.shop: 1 of 1 served\n\
             ID        ADDRESS         STATE     REASON   SINCE   POD     ENDPOINT   SESSION   PROBE     INTENT\n\
             u1-8080   10.0.0.1:8080   Serving   Ready    3s      ready   none       live      passing   stay\n\
             orders-1: rollcall.dev/weight: `x` is no number\n"
        );
        assert_eq!(text(&key, &ExplainAnswer::default(), Paint::new(false)), "orders.shop: 0 of 0 served\n");
    }
}
