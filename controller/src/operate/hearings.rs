//! Which pods have a sidecar, and whether somebody hears it.

use serde::Serialize;

use crate::index::Hearing;

/// Holds the answer of `GET /v1/sessions`.
#[derive(Debug, Serialize)]
struct Body<'a> {
    replica: &'a str,
    pods: Vec<Pod<'a>>,
    /// With those that are not listed.
    total: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pod<'a> {
    namespace: &'a str,
    pod: &'a str,
    session: String,
    since_seconds: Option<u64>,
}

pub(super) fn hearings_body(replica: &str, hearings: &[Hearing], total: usize) -> Vec<u8> {
    let told = hearings.iter().map(|Hearing { pod, session, open_ms }| Pod {
        namespace: pod.namespace.as_str(),
        pod: &pod.name,
        session: session.to_string(),
        since_seconds: open_ms.map(|open_ms| open_ms / 1_000),
    });
    // Text and numbers, which serde_json cannot fail to write.
    serde_json::to_vec(&Body { replica, pods: told.collect(), total }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rollcall_catalogue::liveness::SessionWitness;

    use super::*;
    use crate::index::ObjectKey;

    #[test]
    fn the_body_says_who_is_heard_and_since_when() {
        let hearing = |name: &str, session, open_ms| Hearing {
            pod: ObjectKey { namespace: "shop".parse().unwrap(), name: name.into() },
            session,
            open_ms,
        };
        let all = [
            hearing("orders-1", SessionWitness::Live, Some(2_999)),
            hearing("orders-2", SessionWitness::NeverCame, None),
        ];
        assert_eq!(
            String::from_utf8(hearings_body("c-1", &all, 3)).unwrap(),
            r#"{"replica":"c-1","pods":[{"namespace":"shop","pod":"orders-1","session":"live","sinceSeconds":2},{"namespace":"shop","pod":"orders-2","session":"never-came","sinceSeconds":null}],"total":3}"#
        );
    }
}
