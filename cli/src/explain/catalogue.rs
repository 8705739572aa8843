//! What controllers say of a pod, and its sidecar's log.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};
use rollcall_catalogue::{Namespace, Visibility};
use rollcall_injection::SIDECAR;
use serde::Deserialize;
use serde_json::Value;

use super::{
    facts::{LastWord, Member},
    gather::seen_by,
    service::ExplainAnswer,
};
use crate::{
    check::{
        ask::first,
        facts::{Asked, Many},
    },
    reach::{Reach, Replica, Seen, Source, body, decoded},
    verbs::Heard,
};

/// A sidecar without a session says why every 30 s at the latest.
const LOG_LINES: i64 = 200;
/// Services that one pod is asked for; a sidecar holds 16 registrations.
const SERVICES_MAX: usize = 16;

/// Holds the answer of `GET /v1/instances?address=`.
#[derive(Debug, Deserialize)]
struct Found {
    instances: Vec<FoundMember>,
}

#[derive(Debug, Deserialize)]
struct FoundMember {
    service: String,
    namespace: String,
}

/// Holds the answer of `GET /v1/services/{name}/consumers`, as far as it names them.
#[derive(Debug, Deserialize)]
struct Callers {
    consumers: Vec<Caller>,
}

#[derive(Debug, Deserialize)]
struct Caller {
    namespace: String,
    pod: String,
}

/// What the pod is in the catalogue; none where nobody could be asked.
pub(super) async fn members(
    source: &Source,
    reach: &Reach,
    replicas: &[Replica],
    pod: &Pod,
) -> Option<Vec<Member>> {
    let Some(address) = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()) else {
        return Some(Vec::new());
    };
    let path = format!("/v1/instances?address={address}");
    let Asked::Told(found) = first::<Found>(reach, replicas, &path).await else { return None };
    let name = pod.metadata.name.as_deref();
    let services: BTreeSet<_> = found.instances.into_iter().map(|one| (one.namespace, one.service)).collect();
    let mut members = Vec::new();
    for (namespace, service) in services.into_iter().take(SERVICES_MAX) {
        let key = format!("{service}.{namespace}");
        let path = format!("/v1/explain/{key}");
        let Asked::Told(explained) = first::<ExplainAnswer>(reach, replicas, &path).await else { continue };
        let (visibility, callers) =
            tokio::join!(visibility(source, &namespace, &service), callers(source, replicas, &key));
        let shut_out = shut_out(visibility.as_ref(), &namespace, &callers);
        let ours = explained.instances.into_iter().filter(|one| one.pod.as_deref() == name);
        members.extend(ours.map(|one| Member {
            service: service.clone(),
            namespace: namespace.clone(),
            port: one.port,
            served: one.served,
            state: one.state,
            reason: one.reason,
            probe: one.witnesses.probe,
            visibility: visibility.clone(),
            shut_out: shut_out.clone(),
        }));
    }
    Some(members)
}

/// Who may see the service, by the dump of its namespace.
pub(super) async fn visibility(source: &Source, namespace: &str, service: &str) -> Option<Visibility> {
    let answer = source.read(&format!("/v1/catalogue?namespace={namespace}")).await.ok()?;
    let dump: Value = serde_json::from_slice(body(&answer).ok()?).ok()?;
    let services = dump.get("services")?.as_array()?;
    let ours = services.iter().find(|one| one.get("service").is_some_and(|name| name == service))?;
    seen_by(ours.get("visibility")?.as_str()?)
}

/// Who looks the service up, as far as the controllers say, each as its namespace and its name.
pub(super) async fn callers(source: &Source, replicas: &[Replica], key: &str) -> Vec<(String, String)> {
    let told = source.read_each(replicas, &format!("/v1/services/{key}/consumers")).await;
    let said = told.iter().filter_map(|told| decoded::<Callers>(told.answer.as_ref().ok()?).ok());
    let all: BTreeSet<_> = said.flat_map(|said| said.consumers).map(|one| (one.namespace, one.pod)).collect();
    all.into_iter().collect()
}

