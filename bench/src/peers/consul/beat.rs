//! An instance with a TTL check, which its process passes again and again.

use futures::{FutureExt, future::BoxFuture};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::process::{ANSWER_MAX, described, id};
use crate::peers::{
    BeatArguments,
    beat::{Beater, Heard},
    http::{Answer, Http},
};

/// Consul removes by itself what failed for so long: the least that it takes.
const GONE_AFTER: &str = "1m";

/// Holds a service of an agent, and the connection to it; none while it is in use or where it broke.
pub(in crate::peers) struct ToConsul {
    arguments: BeatArguments,
    http: Option<Http>,
}

// === impl ToConsul ===

impl ToConsul {
    pub(in crate::peers) fn new(arguments: BeatArguments) -> Self {
        Self { arguments, http: None }
    }

    async fn put(&mut self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let mut http = match self.http.take() {
            Some(http) => http,
            None => Http::connect_from(self.arguments.from, self.arguments.at).await?,
        };
        let answer = http.ask(Method::PUT, path, body.to_string(), ANSWER_MAX).await?;
        self.http = Some(http);
        Ok(answer)
    }

    fn id(&self) -> String {
        id(&self.arguments.service, &self.arguments.instance)
    }

    fn registration(&self) -> Value {
        let mut of_service = described(&self.arguments.service, &self.arguments.instance);
        if let Some(fields) = of_service.as_object_mut() {
            let ttl = format!("{}ms", self.arguments.ttl_ms);
            fields.insert("Name".to_owned(), json!(self.arguments.service));
            fields.insert("Check".to_owned(), json!({
                "CheckID": format!("alive-{}", self.id()), "Name": "alive", "TTL": ttl, "Status": "passing",
                "DeregisterCriticalServiceAfter": GONE_AFTER,
            }));
        }
        of_service
    }
}

impl Beater for ToConsul {
    fn register(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        async {
            self.http = None;
            let registration = self.registration();
            self.put("/v1/agent/service/register", &registration).await?.good().map(drop)
        }
        .boxed()
    }

    fn beat(&mut self) -> BoxFuture<'_, anyhow::Result<Heard>> {
        async {
            let path = format!("/v1/agent/check/pass/alive-{}", self.id());
            let answer = self.put(&path, &Value::Null).await?;
            if answer.status == StatusCode::NOT_FOUND {
                return Ok(Heard::Forgotten);
            }
            answer.good().map(|_| Heard::Known)
        }
        .boxed()
    }

    fn leave(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        async {
            let path = format!("/v1/agent/service/deregister/{}", self.id());
            self.put(&path, &Value::Null).await?.good().map(drop)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    /// What one process is started with is what that process takes it for.
    #[test]
    fn a_registration_says_how_long_it_is_believed() {
        let given = [
            "beat",
            "consul",
            "--at=127.0.0.1:1",
            "--service=a",
            "--instance=10.0.0.1",
            "--ttl-ms=3000",
            "--beat-ms=1000",
        ];
        let matches = BeatArguments::augment_args(Command::new("beat")).try_get_matches_from(given).unwrap();
        let arguments = BeatArguments::from_arg_matches(&matches).unwrap();
        let again = BeatArguments::augment_args(Command::new("beat"))
            .try_get_matches_from(arguments.to_command_line())
            .unwrap();
        assert_eq!(
            format!("{:?}", BeatArguments::from_arg_matches(&again).unwrap()),
            format!("{arguments:?}")
        );
        let registration = ToConsul::new(arguments).registration();
        assert_eq!(registration["Check"]["TTL"], "3000ms");
        assert_eq!(registration["Check"]["Status"], "passing");
        assert_eq!(registration["Name"], "a");
        assert_eq!(registration["Address"], "10.0.0.1");
    }
}
