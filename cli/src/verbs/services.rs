//! `rollcall services`: what there is.

use clap::Args;
use serde::Deserialize;

use crate::{
    failure::Failure,
    options::{Where, WideForm},
    print,
    print::{Cell, Paint, Table, Tone},
    print_body,
    reach::{Source, Told, body, decoded},
};

/// Holds what `rollcall services` is told.
#[derive(Debug, Args)]
pub(crate) struct Services {
    /// Those of all namespaces.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,

    /// `wide` shows besides how many pods look each of them up.
    #[arg(long, short, value_name = "FORM")]
    output: Option<WideForm>,

    #[command(flatten)]
    place: Where,
}

/// Holds the answer of `GET /v1/services`.
#[derive(Debug, Clone, Deserialize)]
struct ServicesAnswer {
    services: Vec<Row>,
}

#[derive(Debug, Clone, Deserialize)]
struct Row {
    service: String,
    namespace: String,
    versions: Vec<String>,
    serving: u64,
    total: u64,
    /// How many pods look it up, of those in session with the replica that was asked; an older one does not say.
    #[serde(default)]
    consumers: Option<u64>,
}

// === impl Services ===

impl Services {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let source = Source::new(&self.place).await?;
        let path = match self.all_namespaces {
            true => "/v1/services".to_owned(),
            false => format!("/v1/services?namespace={}", source.namespace()),
        };
        let is_wide = self.output == Some(WideForm::Wide);
        let answers = match is_wide {
            true => {
                let replicas: Vec<_> =
                    source.replicas().await?.into_iter().filter(|replica| replica.ready).collect();
                source.read_each(&replicas, &path).await
            }
            false => Vec::new(),
        };
        let answer = source.read(&path).await?;
        let listed: ServicesAnswer = decoded(&answer)?;
        if self.output == Some(WideForm::Json) {
            print_body(body(&answer)?)?;
        }
        if listed.services.is_empty() {
            let whose = match self.all_namespaces {
                true => "in any namespace".to_owned(),
                false => format!("in the namespace {}; -A shows those of all", source.namespace()),
            };
            return Err(Failure::Nothing(format!("there is no service {whose}")));
        }
        if self.output == Some(WideForm::Json) {
            return Ok(());
        }
        let consumers = is_wide.then(|| each_replicas(&answers));
        let table = table(&listed.services, self.all_namespaces, consumers.as_deref());
        print(table.text(Paint::of_stdout()).as_bytes())
    }
}

/// What the replicas list, each for itself; none of one that gave no list.
fn each_replicas(answers: &[Told]) -> Vec<Option<ServicesAnswer>> {
    answers.iter().map(|told| decoded(told.answer.as_ref().ok()?).ok()).collect()
}

/// How many look this service up, over all replicas; none where one of them does not say.
fn consumers(row: &Row, each: &[Option<ServicesAnswer>]) -> Option<u64> {
    if each.is_empty() {
        return None;
    }
    let said = |answer: &Option<ServicesAnswer>| -> Option<u64> {
        let services = &answer.as_ref()?.services;
        let same = |one: &&Row| one.service == row.service && one.namespace == row.namespace;
        match services.iter().find(same).map(|one| &one.consumers) {
            // It has not heard of the service yet, and so nobody looks it up there.
            None => Some(0),
            Some(number) => *number,
        }
    };
    each.iter().map(said).sum()
}

fn table(rows: &[Row], all: bool, each: Option<&[Option<ServicesAnswer>]>) -> Table {
    let heads =
        [all.then_some("NAMESPACE"), Some("SERVICE"), Some("VERSIONS"), Some("SERVING"), Some("TOTAL")];
    let mut table = Table::new(heads.into_iter().flatten().chain(each.map(|_| "CONSUMERS")));
    for row in rows {
        let tone = match (row.serving, row.total) {
            (serving, total) if serving == total && total > 0 => Tone::Good,
            (0, _) => Tone::Bad,
            _ => Tone::Doubtful,
        };
        let mut cells: Vec<Cell> = Vec::new();
        cells.extend(all.then(|| row.namespace.as_str().into()));
        cells.push(row.service.as_str().into());
        cells.push(row.versions.join(",").into());
        cells.push(Cell::toned(tone, row.serving.to_string()));
        cells.push(row.total.to_string().into());
        cells.extend(
            each.map(|each| consumers(row, each).map(|number| number.to_string()).unwrap_or_default().into()),
        );
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(consumers: &[Option<Value>]) -> ServicesAnswer {
        let names = ["billing", "orders"];
        let services = names.iter().zip(consumers).map(|(name, consumers)| {
            let mut row = json!({"service": name, "namespace": "shop", "versions": ["1.4.2", "2.0.0"], "serving": 1, "total": 2});
            if let Some(consumers) = consumers {
                row["consumers"] = consumers.clone();
            }
            row
        });
        serde_json::from_value(json!({"services": services.collect::<Vec<_>>()})).unwrap()
    }

    #[test]
    fn services_are_told_in_a_table() {
        let rows = answer(&[None, None]).services;
        assert_eq!(
            table(&rows, true, None).text(Paint::new(false)),
            "NAMESPACE   SERVICE   VERSIONS      SERVING   TOTAL\n\
             shop        billing   1.4.2,2.0.0   1         2\n\
             shop        orders    1.4.2,2.0.0   1         2\n"
        );
    }

    #[test]
    fn consumers_are_those_of_all_replicas_or_unknown() {
        let [one, other] = [answer(&[Some(json!(2)), Some(json!(1))]), answer(&[Some(json!(3)), None])];
        let each = [Some(one.clone()), Some(other.clone())];
        assert_eq!(
            table(&one.services, false, Some(&each)).text(Paint::new(false)),
            "SERVICE   VERSIONS      SERVING   TOTAL   CONSUMERS\n\
             billing   1.4.2,2.0.0   1         2       5\n\
             orders    1.4.2,2.0.0   1         2       -\n"
        );
        let billing = &one.services[0];
        assert_eq!(consumers(billing, &[Some(one.clone()), None]), None, "one of them gave no answer");
        assert_eq!(consumers(billing, &[]), None);
        let knows_less = ServicesAnswer { services: other.services[1..].to_vec() };
        assert_eq!(consumers(billing, &[Some(one.clone()), Some(knows_less)]), Some(2), "not heard of: none");
        let none = answer(&[Some(json!(0)), Some(json!(0))]);
        assert_eq!(consumers(billing, &[Some(none.clone()), Some(none)]), Some(0), "nobody is no unknown");
    }
}