/// Those of them to whom the service does not exist.
pub(super) fn shut_out(
    visibility: Option<&Visibility>,
    home: &str,
    callers: &[(String, String)],
) -> Vec<String> {
    let (Some(visibility), Ok(home)) = (visibility, home.parse::<Namespace>()) else { return Vec::new() };
    let is_shut_out =
        |namespace: &str| namespace.parse().is_ok_and(|from| !visibility.includes(&home, &from));
    let those = callers.iter().filter(|(namespace, _)| is_shut_out(namespace));
    those.map(|(namespace, pod)| format!("{namespace}/{pod}")).collect()
}

/// How the session of its sidecar stands.
pub(super) async fn session(reach: &Reach, replicas: &[Replica], name: &str) -> Option<String> {
    let path = format!("/v1/sessions?namespace={}", reach.namespace);
    let Asked::Told(told) = first::<Many<Heard>>(reach, replicas, &path).await else { return None };
    told.pods.into_iter().find(|one| one.pod == name).map(|one| one.session)
}

/// What the sidecar's log says of its session.
pub(super) async fn last_word(reach: &Reach, name: &str) -> LastWord {
    let pods: Api<Pod> = Api::namespaced(reach.client.clone(), reach.namespace.as_str());
    let wanted = LogParams {
        container: Some(SIDECAR.to_owned()),
        tail_lines: Some(LOG_LINES),
        ..LogParams::default()
    };
    match reach.seen(pods.logs(name, &wanted)).await {
        Seen::Here(log) => no_session(&log).map_or(LastWord::Nothing, LastWord::NoSession),
        Seen::Missing => LastWord::NotRead("it is not there".to_owned()),
        Seen::Forbidden(why) | Seen::Unknown(why) => LastWord::NotRead(why),
    }
}

/// The last word of a log on why there is no session, unless there was one since.
fn no_session(log: &str) -> Option<String> {
    let mut last = None;
    for line in log.lines() {
        let Ok(said) = serde_json::from_str::<Value>(line) else { continue };
        let word = |name: &str| said.get(name).and_then(Value::as_str);
        match word("message") {
            Some("in session") => last = None,
            Some(message) if message.starts_with("no session") || message == "another replica is asked" => {
                let told =
                    [word("error"), word("cause")].into_iter().flatten().filter(|told| !told.is_empty());
                last = Some(told.collect::<Vec<_>>().join(": "));
            }
            _ => {}
        }
    }
    last.filter(|told| !told.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_word_of_a_log_counts() {
        let failed = json!({"message": "no session; lookups go on from the last state", "error": "controller 10.0.0.1:7310: did not answer in time", "cause": ""});
        let entered = json!({"message": "in session"});
        let log = |lines: &[&Value]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        assert_eq!(
            no_session(&log(&[&entered, &failed])).as_deref(),
            Some("controller 10.0.0.1:7310: did not answer in time")
        );
        assert_eq!(no_session(&log(&[&failed, &entered])), None);
        assert_eq!(no_session("no JSON at all\n"), None);
    }

    #[test]
    fn who_looks_up_what_it_may_not_see_is_found() {
        let callers = [("bank", "web-1"), ("shop", "cart-1"), ("web", "web-1")];
        let callers = callers.map(|(namespace, pod)| (namespace.to_owned(), pod.to_owned()));
        let told = |visibility: &Visibility| shut_out(Some(visibility), "shop", &callers);
        assert_eq!(told(&Visibility::Cluster), [""; 0]);
        assert_eq!(told(&Visibility::own()), ["bank/web-1", "web/web-1"]);
        assert_eq!(told(&Visibility::Namespaces(["bank".parse().unwrap()].into())), ["web/web-1"]);
        assert_eq!(shut_out(None, "shop", &callers), [""; 0], "what is not known shuts nobody out");
    }
}
