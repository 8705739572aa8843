//! Whom the catalogue is asked: the controllers of a cluster, or the `rollcall dev` of this machine.

use std::{net::SocketAddr, time::Duration};

use http::Method;
use rollcall_catalogue::Namespace;
use tokio::time::timeout;

use super::{Answer, ForwardError, Line, READ_PORT, Reach, Replica, Told, unreachable};
use crate::{
    failure::Failure,
    options::{LOCAL, Where},
};

/// Where nobody says which namespace is meant, as `rollcall dev` has it.
const LOCAL_NAMESPACE: &str = "default";
/// What answers on this machine does so at once.
const LOCAL_MAX: Duration = Duration::from_millis(500);
/// How a registry without replicas is called.
const DEV: &str = "rollcall dev";

/// Says whom the catalogue is asked.
#[derive(Clone)]
pub(crate) enum Source {
    Cluster(Box<Reach>),
    Local(Local),
}

/// Holds the way to the `rollcall dev` of this machine: its read API, on loopback.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    address: SocketAddr,
    namespace: Namespace,
    timeout: Duration,
}

// === impl Source ===

impl Source {
    pub(crate) async fn new(place: &Where) -> Result<Self, Failure> {
        let Some(address) = place.local else {
            let reach = or_local(Reach::new(place).await, LOCAL).await?;
            return Ok(Self::Cluster(Box::new(reach)));
        };
        let namespace = match &place.namespace {
            Some(namespace) => namespace.clone(),
            None => LOCAL_NAMESPACE.parse().map_err(anyhow::Error::new)?,
        };
        Ok(Self::Local(Local { address, namespace, timeout: place.timeout }))
    }

    /// The namespace that is meant where none is said.
    pub(crate) fn namespace(&self) -> &Namespace {
        match self {
            Self::Cluster(reach) => &reach.namespace,
            Self::Local(local) => &local.namespace,
        }
    }

    /// What a command that is named as a remedy must say to ask the same.
    pub(crate) fn flags(&self) -> String {
        match self {
            Self::Cluster(_) => String::new(),
            Self::Local(local) if local.address == LOCAL => " --local".to_owned(),
            Self::Local(local) => format!(" --local={}", local.address),
        }
    }

    /// For how long an answer is waited for.
    pub(crate) fn timeout(&self) -> Duration {
        match self {
            Self::Cluster(reach) => reach.timeout,
            Self::Local(local) => local.timeout,
        }
    }

    /// The cluster, where there is one: more can be asked of it than its catalogue.
    pub(crate) fn cluster(&self) -> Option<&Reach> {
        match self {
            Self::Cluster(reach) => Some(reach),
            Self::Local(_) => None,
        }
    }

    /// What the first answers that can.
    pub(crate) async fn read(&self, path: &str) -> Result<Answer, Failure> {
        match self {
            Self::Cluster(reach) => or_local(reach.read(path).await, LOCAL).await,
            Self::Local(local) => local.ask(path).await.map_err(|error| no_dev(&error)),
        }
    }

    /// All who keep the catalogue; one at least.
    pub(crate) async fn replicas(&self) -> Result<Vec<Replica>, Failure> {
        match self {
            Self::Cluster(reach) => or_local(reach.some_replicas().await, LOCAL).await,
            Self::Local(_) => Ok(vec![Replica::named(DEV)]),
        }
    }

    /// What each of these answers.
    pub(crate) async fn read_each(&self, replicas: &[Replica], path: &str) -> Vec<Told> {
        match self {
            Self::Cluster(reach) => reach.read_each(replicas, READ_PORT, path).await,
            Self::Local(local) => vec![Told { pod: DEV.to_owned(), answer: local.ask(path).await }],
        }
    }

    /// A connection for more than one question.
    pub(crate) async fn line(&self) -> Result<Line, Failure> {
        match self {
            Self::Cluster(reach) => or_local(reach.line().await, LOCAL).await,
            Self::Local(local) => {
                let opened = timeout(local.timeout, Line::local(local.address)).await;
                opened.unwrap_or(Err(ForwardError::TimedOut(local.timeout))).map_err(|error| no_dev(&error))
            }
        }
    }
}

// === impl Local ===

impl Local {
    async fn ask(&self, path: &str) -> Result<Answer, ForwardError> {
        let asked = async { Line::local(self.address).await?.ask(Method::GET, path).await };
        timeout(self.timeout, asked).await.unwrap_or(Err(ForwardError::TimedOut(self.timeout)))
    }
}

fn no_dev(error: &ForwardError) -> Failure {
    unreachable(
        DEV,
        &error.to_string(),
        "start it by `rollcall dev`, or say where it is by --local=ADDRESS (its --read-listen)",
    )
}

/// Where no cluster answers, and `rollcall dev` does, the remedy says how that is asked.
async fn or_local<T>(result: Result<T, Failure>, address: SocketAddr) -> Result<T, Failure> {
    match result {
        Err(Failure::Unreachable { what, why, remedy })
            if matches!(what.as_str(), "API server" | "kubeconfig") =>
        {
            let remedy = match answers(address).await {
                true => format!(
                    "{remedy}; a `rollcall dev` answers at {address} of this machine: add --local to ask it"
                ),
                false => remedy,
            };
            Err(Failure::Unreachable { what, why, remedy })
        }
        other => other,
    }
}

/// Whether a registry of ours answers there, and not just anybody.
async fn answers(address: SocketAddr) -> bool {
    let asked = async { Line::local(address).await?.ask(Method::GET, "/").await };
    match timeout(LOCAL_MAX, asked).await {
        Ok(Ok(answer)) => answer.is_ok() && String::from_utf8_lossy(&answer.body).contains("Rollcall"),
        Ok(Err(_)) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers everybody like this, until the test ends.
    async fn somebody(body: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut asked = [0; 4_096];
                let _ = socket.read(&mut asked).await.unwrap();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn where_no_cluster_answers_and_dev_does_the_remedy_says_so() {
        let failure = |what: &str| Err::<(), _>(unreachable(what, "why", "remedy"));
        let dev = somebody("Rollcall controller\n").await;
        for what in ["API server", "kubeconfig"] {
            let said = or_local(failure(what), dev).await.unwrap_err().to_string();
            assert!(
                said.contains("remedy; a `rollcall dev` answers") && said.contains("add --local"),
                "{said}"
            );
        }
        let said = or_local(failure("controller"), dev).await.unwrap_err().to_string();
        assert!(!said.contains("--local"), "the cluster answers: {said}");
        let other = somebody("<html>").await;
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for address in [other, nobody] {
            let said = or_local(failure("API server"), address).await.unwrap_err().to_string();
            assert!(said.ends_with("remedy"), "{said}");
        }
        assert!(or_local(Ok(()), dev).await.is_ok());
    }
}
