//! One instance to call next, and how the call went.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use rollcall_catalogue::{InstanceId, Match, Policy, States, balance::Outcome, shortened};
use rollcall_wire::{
    Problem, Slug,
    api::instance_body,
    query::{one, parameters},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Api,
    answer::{Answer, about, json, no_content},
    balancers::Wanted,
    lookup::Asked,
};
use crate::store::Dialect;

/// Holds how a call to a picked instance went, as its caller says it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    service: Option<Value>,
    instance: Option<Value>,
    latency_ms: Option<Value>,
    outcome: Option<Value>,
}

// === impl Api ===

impl Api {
    pub(super) async fn pick(&self, name: &str, query: Option<&str>) -> Result<Answer, Problem> {
        let parameters = parameters(query)?;
        let asked = Asked::instances(&parameters, &["policy", "key"])?;
        if asked.query.states == States::All {
            let detail = "all: nobody is to call what does not serve";
            return Err(Problem::new(Slug::InvalidQuery, detail)
                .field("all")
                .hint("GET /v1/services/{name}?all=true lists instances of every state"));
        }
        let policy = one(&parameters, "policy")?.map(policy).transpose()?;
        let key = one(&parameters, "key")?;
        let (slot, known) = self.first_answer(name, Dialect::Native).await?;
        let held = match self.service(&slot.key, &known) {
            Ok(held) => held,
            Err(refusal) => return self.refused(refusal),
        };
        let policy = policy.unwrap_or(held.service.policy);
        if policy == Policy::ConsistentHash && key.is_none() {
            return Err(Problem::new(Slug::InvalidQuery, "key: missing; to hash is to hash something")
                .field("key")
                .hint("give a key, as a user or a session, or another policy"));
        }
        self.store.looked_up(&slot, Dialect::Native);
        let home = self.home_zone();
        let wanted = Wanted { policy, key: key.unwrap_or_default(), home: home.as_ref() };
        let Some((instance, port)) = self.balancers.pick(held, &asked, wanted) else {
            let detail = format!("no instance of `{}` that matches may be picked", slot.key);
            let refusal =
                Problem::new(Slug::NoServingInstance, detail).hint("GET /v1/explain/{name} says why");
            return Ok(self.denied(held, &refusal));
        };
        let body = instance_body(&Match { instance: &instance, port });
        let mut answer = json(StatusCode::OK, body);
        // The next one may be another.
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(about(held, answer, &instance.id.to_string(), self.standing(Some(held))))
    }

    pub(super) async fn report(&self, report: Report) -> Result<Answer, Problem> {
        let service = text("service", report.service)?;
        let instance = text("instance", report.instance)?;
        let latency_ms = report.latency_ms.as_ref().and_then(Value::as_f64).filter(|ms| *ms >= 0.0);
        let latency_ms = latency_ms.ok_or_else(|| {
            invalid("latencyMs", "latencyMs: no number from 0 on".to_owned())
                .hint("use the milliseconds that the call took")
        })?;
        let outcome = match text("outcome", report.outcome)?.as_str() {
            "success" => Outcome::Success,
            "failure" => Outcome::Failure,
            other => {
                let detail = format!("outcome: `{}` is no outcome", shortened(other));
                return Err(invalid("outcome", detail).hint("use success or failure"));
            }
        };
        if let Err(error) = service.parse::<rollcall_catalogue::ServiceRef>() {
            return Err(invalid("service", error.to_string()).hint("use `service` or `service.namespace`"));
        }
        let (slot, known) = self.first_answer(&service, Dialect::Native).await?;
        let held = match self.service(&slot.key, &known) {
            Ok(held) => held,
            Err(refusal) => return self.refused(refusal),
        };
        let id = InstanceId::from(instance.as_str());
        if held.service.instance(&id).is_none() {
            let detail = format!("`{}` has no instance `{}`", slot.key, shortened(&instance));
            let refusal = Problem::new(Slug::UnknownInstance, detail)
                .field("instance")
                .hint("use the id that was picked; it may be gone since");
            return Ok(self.denied(held, &refusal));
        }
        // A float that is too large becomes the largest number, which no call takes either.
        let latency_ms = latency_ms.ceil() as u64;
        self.balancers.report(&slot.key, &instance, outcome, latency_ms);
        self.store.reported(&slot, outcome, latency_ms);
        Ok(no_content())
    }

    /// The zone that this pod is in, whose instances it would rather call.
    fn home_zone(&self) -> Option<Arc<str>> {
        self.store.around().pod.as_ref()?.zone.as_deref().map(Arc::from)
    }
}

fn policy(text: &str) -> Result<Policy, Problem> {
    text.parse().map_err(|error: rollcall_catalogue::ValueError| {
        Problem::new(Slug::InvalidQuery, format!("{}: {}", error.field, error.problem))
            .field("policy")
            .hint(error.remedy)
    })
}

fn text(field: &'static str, value: Option<Value>) -> Result<String, Problem> {
    match value {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(invalid(field, format!("{field}: no text")).hint("put it in quotes")),
        None => {
            Err(invalid(field, format!("{field}: missing"))
                .hint("say service, instance, latencyMs and outcome"))
        }
    }
}

fn invalid(field: &'static str, detail: String) -> Problem {
    Problem::new(Slug::InvalidField, detail).field(field)
}
