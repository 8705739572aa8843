//! `rollcall dev` as a person meets it: the real program, its ports, its folder, its end.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test's helpers are tests too"
)]

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// A condition that does not come in this time does not come at all.
const ENOUGH: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// A `rollcall dev` that runs, and what it prints.
struct Dev {
    process: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    api: SocketAddr,
    read: SocketAddr,
    health: SocketAddr,
}

/// Its flags that name a port.
const PORTS: [&str; 6] = [
    "--api-listen",
    "--api-listen-v6",
    "--dns-listen",
    "--read-listen",
    "--read-listen-v6",
    "--health-listen",
];

/// With ports that are free, and nothing over IPv6: not every machine that tests has it.
fn command(folder: &Path) -> Command {
    command_at(folder, |_| None)
}

/// The same, with some of the ports where this says.
fn command_at(folder: &Path, at: impl Fn(&str) -> Option<SocketAddr>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(["dev", "--dir"]).arg(folder);
    for flag in PORTS {
        let at = at(flag).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        command.args([flag, &at.to_string()]);
    }
    command.env_remove("RUST_LOG").env_remove("KUBECONFIG");
    command
}

impl Dev {
    fn start(folder: &Path) -> Self {
        let mut process = command(folder).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = lines(process.stdout.take().unwrap());
        let mut seen: Vec<String> = Vec::new();
        while !seen.last().is_some_and(|line| line.starts_with("More: ")) {
            seen.push(lines.recv_timeout(ENOUGH).expect("the page was printed"));
        }
        let more = seen.last().unwrap();
        let addresses: Vec<SocketAddr> =
            more.split([' ', '/']).filter_map(|word| word.parse().ok()).collect();
        let [api, read, health] = addresses[..] else { panic!("{more}") };
        Self { process, lines, seen, api, read, health }
    }

    /// Waits for a line that holds all of this.
    fn until_said(&mut self, parts: &[&str]) {
        let deadline = Instant::now() + ENOUGH;
        while !self.seen.iter().any(|line| parts.iter().all(|part| line.contains(part))) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("{parts:?} was not said: {:#?}", self.seen),
            }
        }
    }

    fn get(&self, path: &str) -> (u16, String) {
        request(self.api, "GET", path, "")
    }

    fn put(&self, path: &str, body: &Value) -> (u16, String) {
        request(self.api, "PUT", path, &body.to_string())
    }

    /// The states of all instances of a service by their addresses.
    fn states(&self, service: &str) -> Vec<(String, String)> {
        let (status, body) = self.get(&format!("/v1/services/{service}?all=true"));
        if status != 200 {
            return Vec::new();
        }
        let body: Value = serde_json::from_str(&body).unwrap();
        let text = |one: &Value, field: &str| one[field].as_str().unwrap().to_owned();
        let mut all: Vec<_> = body["instances"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (format!("{}:{}", text(one, "address"), one["port"]), text(one, "state")))
            .collect();
        all.sort();
        all
    }

    fn until_states(&self, service: &str, expected: &[(String, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(at, state)| (at.clone(), (*state).to_owned())).collect();
        until(|| self.states(service), |states| *states == expected);
    }

    /// As `kill -9` does.
    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// As ctrl-C does; gives its exit code.
    fn end(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // What a failed test leaves behind would hold the output of the test open.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn until<T: std::fmt::Debug>(look: impl Fn() -> T, is_so: impl Fn(&T) -> bool) {
    let deadline = Instant::now() + ENOUGH;
    loop {
        let seen = look();
        if is_so(&seen) {
            return;
        }
        assert!(Instant::now() < deadline, "{seen:?}");
        thread::sleep(PAUSE);
    }
}

fn request(to: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    let content = match body {
        "" => String::new(),
        body => format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()),
    };
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n{content}\r\n{body}")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn manifest(name: &str, address: &str, port: u16) -> String {
    format!(
        "apiVersion: rollcall.dev/v1alpha1\nkind: ServiceRegistration\nmetadata: {{name: {name}}}\nspec:\n  target: {{addresses: [{{address: {address}}}]}}\n  ports: [{{name: http, port: {port}}}]\n"
    )
}

