//! What our own token says of us, before anybody is reached: it is read and not judged, which is the controller's affair.

use std::path::Path;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rollcall_wire::limits::TOKEN_BYTES_MAX;
use serde::Deserialize;

/// Holds what a token that Kubernetes bound to a pod says of it.
#[derive(Debug, Deserialize)]
struct Claims {
    #[serde(rename = "kubernetes.io")]
    kubernetes: Kubernetes,
}

#[derive(Debug, Deserialize)]
struct Kubernetes {
    pod: Pod,
}

#[derive(Debug, Deserialize)]
struct Pod {
    uid: String,
}

/// The UID of the pod that this token is bound to; none where it does not say so.
pub(crate) fn pod_of_token(path: &Path) -> Option<String> {
    pod_of(&std::fs::read(path).ok()?)
}

fn pod_of(token: &[u8]) -> Option<String> {
    let claims = token.split(|byte| *byte == b'.').nth(1).filter(|_| token.len() <= TOKEN_BYTES_MAX)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    Some(claims.kubernetes.pod.uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_a_pod_names_it_and_others_say_nothing() {
        let of = |claims: &str| pod_of(format!("e30.{}.c2ln\n", URL_SAFE_NO_PAD.encode(claims)).as_bytes());
        let bound =
            r#"{"aud":["rollcall"],"kubernetes.io":{"namespace":"shop","pod":{"name":"a","uid":"u1"}}}"#;
        assert_eq!(of(bound).as_deref(), Some("u1"));
        for other in [r#"{"kubernetes.io":{"namespace":"shop"}}"#, "{}", "", "[]"] {
            assert_eq!(of(other), None, "{other}");
        }
        for token in ["token-of-u9", "", "a.b.c", "..", "a.%%%.c"] {
            assert_eq!(pod_of(token.as_bytes()), None, "{token}");
        }
        assert_eq!(of(&format!("{bound}{}", " ".repeat(TOKEN_BYTES_MAX))), None, "longer than any");
    }
}
