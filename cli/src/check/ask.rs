//! What the controllers are asked, and how their answers are read.

use http::Method;
use serde::de::DeserializeOwned;

use super::{
    facts::{Asked, Dump, Replied, Silence},
    prometheus,
};
use crate::reach::{Answer, ForwardError, READ_PORT, Reach, Replica, Told, body, decoded};

/// The controller's metrics.
const METRICS_PORT: u16 = 7391;

/// What each replica says of itself and of the catalogue.
pub(super) async fn replied(reach: &Reach, replicas: &[Replica]) -> Vec<Replied> {
    let (dumps, metrics) = tokio::join!(
        reach.read_each(replicas, READ_PORT, "/v1/catalogue"),
        reach.read_each(replicas, METRICS_PORT, "/metrics")
    );
    let pairs = dumps.into_iter().zip(metrics);
    pairs
        .map(|(dump, metrics)| Replied {
            pod: dump.pod,
            dump: read(dump.answer, dumped),
            metrics: read(metrics.answer, |text| prometheus::metrics(&String::from_utf8_lossy(text))),
        })
        .collect()
}

/// The dumps once more, of those who gave one.
pub(super) async fn dumps_again(reach: &Reach, told: &mut [Replied]) {
    let replicas: Vec<_> = told.iter().map(|one| Replica::named(&one.pod)).collect();
    let again = reach.read_each(&replicas, READ_PORT, "/v1/catalogue").await;
    for (one, Told { answer, .. }) in told.iter_mut().zip(again) {
        one.dump = read(answer, dumped);
    }
}

/// What the first of them says that answers at all.
pub(crate) async fn first<T: DeserializeOwned>(reach: &Reach, replicas: &[Replica], path: &str) -> Asked<T> {
    let mut last = "there is no controller to be asked".to_owned();
    for replica in replicas {
        match reach.ask(&reach.system, &replica.pod, READ_PORT, Method::GET, path).await {
            Ok(answer) if answer.status == 404 => return Asked::NotKnown,
            Ok(answer) => match decoded(&answer) {
                Ok(told) => return Asked::Told(told),
                Err(failure) => last = failure.to_string(),
            },
            Err(error) => last = error.to_string(),
        }
    }
    Asked::Unanswered(last)
}

fn read<T>(answer: Result<Answer, ForwardError>, reads: impl FnOnce(&[u8]) -> T) -> Result<T, Silence> {
    let answer = answer.map_err(|error| match error {
        ForwardError::Forbidden(_) => Silence::Forbidden,
        other => Silence::Other(other.to_string()),
    })?;
    body(&answer).map(reads).map_err(|failure| Silence::Other(failure.to_string()))
}

/// Without the first line, which is the replica's own.
fn dumped(body: &[u8]) -> Dump {
    Dump(String::from_utf8_lossy(body).lines().skip(1).map(str::to_owned).collect())
}