/// An app that listens, and nothing more.
fn app(address: &str) -> (TcpListener, u16) {
    let app = TcpListener::bind((address, 0)).unwrap();
    let port = app.local_addr().unwrap().port();
    (app, port)
}

#[test]
fn what_registers_is_found_by_all_ways_at_once() {
    let place = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(&place.path().join("rollcall"));
    let (_app, port) = app("127.0.0.1");
    let said = json!({"service": "orders", "version": "1.4.2", "ports": {"http": port}});
    assert_eq!(dev.put("/v1/self", &said).0, 200);
    dev.until_states("orders", &[(format!("127.0.0.1:{port}"), "Serving")]);
    dev.until_said(&["orders.default", &port.to_string(), "Serving"]);
    assert_eq!(dev.get("/v1/services/orders?version=%5E1.4").0, 200);
    assert_eq!(dev.get("/v1/services/nobody").0, 404);
    // Nobody from before is waited for: the only caller is here.
    let (status, drained) = request(dev.api, "POST", "/v1/self/drain?deadline=5s", "{}");
    assert!(status == 200 && drained.contains("\"complete\":true"), "{status} {drained}");
    dev.until_states("orders", &[(format!("127.0.0.1:{port}"), "Draining")]);
    assert_eq!(request(dev.api, "DELETE", "/v1/self/drain", "").0, 204);
    dev.until_states("orders", &[(format!("127.0.0.1:{port}"), "Serving")]);
    // As a controller shows it, and measured by both halves.
    let (status, body) = request(dev.read, "GET", "/v1/services/orders.default", "");
    assert!(status == 200 && body.contains(&format!("\"port\":{port}")), "{body}");
    let (status, metrics) = request(dev.health, "GET", "/metrics", "");
    assert_eq!(status, 200);
    for part in ["rollcall_lookups_total{api=", "rollcall_sessions 1", "rollcall_freeze 0"] {
        assert!(metrics.contains(part), "{part} in {metrics}");
    }
    let families: Vec<_> = metrics.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    assert_eq!(families.len(), families.iter().collect::<BTreeSet<_>>().len(), "a family is written twice");
    assert_eq!(request(dev.health, "GET", "/readyz", "").0, 200);
    assert_eq!(dev.end(), Some(0));
}

#[test]
fn a_folder_is_followed_and_a_bad_file_is_named_with_its_line() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("rollcall");
    let mut dev = Dev::start(&folder);
    let (app, port) = app("127.0.0.1");
    let at = |name: &str| folder.join(name);
    fs::write(at("bad.yaml"), manifest("bad", "127.0.0.1", port).replace("ports:", "prots:")).unwrap();
    fs::write(at("orders.yaml"), manifest("orders", "127.0.0.1", port)).unwrap();
    dev.until_said(&["+ orders.yaml: orders.default"]);
    dev.until_said(&["! bad.yaml:6: spec.prots", "did you mean `ports`?"]);
    dev.until_states("orders", &[(format!("127.0.0.1:{port}"), "Serving")]);
    drop(app);
    dev.until_states("orders", &[(format!("127.0.0.1:{port}"), "Failing")]);
    fs::remove_file(at("orders.yaml")).unwrap();
    dev.until_said(&["- orders.yaml: gone"]);
    until(|| dev.get("/v1/services/orders").0, |status| *status == 404);
}

