//! `rollcall consumers`: who calls a service, by what all controllers say of those in session with them.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use rollcall_catalogue::{ServiceKey, ServiceRef};
use serde::{Deserialize, Serialize};

use super::catalogue::found;
use crate::{
    failure::Failure,
    names::{key, service},
    options::{Form, Where},
    print,
    print::{Cell, Paint, Table, ago, first_of},
    print_body,
    reach::{Source, Told, decoded, unreachable},
};

/// Controllers that are named where they did not say.
const NAMED_MAX: usize = 3;

/// Holds what `rollcall consumers` is told.
#[derive(Debug, Args)]
pub(crate) struct Consumers {
    /// A service, as orders or orders.shop
    #[arg(value_name = "NAME", value_parser = service)]
    named: ServiceRef,

    #[arg(long, short, value_name = "FORM")]
    output: Option<Form>,

    #[command(flatten)]
    place: Where,
}

/// Holds what one replica says.
#[derive(Debug, Clone, Deserialize)]
struct Said {
    replica: String,
    #[serde(default)]
    others: Vec<String>,
    consumers: Vec<Consumer>,
    total: usize,
    #[serde(default)]
    truncated: bool,
}

/// Holds a pod that calls the service.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Consumer {
    namespace: String,
    pod: String,
    #[serde(default)]
    subscribed: bool,
    #[serde(default)]
    lookups: u64,
    #[serde(default)]
    last_lookup_seconds_ago: Option<u64>,
    #[serde(default)]
    reports: Reports,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Reports {
    success: u64,
    failure: u64,
    latency_ms: Option<f64>,
}

/// Holds what all replicas say together, in the form that each has.
#[derive(Debug, PartialEq, Serialize)]
struct Together {
    service: String,
    namespace: String,
    /// Those that said.
    replicas: Vec<String>,
    /// There are others, which have consumers of their own.
    partial: bool,
    others: Vec<String>,
    consumers: Vec<Consumer>,
    total: usize,
    truncated: bool,
}

// === impl Consumers ===

impl Consumers {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let source = Source::new(&self.place).await?;
        let key = key(&self.named, source.namespace());
        let path = format!("/v1/services/{key}/consumers");
        // One that is not ready may have sessions still.
        let replicas = source.replicas().await?;
        let told = source.read_each(&replicas, &path).await;
        let Some(together) = together(&key, &told)? else {
            // Nobody knows the name; what was meant, one of them can say.
            decoded::<Said>(&found(&source, &key, &path).await?)?;
            return Err(nobody(&key));
        };
        if self.output == Some(Form::Json) {
            // Text and numbers, which serde_json cannot fail to write.
            print_body(&serde_json::to_vec(&together).unwrap_or_default())?;
        } else if !together.consumers.is_empty() {
            print(table(&together).text(Paint::of_stdout()).as_bytes())?;
        }
        let silent = first_of(&together.others, NAMED_MAX);
        match (together.consumers.is_empty(), together.partial) {
            (true, false) => Err(nobody(&key)),
            // Whoever takes this for nobody may take away what somebody calls.
            (_, true) => Err(unreachable(
                "controller",
                &format!("those in session with {silent} are not known"),
                "`rollcall check` says what is wrong",
            )),
            (false, false) => Ok(()),
        }
    }
}

fn nobody(key: &ServiceKey) -> Failure {
    Failure::Nothing(format!(
        "no pod with a sidecar looks up `{key}`; who has its address from elsewhere is not known"
    ))
}

/// The lists of all replicas as one, each pod once; none where nobody knows the name.
fn together(key: &ServiceKey, told: &[Told]) -> Result<Option<Together>, Failure> {
    let (mut replicas, mut others) = (BTreeSet::new(), BTreeSet::new());
    let mut consumers: BTreeMap<(String, String), Consumer> = BTreeMap::new();
    let (mut total, mut truncated, mut is_known) = (0usize, false, false);
    let mut last = None;
    for Told { pod, answer } in told {
        let answer = match answer {
            // To it the name is unknown: nobody in session with it waits for it.
            Ok(answer) if answer.status == 404 => {
                replicas.insert(pod.clone());
                continue;
            }
            Ok(answer) => decoded::<Said>(answer),
            Err(error) => {
                Err(unreachable("controller", &error.to_string(), "`rollcall check` says what is wrong"))
            }
        };
        let said = match answer {
            Ok(said) => said,
            Err(failure) => {
                others.insert(pod.clone());
                last = Some(failure);
                continue;
            }
        };
        is_known = true;
        replicas.extend([pod.clone(), said.replica]);
        others.extend(said.others);
        truncated |= said.truncated;
        total = total.saturating_add(said.total);
        for one in said.consumers {
            let name = (one.namespace.clone(), one.pod.clone());
            match consumers.get_mut(&name) {
                // It moved in between: each count is its sidecar's own, so that the larger one is the newer one.
                Some(held) => {
                    total = total.saturating_sub(1);
                    if age(&one) > age(held) {
                        *held = one;
                    }
                }
                None => drop(consumers.insert(name, one)),
            }
        }
    }
    if let Some(failure) = last.filter(|_| replicas.is_empty()) {
        return Err(failure);
    }
    if !is_known && others.is_empty() {
        return Ok(None);
    }
    let others: Vec<_> = others.difference(&replicas).cloned().collect();
    Ok(Some(Together {
        service: key.service.to_string(),
        namespace: key.namespace.to_string(),
        replicas: replicas.into_iter().collect(),
        partial: !others.is_empty(),
        others,
        consumers: consumers.into_values().collect(),
        total,
        truncated,
    }))
}

/// How much its sidecar had counted when this was said.
fn age(consumer: &Consumer) -> (u64, u64) {
    (consumer.lookups, consumer.reports.success.saturating_add(consumer.reports.failure))
}

