//! Why the instances of a service are in their states, as the controller tells it.

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;
use rollcall_catalogue::{Namespace, ServiceKey, Visibility};
use serde::Deserialize;

use super::{
    catalogue::{callers, shut_out, visibility},
    gather::of_namespace,
    registrations::{Mark, Registration, hiding},
};
use crate::{
    failure::Failure,
    options::Form,
    print,
    print::{Cell, Paint, Table, Tone, ago, first_of, plain},
    print_body,
    reach::{Seen, Source, body, decoded},
    verbs::{escaped, found},
};

const NAMED_MAX: usize = 3;

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

/// Holds what is asked of a service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) key: &'a ServiceKey,
    /// One instance of it.
    pub(super) id: Option<&'a str>,
    /// Who may or may not see it.
    pub(super) from: Option<&'a Namespace>,
}

/// Holds what is known of a service beside its instances.
#[derive(Debug, Default)]
struct Around {
    /// None where that was not told.
    visibility: Option<Visibility>,
    /// Who looks it up and may not see it, as `namespace/pod`.
    shut_out: Vec<String>,
    /// Those of its namespace.
    registrations: Vec<Registration>,
}

pub(super) async fn explain(source: &Source, asked: Asked<'_>, output: Option<Form>) -> Result<(), Failure> {
    let Asked { key, id, from } = asked;
    let id = id.map(|id| format!("/{}", escaped(id))).unwrap_or_default();
    let answer = match found(source, key, &format!("/v1/explain/{key}{id}")).await {
        Err(Failure::Nothing(says)) => return Err(Failure::Nothing(unknown(source, key, says).await)),
        other => other?,
    };
    let told: ExplainAnswer = decoded(&answer)?;
    let is_json = output == Some(Form::Json);
    if is_json {
        print_body(body(&answer)?)?;
    }
    if is_json && from.is_none() {
        return Ok(());
    }
    let around = around(source, key).await?;
    if !is_json {
        let paint = Paint::of_stdout();
        let text = text(key, &told, paint) + &remarks(key, &around, from, paint);
        print(text.as_bytes())?;
    }
    let is_hidden = |from: &Namespace| {
        around.visibility.as_ref().is_some_and(|visibility| !visibility.includes(&key.namespace, from))
    };
    match from.filter(|from| is_hidden(from)) {
        Some(from) if is_json => Err(Failure::Nothing(hidden(key, &around, from))),
        Some(_) => Err(Failure::Told),
        None => Ok(()),
    }
}

/// What is known of the service beside its instances; without a cluster there is nobody else to be asked.
async fn around(source: &Source, key: &ServiceKey) -> Result<Around, Failure> {
    let visibility = visibility(source, key.namespace.as_str(), key.service.as_str()).await;
    let replicas = source.replicas().await?;
    let callers = callers(source, &replicas, &key.to_string()).await;
    let shut_out = shut_out(visibility.as_ref(), key.namespace.as_str(), &callers);
    Ok(Around { visibility, shut_out, registrations: registrations(source, key).await })
}

/// The registrations of the service, or what may be seen of them.
async fn registrations(source: &Source, key: &ServiceKey) -> Vec<Registration> {
    let Some(reach) = source.cluster() else { return Vec::new() };
    let found = of_namespace(reach, &key.namespace, &Mark::default()).await.unwrap_or_default();
    found.into_iter().filter(|one| one.service == key.service.as_str()).collect()
}

/// What is said of a name that the catalogue does not have: what keeps it out, or what else is called so.
async fn unknown(source: &Source, key: &ServiceKey, says: String) -> String {
    let Some(reach) = source.cluster() else { return says };
    let refused: Vec<_> = registrations(source, key)
        .await
        .iter()
        .filter_map(|one| Some(format!("{} is refused: {}", one.name, one.refused.as_ref()?)))
        .collect();
    if !refused.is_empty() {
        let kubectl = format!("`kubectl -n {} describe sreg` says which field and what to do", key.namespace);
        return format!(
            "there is no service `{key}`: the registration {}; {kubectl}",
            first_of(&refused, NAMED_MAX)
        );
    }
    let (namespace, name) = (key.namespace.as_str(), key.service.as_str());
    let pods: Api<Pod> = Api::namespaced(reach.client.clone(), namespace);
    let services: Api<Service> = Api::namespaced(reach.client.clone(), namespace);
    let (pod, service) = tokio::join!(reach.seen(pods.get(name)), reach.seen(services.get(name)));
    if matches!(pod, Seen::Here(_)) {
        return format!("{says}; a pod is called so: `rollcall explain pod/{name} -n {namespace}`");
    }
    if matches!(service, Seen::Here(_)) {
        return format!(
            "{says}; a Service of Kubernetes is called so, and nobody has registered it (docs/resource.md, target.service)"
        );
    }
    says
}

