//! `rollcall-sidecar requires`: an init container that keeps its pod back until what it needs is there, and no longer than it
//! was told to. It never keeps a pod from starting: whatever happens, it ends well, unless it was told to fail.
//!
//! ```text
//!  flags ─► Requires ── GET /v1/ready, again and again ──► the sidecar beside it
//!              └─ not in time: one sentence ─► the termination message ─► the controller's Event
//! ```

use std::{fmt::Write as _, fs::OpenOptions, io, io::Write as _, net::SocketAddr, path::PathBuf};

use bytes::Bytes;
use clap::Parser;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rollcall_catalogue::Need;
use rollcall_net::{Jitter, Trigger, loopback};
use rollcall_wire::{
    api::{Needed, Ready},
    query::duration,
};
use thiserror::Error;
use tokio::{
    net::TcpStream,
    time::{Duration, Instant, sleep, timeout},
};
use tracing::{info, warn};

use crate::api::FIRST_ANSWER_MAX;

/// A question waits so long for its answer, so that the logs say now and then what is missing.
const ASK_FOR: Duration = Duration::from_secs(5);
/// An answer comes so much later than asked for at most: a first one is waited for in any case, and the machine may be busy.
const SLACK: Duration = FIRST_ANSWER_MAX.saturating_add(Duration::from_secs(1));
/// The first pause after a question without an answer: the sidecar may be about to listen.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest one: an app that could start waits for the pause as well.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A day: who waits longer does not mean it.
const TIMEOUT_MAX: Duration = Duration::from_secs(86_400);
/// Bytes of an answer: as many services as one question may name, with the longest names.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Services that the sentence names, which is to fit into an Event.
const NAMED_MAX: usize = 5;
/// What the sentence begins with: the controller finds it by this word.
const TIMED_OUT: &str = "RequiresTimedOut";

/// Waits until what the pod needs is there, or until the time is over; ends well in both cases.
#[derive(Debug, Clone, Parser)]
#[command(name = "requires")]
pub struct Requires {
    /// What the pod needs, as the annotation rollcall.dev/requires has it: orders>=2,billing.
    #[arg(long, value_parser = deps)]
    pub deps: String,

    /// For how long the pod is kept back: 500ms, 60s or 5m.
    #[arg(long, value_parser = time, default_value = "60s")]
    pub timeout: Duration,

    /// Where the sidecar answers lookups.
    #[arg(long, value_parser = api, default_value = "http://127.0.0.1:7300")]
    pub url: SocketAddr,

    /// Where one sentence is left if the time is over; the kubelet makes this file, and where there is none, only the log has
    /// it.
    #[arg(long, default_value = "/dev/termination-log")]
    pub termination_log: PathBuf,

    /// End with 1 where the time is over before all is there: for checks, which shall fail, and not for pods.
    #[arg(long)]
    pub fail: bool,
}

/// Says why a question has no answer.
#[derive(Debug, Error)]
enum Unanswered {
    #[error("the sidecar cannot be reached")]
    Unreachable(#[from] io::Error),
    #[error("the sidecar broke off")]
    BrokenOff(#[from] hyper::Error),
    #[error("the sidecar did not answer in time")]
    TimedOut,
    #[error("the sidecar answered with {0}")]
    Refused(StatusCode),
    #[error("the question cannot be written; this is a bug")]
    Question(#[from] http::Error),
}

fn deps(text: &str) -> Result<String, String> {
    match Need::list(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; {}", error.remedy())),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let time = duration(text).ok_or("no time; use one as 500ms, 60s or 5m")?;
    if time > TIMEOUT_MAX {
        return Err(format!("too long; use at most {}m", TIMEOUT_MAX.as_secs() / 60));
    }
    Ok(time)
}

fn api(text: &str) -> Result<SocketAddr, String> {
    let address = text.strip_prefix("http://").ok_or("no such address; use one as http://127.0.0.1:7300")?;
    loopback(address.trim_end_matches('/'))
}

// === impl Requires ===

impl Requires {
    /// Returns when all is there, when the time is over, or when the process is told to end; gives whether that is well.
    pub async fn run(self) -> bool {
        // The first process of a container does not end by a signal that it does not hear.
        let told_to_end = async {
            match Trigger::signalled().await {
                Ok(signal) => info!(signal, "the pod ends; not waiting any more"),
                Err(error) => {
                    warn!(%error, "signals are not heard");
                    std::future::pending::<()>().await;
                }
            }
        };
        let all_there = tokio::select! {
            // The signal's handler is there before anything is waited for.
            biased;
            () = told_to_end => false,
            all_there = self.wait() => all_there,
        };
        all_there || !self.fail
    }

    /// Whether all was there in time.
    async fn wait(&self) -> bool {
        let until = Instant::now() + self.timeout;
        let (mut pause, mut jitter) = (PAUSE_MIN, Jitter::from_entropy());
        let mut known = None;
        loop {
            let begin = Instant::now();
            let wait = until.saturating_duration_since(begin).min(ASK_FOR);
            match self.ask(wait).await {
                Ok(Ready { ready: true, .. }) => {
                    info!(deps = self.deps, "all that the pod requires is there");
                    return true;
                }
                Ok(Ready { deps, .. }) => {
                    info!(missing = missing(&deps), "the pod waits for what it requires");
                    known = Some(deps);
                }
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    info!(%error, cause, "no answer yet; the sidecar may be starting");
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // Who answers at once what was to be waited for would be asked without end.
            pause = if begin.elapsed() < wait { (pause * 2).min(PAUSE_MAX) } else { PAUSE_MIN };
            sleep(jitter.up_to(pause).min(left)).await;
        }
        self.leave(&self.sentence(known.as_deref()));
        false
    }

    /// The answer, once all is there or after this time.
    async fn ask(&self, wait: Duration) -> Result<Ready, Unanswered> {
        let answer = timeout(wait + SLACK, self.exchange(wait)).await.map_err(|_| Unanswered::TimedOut)?;
        let (status, body) = answer?;
        serde_json::from_slice(&body).map_err(|_| Unanswered::Refused(status))
    }

    async fn exchange(&self, wait: Duration) -> Result<(StatusCode, Bytes), Unanswered> {
        let target = format!("/v1/ready?deps={}&wait={}ms", escaped(&self.deps), wait.as_millis());
        let request = Request::get(target)
            .header(header::HOST, self.url.to_string())
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())?;
        let stream = TcpStream::connect(self.url).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|_| Unanswered::Refused(status))?.to_bytes()))
        };
        // What ends the connection too early, the exchange says as well.
        tokio::join!(exchange, connection).0
    }

