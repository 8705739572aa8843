//! `rollcall drain`: a pod leaves the lookups before anybody ends it.

use std::time::Duration;

use clap::Args;
use http::Method;
use rollcall_injection::SIDECAR;
use serde::Deserialize;

use crate::{
    failure::Failure,
    names::pod,
    options::{Form, Where, duration},
    print,
    print::{counted, first_of, plain, shown},
    print_body,
    reach::{Answer, ForwardError, Reach, body, decoded, unreachable},
};

/// The sidecar's own API, on the pod's loopback.
const API_PORT: u16 = 7300;
/// What the sidecar takes itself for its answer, beside the deadline.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Late callers that are named.
const NAMED_MAX: usize = 5;

/// Holds what `rollcall drain` is told.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// The pod, as orders-1 or pod/orders-1
    #[arg(value_name = "POD", value_parser = pod)]
    pod: String,

    /// For how long its callers are waited for, up to 60s.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = deadline)]
    deadline: Duration,

    /// Take it back: the pod is served again.
    #[arg(long, conflicts_with = "deadline")]
    stop: bool,

    #[arg(long, short, value_name = "FORM", conflicts_with = "stop")]
    output: Option<Form>,

    #[command(flatten)]
    place: Where,
}

/// Holds the sidecar's answer to a drain.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Drained {
    complete: bool,
    #[serde(default)]
    acked: usize,
    #[serde(default)]
    subscribers: usize,
    #[serde(default)]
    late: Vec<String>,
    #[serde(default)]
    elapsed_ms: u64,
}

// === impl Drain ===

impl Drain {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.place.of_cluster(
            "a drain is of a pod in a cluster; an app beside `rollcall dev` asks for its own: POST /v1/self/drain on port 7300",
        )?;
        let mut reach = Reach::new(&self.place).await?;
        let found = reach.pod(&self.pod).await?;
        let init = found.spec.and_then(|spec| spec.init_containers).unwrap_or_default();
        if !init.iter().any(|container| container.name == SIDECAR) {
            return Err(Failure::Nothing(format!(
                "pod {} has no sidecar; annotate it with rollcall.dev/drain: \"true\" instead",
                self.pod
            )));
        }
        reach.timeout = reach.timeout.max(self.deadline + ANSWER_MAX);
        if self.stop {
            let stopped = self.ask(&reach, Method::DELETE, "/v1/self/drain").await?;
            body(&stopped)?;
            return print(format!("{} is served again\n", self.pod).as_bytes());
        }
        let path = format!("/v1/self/drain?deadline={}ms", self.deadline.as_millis());
        let told =
            format!("waiting until the callers of {} know, {}s at most", self.pod, self.deadline.as_secs());
        let answer = shown(&told, self.ask(&reach, Method::POST, &path)).await?;
        let drained: Option<Drained> = (answer.status == 200).then(|| decoded(&answer)).transpose()?;
        if self.output == Some(Form::Json) {
            print_body(body(&answer)?)?;
        } else {
            body(&answer)?;
            print(format!("{}\n", plain(&sentence(&self.pod, drained.as_ref()))).as_bytes())?;
        }
        if drained.is_some_and(|drained| drained.complete) { Ok(()) } else { Err(Failure::Told) }
    }

    async fn ask(&self, reach: &Reach, method: Method, path: &str) -> Result<Answer, Failure> {
        let asked = reach.ask(&reach.namespace, &self.pod, API_PORT, method, path).await;
        asked.map_err(|error| {
            let remedy = match error {
                ForwardError::Forbidden(_) => {
                    format!(
                        "ask for a role with `create` and `get` of pods/portforward in {}",
                        reach.namespace
                    )
                }
                _ => format!("`rollcall explain pod/{}` says what is wrong", self.pod),
            };
            unreachable("sidecar", &error.to_string(), &remedy)
        })
    }
}

/// A deadline that a sidecar takes.
fn deadline(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time > Duration::from_secs(60) { Err("use a time up to 60s".to_owned()) } else { Ok(time) }
}

fn sentence(pod: &str, drained: Option<&Drained>) -> String {
    match drained {
        Some(drained) if drained.complete => format!(
            "{pod} is out of the lookups; {} let go within {} ms",
            counted(drained.subscribers, "caller"),
            drained.elapsed_ms
        ),
        Some(drained) => format!(
            "{pod} is out of the lookups, but only {} of {} let go in time; late: {}",
            drained.acked,
            counted(drained.subscribers, "caller"),
            first_of(&drained.late, NAMED_MAX)
        ),
        None => format!(
            "{pod} drains as soon as its sidecar has a session; `rollcall explain pod/{pod}` says why it has none"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_is_told_with_who_is_late() {
        let drained = |body: &str| -> Drained { serde_json::from_str(body).unwrap() };
        let done = drained(r#"{"complete":true,"acked":2,"subscribers":2,"late":[],"elapsedMs":80}"#);
        assert_eq!(
            sentence("orders-1", Some(&done)),
            "orders-1 is out of the lookups; 2 callers let go within 80 ms"
        );
        let late = drained(
            r#"{"complete":false,"acked":0,"subscribers":1,"late":["shop/web-1"],"elapsedMs":10000}"#,
        );
        assert!(
            sentence("orders-1", Some(&late))
                .ends_with("only 0 of 1 caller let go in time; late: shop/web-1")
        );
        assert!(sentence("orders-1", None).contains("as soon as its sidecar has a session"));
        assert!(deadline("61s").unwrap_err().contains("60s"));
    }
}
