//! Sessions with the controller by a client that knows nothing but docs/protocol.md: tests/protocol/client.py.

use crate::stage::{Scene, eventually};
use anyhow::{Context, Result, bail, ensure};
use rollcall_cluster::{companion::Companion, static_build};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A session of one pod, or several one after the other.
#[derive(Debug)]
pub struct Client {
    process: Companion,
    stdin: ChildStdin,
    heard: Arc<Mutex<Heard>>,
    errors: std::path::PathBuf,
}

/// What a client holds of each service: its instances by id, as `address:port state`.
pub type Held = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Debug, Default)]
struct Heard {
    held: Held,
    /// How many times it was in step.
    synced: usize,
    others: Vec<Value>,
}

impl Scene {
    /// Opens a session as this pod, with subscriptions to these services.
    pub fn client(&self, namespace: &str, pod: &str, services: &[&str]) -> Result<Client> {
        let token = self.token(namespace, pod, "rollcall")?;
        self.client_with(pod, &token, services)
    }

    /// The same, with the controller at this address.
    pub fn client_at(
        &self,
        controller: SocketAddr,
        namespace: &str,
        pod: &str,
        services: &[&str],
    ) -> Result<Client> {
        self.dialled(controller, pod, &self.token(namespace, pod, "rollcall")?, services)
    }

    /// A token of this audience that is bound to this pod.
    pub fn token(&self, namespace: &str, pod: &str, audience: &str) -> Result<String> {
        let bound = ["--bound-object-kind", "Pod", "--bound-object-name", pod];
        let token = ["create", "token", "default", "--duration", "1h", "--audience", audience];
        self.kubectl(namespace, &[token.as_slice(), &bound].concat())
    }

    pub fn client_with(&self, name: &str, token: &str, services: &[&str]) -> Result<Client> {
        let controller = self.stage.controller().sessions();
        self.dialled(controller, name, token, services)
    }

    fn dialled(&self, controller: SocketAddr, name: &str, token: &str, services: &[&str]) -> Result<Client> {
        let folder = self.stage.folder();
        let place = |what: &str| folder.join(format!("{name}-{what}"));
        fs::write(place("token"), token)?;
        fs::write(place("ca"), self.stage.authority()?)?;
        Client::start(&controller.to_string(), &place("ca"), &place("token"), &place("errors"), services)
    }
}

impl Client {
    fn start(address: &str, ca: &Path, token: &Path, errors: &Path, services: &[&str]) -> Result<Self> {
        let script = static_build::workspace().join("tests/protocol/client.py");
        let (ca, token, log) = (ca.to_owned(), token.to_owned(), File::create(errors)?);
        let (address, services) = (address.to_owned(), services.iter().map(ToString::to_string));
        let services: Vec<String> = services.collect();
        let mut process = Companion::start(
            "starting the client (it needs python3)",
            Path::new("python3"),
            move |python| {
                python.arg("-u").arg(script).args(["--address", &address]);
                python.arg("--ca").arg(ca).arg("--token").arg(token).arg("--subscribe").args(services);
                python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
            },
        )?;
        let stdin = process.take_stdin().context("no way in")?;
        let stdout = process.take_stdout().context("no way out")?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let hearing = heard.clone();
        // It ends with the process.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
                hearing.lock().unwrap_or_else(PoisonError::into_inner).hear(value);
            }
        });
        Ok(Self { process, stdin, heard, errors: errors.to_owned() })
    }

    /// `subscribe NAME`, `up FRAME`, `hangup`: see the script.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.stdin, "{line}").with_context(|| format!("the client ended: {}", self.last_words()))
    }

    /// Waits until it holds just this.
    pub fn holds(&self, what: &str, expected: impl Fn() -> Result<Held>) -> Result<()> {
        eventually(what, || {
            let expected = expected()?;
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            if heard.held == expected && heard.synced > 0 {
                return Ok(true);
            }
            let held = format!("{:?}", heard.held);
            drop(heard);
            bail!("held {held}\nand not {expected:?}\n{}", self.last_words())
        })
    }

    /// Waits for a frame of this type beside those that tell of services, and takes it.
    pub fn frame(&self, kind: &str) -> Result<Value> {
        let mut found = None;
        eventually(&format!("a frame `{kind}` comes"), || {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let place = heard.others.iter().position(|frame| frame.get(kind).is_some());
            found = place.map(|place| heard.others.remove(place)[kind].take());
            ensure!(found.is_some(), "{:?} {}", heard.others, self.last_words());
            Ok(true)
        })?;
        found.context("found and lost")
    }

    /// Takes all of this type that have come so far.
    pub fn frames(&self, kind: &str) -> Vec<Value> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let found = heard.others.extract_if(.., |frame| frame.get(kind).is_some());
        found.map(|mut frame| frame[kind].take()).collect()
    }

    /// Waits until it has ended by itself, and gives its last words.
    pub fn ended(&self) -> Result<String> {
        eventually("the session ends", || Ok(self.process.ended().is_some()))?;
        Ok(self.last_words())
    }

    fn last_words(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default().trim().to_owned()
    }
}

impl Heard {
    fn hear(&mut self, mut line: Value) {
        match line.get_mut("services").map(Value::take).map(serde_json::from_value) {
            Some(Ok(held)) => {
                self.held = held;
                self.synced += 1;
            }
            _ => self.others.push(line),
        }
    }
}