#[test]
fn no_file_ends_it_and_no_output_that_nobody_reads_holds_it_up() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("rollcall");
    let mut dev = Dev::start(&folder);
    let at = |name: &str| folder.join(name);
    for (name, open, close) in [("list.yaml", "[", "]"), ("object.json", "{\"a\":", "}")] {
        let value = format!("{}1{}", open.repeat(5_000), close.repeat(5_000));
        fs::write(at(name), format!("{{\"kind\": \"X\", \"a\": {value}}}")).unwrap();
        dev.until_said(&[&format!("! {name}:1:"), "nested"]);
    }
    fs::write(at("many.json"), "{}\n".repeat(100_000)).unwrap();
    dev.until_said(&["! many.json:", "several files"]);
    assert_eq!(dev.get("/v1/services").0, 200);
    drop(dev);

    // It starts with all of them there, and its output is a pipe that nobody empties.
    let mut silent = command(&folder).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut output = silent.stdout.take().unwrap();
    let mut first = [0; 1];
    output.read_exact(&mut first).unwrap();
    for round in 0..40 {
        for file in 0..25 {
            fs::write(at(&format!("f{file}.yaml")), format!("a: {round}\n---\n").repeat(900)).unwrap();
        }
        thread::sleep(PAUSE);
    }
    assert!(Command::new("kill").arg(silent.id().to_string()).status().unwrap().success());
    let deadline = Instant::now() + ENOUGH;
    while silent.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it does not end");
        thread::sleep(PAUSE);
    }
}

#[test]
fn a_kill_loses_nothing_and_what_beats_is_in_doubt_until_it_does() {
    let place = tempfile::tempdir().unwrap();
    let dev = Dev::start(place.path());
    let (_one, port) = app("127.0.0.1");
    let probed = json!({"service": "probed", "ports": {"http": port}});
    assert_eq!(dev.put("/v1/self", &probed).0, 200);
    let beats = |at: &str| json!({"address": at, "port": 8080, "ttl": "600s"}).to_string();
    for at in ["127.0.0.1", "127.0.0.2"] {
        let answer = request(dev.api, "POST", "/beats/1.0.0/register", &beats(at));
        assert_eq!(answer.0, 200, "{at}: {}", answer.1);
    }
    let taken = request(dev.api, "POST", "/beats/1.0.0/register", &beats("127.0.0.2"));
    assert_eq!(taken.0, 409, "{}", taken.1);
    let foreign = request(dev.api, "POST", "/beats/1.0.0/register", &beats("198.51.100.7"));
    assert_eq!(foreign.0, 403, "{}", foreign.1);
    let both = |state| [("127.0.0.1:8080".to_owned(), state), ("127.0.0.2:8080".to_owned(), state)];
    dev.until_states("beats", &both("Serving"));
    dev.kill();

    let dev = Dev::start(place.path());
    dev.until_states("probed", &[(format!("127.0.0.1:{port}"), "Serving")]);
    dev.until_states("beats", &both("Suspect"));
    // Nothing better is left, and so they are served.
    let (_, body) = dev.get("/beats/1.0.0/getaddresses");
    assert_eq!(body.trim(), r#"{"addresses":["127.0.0.1:8080","127.0.0.2:8080"]}"#);
    assert_eq!(dev.get("/beats/1.0.0/heartbeat?address=127.0.0.2&port=8080").0, 200);
    let [first, second] = both("Suspect");
    dev.until_states("beats", &[first, (second.0, "Serving")]);
    assert_eq!(dev.get("/beats/1.0.0/heartbeat").0, 200);
    dev.until_states("beats", &both("Serving"));
}

#[test]
fn a_second_one_on_the_same_folder_or_port_is_refused_with_a_sentence() {
    let place = tempfile::tempdir().unwrap();
    let dev = Dev::start(place.path());
    let output = command(place.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("process {}", dev.process.id())) && said.contains("--dir"), "{said}");
    for (flag, at) in
        [("--api-listen", dev.api), ("--read-listen", dev.read), ("--health-listen", dev.health)]
    {
        let other = place.path().join("other");
        let mut second = command_at(&other, |port| (port == flag).then_some(at));
        let output = second.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("{flag} {at}")) && said.contains("another `rollcall dev`"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
