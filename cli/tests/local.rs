//! The verbs that ask the `rollcall dev` of this machine: here its read API is played.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// Holds a read API that answers by a table, and who asked it what.
struct ReadApi {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

const INSTANCE: &str = r#"{"id":"127.0.0.1-8080","address":"127.0.0.1","port":8080,"version":"1.4.2","pod":"127-0-0-1","state":"Serving","reason":"Ready"}"#;

// === impl ReadApi ===

impl ReadApi {
    fn new() -> Self {
        let service = format!(
            r#"{{"service":"orders","namespace":"default","revision":1,"versions":["1.4.2"],"instances":[{INSTANCE}]}}"#
        );
        let services = r#"{"services":[{"service":"orders","namespace":"default","versions":["1.4.2"],"serving":1,"total":1,"consumers":1}]}"#;
        let explained = r#"{"service":"orders","namespace":"default","instances":[{"id":"127.0.0.1-8080","address":"127.0.0.1","port":8080,"pod":"127-0-0-1",
            "served":true,"state":"Serving","reason":"Ready","sinceSeconds":3,
            "witnesses":{"pod":"ready","endpoint":"none","session":"live","probe":"passing","intent":"stay","registry":"well"}}],"partial":false}"#;
        let consumers = r#"{"service":"orders","namespace":"default","replica":"dev","partial":false,"others":[],
            "consumers":[{"namespace":"default","pod":"127-0-0-1","subscribed":true,"lookups":3,"lastLookupSecondsAgo":1}],"total":1,"truncated":false}"#;
        let table: BTreeMap<&str, String> = BTreeMap::from([
            ("/v1/services", services.to_owned()),
            ("/v1/services?namespace=default", services.to_owned()),
            ("/v1/services/orders.default", service.clone()),
            ("/v1/services/orders.default?version=%5E1.4", service.clone()),
            ("/v1/services/orders.default?all=true", service),
            ("/v1/services/orders.default/consumers", consumers.to_owned()),
            ("/v1/explain/orders.default", explained.to_owned()),
            (
                "/v1/catalogue?namespace=default",
                r#"{"services":[{"service":"orders","visibility":"namespace","instances":[]}]}"#.to_owned(),
            ),
            (
                "/v1/sessions?namespace=default",
                r#"{"replica":"dev","pods":[{"namespace":"default","pod":"127-0-0-1","session":"live","sinceSeconds":3}],"total":1}"#.to_owned(),
            ),
        ]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (table, notes) = (Arc::new(table), asked.clone());
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (table, notes) = (table.clone(), notes.clone());
                thread::spawn(move || answer(connection.unwrap(), &table, &notes));
            }
        });
        Self { address, asked }
    }

    fn rollcall(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command.args(args).args(["--local", self.address.as_str()]).env("HOME", "/nowhere");
        // A cluster that is meant elsewhere has no say.
        command.env("KUBECONFIG", "/nowhere/config").env("ROLLCALL_SYSTEM_NAMESPACE", "elsewhere");
        command
    }

    /// How it ends, what it prints, and what it says.
    fn ended(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.rollcall(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

/// Answers the questions of a connection; those who are not asked by its own name are refused, as the real one does.
fn answer(stream: TcpStream, table: &BTreeMap<&str, String>, asked: &Mutex<Vec<String>>) {
    let own = stream.local_addr().unwrap().to_string();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let mut stream = stream;
    while let Some(request) = lines.next() {
        let headers: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let path = request.split(' ').nth(1).unwrap().to_owned();
        let is_own = headers.iter().any(|line| line.to_lowercase() == format!("host: {own}"));
        let (status, body) = match table.get(path.as_str()) {
            _ if !is_own => (403, r#"{"detail":"this host is not served"}"#),
            Some(body) => (200, body.as_str()),
            None => (404, r#"{"detail":"no registration names it","hint":"look"}"#),
        };
        asked.lock().unwrap().push(path);
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all((head + body).as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn what_this_machines_registry_holds_is_told_without_a_cluster() {
    let api = ReadApi::new();
    for (args, told) in [
        (&["services"][..], "orders    1.4.2      1         1\n"),
        (&["services", "-A"], "default     orders"),
        (&["services", "-o", "wide"], "CONSUMERS\norders    1.4.2      1         1       1\n"),
        (&["services", "-o", "json"], r#"{"services":[{"service":"orders""#),
        (&["consumers", "orders"], "default     127-0-0-1   3         1s"),
        (&["consumers", "orders", "-o", "json"], r#""partial":false"#),
        (&["resolve", "orders"], "127.0.0.1:8080\n"),
        (&["resolve", "orders.default@^1.4"], "127.0.0.1:8080\n"),
        (&["explain", "orders"], "orders.default: 1 of 1 served\n"),
        (&["explain", "orders"], "seen by pods of default alone\n"),
        (&["explain", "orders", "-o", "json"], r#""served":true"#),
        (&["sidecars"], "127-0-0-1   -         live      3s\n"),
        (&["sidecars", "-o", "json"], r#""session":"live""#),
    ] {
        let (code, printed, said) = api.ended(args);
        assert_eq!((code, said.as_str()), (0, ""), "{args:?}: {printed}");
        assert!(printed.contains(told), "{args:?}: {printed}");
    }
}

#[test]
fn what_is_not_there_ends_as_it_does_in_a_cluster() {
    let api = ReadApi::new();
    for (args, code, told) in [
        (&["resolve", "ordres"][..], 1, "did you mean `orders.default`?"),
        (&["explain", "ordres"], 1, "did you mean `orders.default`?"),
        (&["consumers", "billing"], 1, "there is no service `billing.default`"),
        (&["resolve", "orders", "-n", "shop"], 1, "did you mean `orders.default`?"),
        (&["explain", "orders", "--from", "bank"], 1, ""),
        (&["drain", "orders-1"], 2, "a drain is of a pod in a cluster"),
        (&["explain", "pod/orders-1"], 2, "a pod is of a cluster"),
        (&["check"], 2, "a check is of an installation in a cluster"),
    ] {
        let (ended, _, said) = api.ended(args);
        assert_eq!(ended, code, "{args:?}: {said}");
        assert!(said.contains(told), "{args:?}: {said}");
    }
    let (_, printed, _) = api.ended(&["explain", "orders", "--from", "bank"]);
    assert!(printed.contains("pods of bank may not see `orders.default`"), "{printed}");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = ReadApi { address: nobody.to_string(), asked: Arc::default() };
    let (code, _, said) = silent.ended(&["services"]);
    assert!(code == 3 && said.contains("start it by `rollcall dev`"), "{code}: {said}");
}

#[test]
fn a_watch_of_this_machines_registry_goes_on_over_one_connection() {
    let api = ReadApi::new();
    let mut watch = api.rollcall(&["watch", "orders"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "+ 127.0.0.1:8080 Serving Ready 127-0-0-1 1.4.2");
    while api.asked.lock().unwrap().len() < 3 {
        thread::sleep(Duration::from_millis(20));
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert!(api.asked.lock().unwrap().iter().all(|path| path == "/v1/services/orders.default?all=true"));
}