    fn sentence(&self, known: Option<&[Needed]>) -> String {
        let why = match known {
            Some(deps) => missing(deps),
            None => format!("the sidecar did not answer at {}", self.url),
        };
        format!("{TIMED_OUT}: after {}: {why}", written(self.timeout))
    }

    /// Leaves the sentence where the kubelet takes it from.
    fn leave(&self, sentence: &str) {
        warn!("{sentence}; the pod starts without it");
        let file = OpenOptions::new().write(true).truncate(true).open(&self.termination_log);
        if let Err(error) = file.and_then(|mut file| file.write_all(sentence.as_bytes())) {
            info!(path = %self.termination_log.display(), %error, "no termination message");
        }
    }
}

/// What is not there: `orders needs 2 and has 1`.
fn missing(deps: &[Needed]) -> String {
    let missing: Vec<_> = deps.iter().filter(|dep| dep.have < dep.need).collect();
    let named = missing.iter().take(NAMED_MAX);
    let mut text: Vec<_> =
        named.map(|dep| format!("{} needs {} and has {}", dep.service, dep.need, dep.have)).collect();
    if missing.len() > NAMED_MAX {
        text.push(format!("and {} more", missing.len() - NAMED_MAX));
    }
    text.join(", ")
}

fn written(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}

/// The text as a query's value.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' => {
                escaped.push(byte.into());
            }
            // Writing into a String cannot fail.
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(flags: &[&str]) -> Result<Requires, clap::Error> {
        Requires::try_parse_from([&["requires"], flags].concat())
    }

    #[test]
    fn flags_are_read_or_refused_with_a_remedy() {
        let good = parsed(&["--deps", "orders>=2,billing.bank", "--timeout=5m", "--url=http://[::1]:7300/"])
            .unwrap();
        assert_eq!((good.timeout.as_secs(), good.url.to_string()), (300, "[::1]:7300".to_owned()));
        let default = parsed(&["--deps=orders"]).unwrap();
        assert_eq!((default.timeout.as_secs(), default.url), (60, "127.0.0.1:7300".parse().unwrap()));
        for (flags, says) in [
            (&["--timeout=60s"][..], "--deps"),
            (&["--deps="], "use `service`"),
            (&["--deps=orders>2"], "commas between them"),
            (&["--deps=orders>=0"], "from 1 on"),
            (&["--deps=orders", "--timeout=60"], "use one as 500ms"),
            (&["--deps=orders", "--timeout=99999999999m"], "use at most 1440m"),
            (&["--deps=orders", "--url=https://127.0.0.1:7300"], "http://127.0.0.1:7300"),
            (&["--deps=orders", "--url=http://10.0.0.1:7300"], "not a loopback address"),
        ] {
            let error = parsed(flags).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(says), "{flags:?}: {error}");
        }
    }

    #[test]
    fn the_sentence_says_what_was_missing() {
        let needed = |service: &str, need, have| Needed { service: service.to_owned(), need, have };
        let requires = parsed(&["--deps=orders"]).unwrap();
        let sentence =
            requires.sentence(Some(&[needed("orders", 2, 1), needed("web", 1, 3), needed("billing", 1, 0)]));
        assert_eq!(
            sentence,
            "RequiresTimedOut: after 60s: orders needs 2 and has 1, billing needs 1 and has 0"
        );
        let many: Vec<_> =
            (0..64).map(|_| needed(&["x".repeat(63), "y".repeat(63)].join("."), 99, 0)).collect();
        let sentence = requires.sentence(Some(&many));
        assert!(sentence.ends_with(", and 59 more") && sentence.len() < 1_024, "{sentence}");
        let silent = Requires { timeout: Duration::from_millis(1_500), ..requires };
        assert_eq!(
            silent.sentence(None),
            "RequiresTimedOut: after 1500ms: the sidecar did not answer at 127.0.0.1:7300"
        );
    }

    #[test]
    fn what_is_needed_is_escaped_as_a_value() {
        for (text, value) in [
            ("orders>=2,billing", "orders%3E%3D2,billing"),
            ("a.b , c", "a.b%20,%20c"),
            ("a&wait=1+%é", "a%26wait%3D1%2B%25%C3%A9"),
        ] {
            assert_eq!(escaped(text), value);
        }
    }
}
