//! Tokens of service accounts, and what is said of them.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    history::Id,
    kinds::Kind,
    refusal::Refusal,
    state::{State, seconds},
};

/// The audience of who asks for none.
pub(crate) const OF_THE_SERVER: &str = "https://kubernetes.default.svc.cluster.local";
const LASTS_SECONDS: i64 = 3_600;
/// A shorter one is not made.
const LASTS_SECONDS_MIN: i64 = 600;

/// Holds the tokens that were given out.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Vec<(String, Value)>);

impl State {
    /// Answers a `TokenRequest` for one account.
    pub(crate) fn issue(
        &mut self,
        namespace: &str,
        account: &str,
        mut request: Value,
    ) -> Result<Value, Refusal> {
        let accounts = Kind::of("serviceaccounts");
        let owner = self.history.get(&Id::new(accounts, namespace, account));
        let uid = owner.ok_or_else(|| Refusal::not_found(accounts, account))?["metadata"]["uid"].clone();
        let spec = &request["spec"];
        let mut bound = Value::Null;
        if spec["boundObjectRef"].is_object() {
            let (pods, name) =
                (Kind::of("pods"), spec["boundObjectRef"]["name"].as_str().unwrap_or_default());
            let pod = self.history.get(&Id::new(pods, namespace, name));
            let pod = pod.ok_or_else(|| Refusal::not_found(pods, name))?;
            let asked = &spec["boundObjectRef"]["uid"];
            if asked.is_string() && *asked != pod["metadata"]["uid"] {
                return Err(Refusal::conflict(
                    pods,
                    name,
                    "the UID in the bound object reference does not match",
                ));
            }
            bound = json!({"name": name, "uid": pod["metadata"]["uid"]});
        }
        let audiences = match spec["audiences"].as_array() {
            Some(audiences) if !audiences.is_empty() => audiences.clone(),
            _ => vec![json!(OF_THE_SERVER)],
        };
        let lasts = spec["expirationSeconds"].as_i64().unwrap_or(LASTS_SECONDS).max(LASTS_SECONDS_MIN);
        let (now, number) = (self.now(), self.number());
        let ends = now + SignedDuration::from_secs(lasts);
        let mut claims = json!({
            "iss": OF_THE_SERVER, "aud": audiences, "iat": now.as_second(), "exp": ends.as_second(),
            "sub": format!("system:serviceaccount:{namespace}:{account}"),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": uid}},
        });
        if !bound.is_null() {
            claims["kubernetes.io"]["pod"] = bound;
        }
        let part = |value: &str| BASE64_URL_SAFE_NO_PAD.encode(value);
        let head = part(&json!({"alg": "none", "kid": "model"}).to_string());
        let token = format!("{head}.{}.{}", part(&claims.to_string()), part(&format!("{number:016x}")));
        self.tokens.0.push((token.clone(), claims));
        request["spec"]["audiences"] = json!(audiences);
        request["spec"]["expirationSeconds"] = json!(lasts);
        request["status"] = json!({"token": token, "expirationTimestamp": seconds(ends)});
        request["metadata"] = json!({"name": account, "namespace": namespace});
        Ok(request)
    }

    /// Answers a `TokenReview`.
    pub(crate) fn review(&self, mut review: Value) -> Value {
        let spec = review["spec"].take();
        review["status"] = match self.judge(&spec) {
            Ok(status) => status,
            Err(why) => json!({"user": {}, "error": why}),
        };
        review["spec"] = spec;
        review["metadata"] = json!({});
        review
    }

    fn judge(&self, spec: &Value) -> Result<Value, String> {
        let bad = || "invalid bearer token".to_owned();
        let token = spec["token"].as_str().unwrap_or_default();
        let (_, claims) = self.tokens.0.iter().find(|(issued, _)| issued == token).ok_or_else(bad)?;
        if claims["exp"].as_i64().is_none_or(|ends| ends <= self.now().as_second()) {
            return Err("[invalid bearer token, service account token has expired]".to_owned());
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = &claims["kubernetes.io"];
        let (namespace, account) = (text(&of["namespace"]), &of["serviceaccount"]);
        let id = Id::new(Kind::of("serviceaccounts"), &namespace, &text(&account["name"]));
        if self.history.get(&id).is_none_or(|there| there["metadata"]["uid"] != account["uid"]) {
            return Err("[invalid bearer token, service account token has been invalidated]".to_owned());
        }
        let mut extra = json!({});
        let pod = &of["pod"];
        if pod.is_object() {
            let id = Id::new(Kind::of("pods"), &namespace, &text(&pod["name"]));
            let there = self.history.get(&id).filter(|there| there["metadata"]["uid"] == pod["uid"]);
            let there = there.ok_or("[invalid bearer token, service account token has been invalidated]")?;
            extra["authentication.kubernetes.io/pod-name"] = json!([pod["name"]]);
            extra["authentication.kubernetes.io/pod-uid"] = json!([pod["uid"]]);
            if there["spec"]["nodeName"].is_string() {
                extra["authentication.kubernetes.io/node-name"] = json!([there["spec"]["nodeName"]]);
            }
        }
        let asked = spec["audiences"].as_array().filter(|asked| !asked.is_empty());
        let asked = asked.cloned().unwrap_or_else(|| vec![json!(OF_THE_SERVER)]);
        let held = claims["aud"].as_array();
        let both: Vec<_> =
            asked.iter().filter(|asked| held.is_some_and(|held| held.contains(asked))).cloned().collect();
        if both.is_empty() {
            return Err(format!(
                "[invalid bearer token, token audiences {} is invalid for the target audiences {}]",
                claims["aud"],
                json!(asked)
            ));
        }
        let groups = [
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ];
        let user =
            json!({"username": claims["sub"], "uid": account["uid"], "groups": groups, "extra": extra});
        Ok(json!({"authenticated": true, "user": user, "audiences": both}))
    }
}
