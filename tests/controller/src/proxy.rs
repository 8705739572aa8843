//! The API server over plain HTTP, by `kubectl proxy`: a process for each of a thousand writes would be too slow.

use crate::http::{self, Answer};
use crate::kubectl::Kubectl;
use anyhow::{Context, Result, ensure};
use rollcall_cluster::companion::Companion;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{ChildStdout, Stdio};

/// A way to the API server with the user's own rights.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    _process: Companion,
    /// Kept, since a closed pipe would end it.
    _output: BufReader<ChildStdout>,
}

impl Proxy {
    pub fn start(kubectl: &Kubectl) -> Result<Self> {
        let kubeconfig = kubectl.kubeconfig.clone();
        let mut process = Companion::start("starting kubectl proxy", &kubectl.program, move |proxy| {
            proxy.env("KUBECONFIG", kubeconfig).args(["proxy", "--port=0"]);
            proxy.stdin(Stdio::null()).stdout(Stdio::piped());
        })?;
        let mut output = BufReader::new(process.take_stdout().context("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        // Starting to serve on 127.0.0.1:40123
        let address = line.trim().rsplit(' ').next().and_then(|address| address.parse().ok());
        Ok(Self { address: address.with_context(|| line.clone())?, _process: process, _output: output })
    }

    pub fn create(&self, path: &str, object: &Value) -> Result<Value> {
        self.send("POST", path, "application/json", object)
    }

    /// A strategic merge patch, as kubelets write statuses; not for custom resources.
    pub fn patch(&self, path: &str, patch: &Value) -> Result<Value> {
        self.send("PATCH", path, "application/strategic-merge-patch+json", patch)
    }

    pub fn delete(&self, path: &str, options: &Value) -> Result<Value> {
        self.send("DELETE", path, "application/json", options)
    }

    fn send(&self, method: &str, path: &str, content_type: &str, body: &Value) -> Result<Value> {
        let what = || format!("{method} {path}");
        let Answer { status, body, .. } =
            http::send(self.address, method, path, Some((content_type, &body.to_string())))
                .with_context(what)?;
        ensure!((200..300).contains(&status), "{method} {path}: {status} {body}");
        serde_json::from_str(&body).with_context(what)
    }
}