/// That callers there may not see it, and by whose word.
fn hidden(key: &ServiceKey, around: &Around, from: &Namespace) -> String {
    let hiding = hiding(&around.registrations, key.service.as_str(), &key.namespace, from);
    let by = match hiding.as_slice() {
        [] => String::new(),
        hiding => format!(", by the registration {}", first_of(hiding, NAMED_MAX)),
    };
    format!(
        "pods of {from} may not see `{key}`{by}; add {from} to spec.visibility of each registration of it, and to rollcall.dev/visibility of its pods: the narrowest counts"
    )
}

/// What people should know of it: who may not see it, and which registrations come to nothing.
fn remarks(key: &ServiceKey, around: &Around, from: Option<&Namespace>, paint: Paint) -> String {
    let mut remarks: Vec<(Tone, String)> = Vec::new();
    let home = &key.namespace;
    match (&around.visibility, from) {
        (Some(visibility), Some(from)) if !visibility.includes(home, from) => {
            remarks.push((Tone::Bad, hidden(key, around, from)));
        }
        (Some(_), Some(from)) => remarks.push((Tone::Good, format!("pods of {from} may see it"))),
        (Some(Visibility::Namespaces(named)), None) => {
            let names: Vec<_> = std::iter::once(home).chain(named).map(Namespace::as_str).collect();
            let says = format!("seen by pods of {} alone", first_of(&names, NAMED_MAX));
            remarks.push((Tone::Quiet, says));
        }
        _ => {}
    }
    if !around.shut_out.is_empty() {
        let says =
            format!("looked up by pods that may not see it: {}", first_of(&around.shut_out, NAMED_MAX));
        remarks.push((Tone::Doubtful, says));
    }
    for one in &around.registrations {
        let said = match (&one.refused, &one.unresolved) {
            (Some(refused), _) => format!("is refused: {refused}"),
            (None, Some(unresolved)) => format!("means nobody: {unresolved}"),
            (None, None) => continue,
        };
        remarks.push((Tone::Doubtful, format!("registration {} {said}", one.name)));
    }
    remarks.into_iter().map(|(tone, says)| format!("{}\n", paint.on(tone, &plain(&says)))).collect()
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
    fn who_may_not_see_it_and_what_comes_to_nothing_is_told_below() {
        let registration = |name: &str, refused: Option<&str>, unresolved: Option<&str>| Registration {
            name: name.to_owned(),
            service: "orders".to_owned(),
            aim: crate::explain::registrations::Aim::Unclear,
            refused: refused.map(str::to_owned),
            unresolved: unresolved.map(str::to_owned),
            is_judged: true,
            visibility: Some(Visibility::own()),
        };
        let around = Around {
            visibility: Some(Visibility::own()),
            shut_out: vec!["bank/web-1".to_owned()],
            registrations: vec![
                registration("orders", None, None),
                registration("second", Some("PortConflict: http"), None),
                registration("third", None, Some("NoMatch: app=x")),
            ],
        };
        let key = "orders.shop".parse().unwrap();
        let told = |from: Option<&str>| {
            let from = from.map(|from| from.parse().unwrap());
            remarks(&key, &around, from.as_ref(), Paint::new(false))
        };
        assert_eq!(
            told(None),
            "seen by pods of shop alone\n\
             looked up by pods that may not see it: bank/web-1\n\
             registration second is refused: PortConflict: http\n\
             registration third means nobody: NoMatch: app=x\n"
        );
        let bank = told(Some("bank"));
        assert!(
            bank.starts_with(
                "pods of bank may not see `orders.shop`, by the registration orders, third; add bank"
            ),
            "{bank}"
        );
        assert!(told(Some("shop")).starts_with("pods of shop may see it\n"));
        assert_eq!(remarks(&key, &Around::default(), None, Paint::new(false)), "");
    }

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