fn table(together: &Together) -> Table {
    let mut table = Table::new(["NAMESPACE", "POD", "LOOKUPS", "LAST", "SUCCESS", "FAILURE", "LATENCY"]);
    for one in &together.consumers {
        let latency = one.reports.latency_ms.map(|ms| format!("{ms:.1}ms")).unwrap_or_default();
        table.row([
            Cell::from(one.namespace.as_str()),
            one.pod.as_str().into(),
            one.lookups.to_string().into(),
            one.last_lookup_seconds_ago.map(ago).unwrap_or_default().into(),
            one.reports.success.to_string().into(),
            one.reports.failure.to_string().into(),
            latency.into(),
        ]);
    }
    if together.truncated {
        let more = together.total.saturating_sub(together.consumers.len());
        table.row([Cell::from(format!("and {more} more"))]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::reach::{Answer, ForwardError};

    fn orders() -> ServiceKey {
        "orders.shop".parse().unwrap()
    }

    fn consumer(pod: &str, lookups: u64) -> Value {
        json!({"namespace": "shop", "pod": pod, "subscribed": true, "lookups": lookups, "lastLookupSecondsAgo": 4,
            "reports": {"success": 3, "failure": 1, "latencyMs": 12.5}})
    }

    /// What this replica says of those in session with it.
    fn says(replica: &str, others: &[&str], consumers: &[Value], total: usize) -> Told {
        let body = json!({"service": "orders", "namespace": "shop", "replica": replica, "partial": true,
            "others": others, "consumers": consumers, "total": total, "truncated": total > consumers.len()});
        Told {
            pod: replica.to_owned(),
            answer: Ok(Answer { status: 200, body: body.to_string().into_bytes() }),
        }
    }

    fn answers(replica: &str, status: u16, body: &str) -> Told {
        Told { pod: replica.to_owned(), answer: Ok(Answer { status, body: body.as_bytes().to_vec() }) }
    }

    fn silent(replica: &str) -> Told {
        Told { pod: replica.to_owned(), answer: Err(ForwardError::NoPod(replica.to_owned())) }
    }

    fn named(told: &[Told]) -> (Vec<(String, u64)>, Vec<String>, usize) {
        let together = together(&orders(), told).unwrap().unwrap();
        assert_eq!(together.partial, !together.others.is_empty());
        let names = together.consumers.into_iter().map(|one| (one.pod, one.lookups)).collect();
        (names, together.others, together.total)
    }

    #[test]
    fn the_lists_of_all_replicas_are_one_and_a_pod_that_moved_is_in_it_once() {
        let one = says("c-1", &["c-2"], &[consumer("web-2", 5), consumer("web-3", 9)], 2);
        let other = says("c-2", &["c-1"], &[consumer("web-1", 7), consumer("web-3", 8)], 2);
        let all = [("web-1".to_owned(), 7), ("web-2".to_owned(), 5), ("web-3".to_owned(), 9)];
        for told in [[one.clone(), other.clone()], [other, one]] {
            assert_eq!(named(&told), (all.to_vec(), vec![], 3), "in whatever order they answer");
        }
    }

    #[test]
    fn pods_of_one_name_in_two_namespaces_are_two() {
        let mut elsewhere = consumer("web-1", 2);
        elsewhere["namespace"] = json!("bank");
        let told = [says("c-1", &[], &[consumer("web-1", 1)], 1), says("c-2", &[], &[elsewhere], 1)];
        assert_eq!(named(&told).0.len(), 2);
    }

    #[test]
    fn who_did_not_say_is_named() {
        let one = || says("c-1", &["c-2"], &[consumer("web-1", 1)], 1);
        for other in [silent("c-2"), answers("c-2", 503, "{}"), answers("c-2", 200, "garbage")] {
            assert_eq!(named(&[one(), other]).1, ["c-2"]);
        }
        assert_eq!(named(&[one()]).1, ["c-2"], "one that was not asked, as its pod was not seen");
        assert_eq!(named(&[one(), answers("c-2", 404, "{}")]).1, [""; 0], "nobody there waits for the name");
    }

    #[test]
    fn where_nobody_says_anything_there_is_no_list() {
        assert_eq!(
            together(&orders(), &[answers("c-1", 404, "{}"), answers("c-2", 404, "{}")]).unwrap(),
            None
        );
        assert_eq!(together(&orders(), &[silent("c-1"), silent("c-2")]).unwrap_err().code(), 3);
        // One does not know it, and the other may have who waits for it.
        let half = together(&orders(), &[answers("c-1", 404, "{}"), silent("c-2")]).unwrap().unwrap();
        assert!(half.partial && half.consumers.is_empty());
    }

    #[test]
    fn consumers_are_told_in_a_table() {
        let mut quiet = consumer("web-2", 0);
        (quiet["lastLookupSecondsAgo"], quiet["reports"]) =
            (Value::Null, json!({"success": 0, "failure": 0, "latencyMs": null}));
        let told = [says("c-1", &[], &[consumer("web-1", 120), quiet], 3)];
        let together = together(&orders(), &told).unwrap().unwrap();
        assert_eq!(
            table(&together).text(Paint::new(false)),
            "NAMESPACE    POD     LOOKUPS   LAST   SUCCESS   FAILURE   LATENCY\n\
             shop         web-1   120       4s     3         1         12.5ms\n\
             shop         web-2   0         -      0         0         -\n\
             and 1 more\n"
        );
        let body = serde_json::to_value(&together).unwrap();
        assert_eq!((&body["replicas"], &body["truncated"]), (&json!(["c-1"]), &json!(true)));
        assert_eq!(body["consumers"][0], consumer("web-1", 120));
    }
}
