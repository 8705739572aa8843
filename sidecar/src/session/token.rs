//! What our own token says of us, before anybody is reached, and whether it was renewed: it is read and not judged, which is
//! the controller's affair.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rollcall_net::Jitter;
use rollcall_wire::{
    Token,
    limits::{TOKEN_BYTES_MAX, TOKEN_SHOWN_EVERY},
};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

/// Between two looks at the file, at most: the kubelet renews a token some ten minutes before it ends. Up to a third less, so
/// that the pods of a node do not all look at once.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Holds the token that a controller was shown last, and when its file is looked at again.
pub(crate) struct Shown {
    file: PathBuf,
    token: Token,
    looks_at: Instant,
}

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

// === impl Shown ===

impl Shown {
    /// With this token a session was opened.
    pub(crate) fn new(file: PathBuf, token: Token, jitter: &mut Jitter) -> Self {
        let mut shown = Self { file, token, looks_at: Instant::now() };
        shown.wait(jitter);
        shown
    }

    /// Returns when the file is to be looked at. Safe to drop and call again.
    pub(crate) async fn due(&self) {
        sleep_until(self.looks_at).await;
    }

    /// The token of the file, where it is another one. A small file of a memory-backed volume: not worth a thread.
    pub(crate) fn renewed(&mut self, jitter: &mut Jitter) -> Option<Token> {
        self.wait(jitter);
        let token = Token::read(&std::fs::read(&self.file).ok()?)?;
        (token != self.token).then_some(token)
    }

    /// It was shown: the next one comes a while later, so that it is looked at.
    pub(crate) fn told(&mut self, token: Token) {
        self.token = token;
        self.looks_at = Instant::now() + TOKEN_SHOWN_EVERY;
    }

    fn wait(&mut self, jitter: &mut Jitter) {
        self.looks_at = Instant::now() + LOOK_EVERY - jitter.up_to(LOOK_EVERY / 3);
    }
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
