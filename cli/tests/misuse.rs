//! The verbs in the hands of somebody who errs: each slip is named with what was meant, and whatever is wrong with the way to the
//! cluster ends in time and with a remedy.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::{
    fs,
    io::Read,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// What each verb is told at least.
const VERBS: [&[&str]; 11] = [
    &["check"],
    &["check", "--pre"],
    &["services"],
    &["services", "-o", "wide"],
    &["consumers", "orders"],
    &["resolve", "orders"],
    &["explain", "orders"],
    &["explain", "pod/orders-1"],
    &["sidecars"],
    &["watch", "orders"],
    &["drain", "orders-1"],
];

/// The command, in an environment in which nothing of the user's own has a say.
fn rollcall(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(args).stdin(Stdio::null()).env("HOME", "/nowhere");
    for name in ["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "ROLLCALL_SYSTEM_NAMESPACE"] {
        command.env_remove(name);
    }
    command
}

/// How it ends, what it prints, and what it says.
fn ended(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A kubeconfig of two contexts that lead to this port of this machine.
fn kubeconfig(folder: &Path, port: u16) -> PathBuf {
    let path = folder.join("config");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n\
         users: [{{name: u, user: {{}}}}]\n\
         contexts: [{{name: here, context: {{cluster: c, user: u, namespace: shop}}}}, {{name: prod, context: {{cluster: c, user: u}}}}, {{name: ghost, context: {{cluster: gone, user: u}}}}]\n"
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_slip_of_the_hand_is_named_with_what_was_meant() {
    let folder = TempDir::new().unwrap();
    let config = kubeconfig(folder.path(), 1);
    for (args, told) in [
        (&[][..], "Usage: rollcall <COMMAND>"),
        (&["chek"], "exists: 'check'"),
        (&["servces"], "'services'"),
        (&["explian", "orders"], "exists: 'explain'"),
        (&["get", "services"], "unrecognized subcommand 'get'"),
        (&["services", "--namspace", "x"], "exists: '--namespace'"),
        (&["services", "--all-namespace"], "exists: '--all-namespaces'"),
        (&["explain", "orders", "--frm", "bank"], "exists: '--from'"),
        (&["-n", "shop", "services"], "flags stand behind the verb"),
        (&["--kubeconfig", "x", "check"], "flags stand behind the verb"),
        (&["services", "-n"], "a value is required for '--namespace <NAME>'"),
        (&["services", "-n", "a", "-n", "b"], "cannot be used multiple times"),
        (&["services", "-A", "-n", "shop"], "'--all-namespaces' cannot be used with '--namespace <NAME>'"),
        (&["sidecars", "-A", "-n", "shop"], "cannot be used with"),
        (&["services", "-o"], "[possible values: wide, json]"),
        (&["services", "-o", "yml"], "[possible values: wide, json]"),
        (&["sidecars", "-o", "jsn"], "exists: 'json'"),
        (&["check", "-o", "wide"], "[possible values: json]"),
        (&["completion"], "<SHELL>"),
        (&["completion", "tcsh"], "exists: 'zsh'"),
        (&["crd", "extra"], "unexpected argument 'extra'"),
        (&["inject"], "<FILE>"),
        (&["resolve", "orders", "billing"], "unexpected argument 'billing'"),
        (&["resolve", "Orders"], "`Orders` is no DNS-1123 label; use 1 to 63 of a-z"),
        (&["resolve", "orders..shop"], "use NAME or NAME.NAMESPACE"),
        (&["resolve", "orders@"], "write it behind the @"),
        (&["resolve", "@1.4.2"], "use NAME"),
        (&["resolve", ""], "use 1 to 63"),
        (&["resolve", "http://orders"], "use NAME or NAME.NAMESPACE"),
        (&["consumers", "1-2-3"], "1-2-3"),
        (&["watch", "orders/shop"], "use NAME or NAME.NAMESPACE"),
        (&["explain", "deploy/orders"], "use NAME of a service, or pod/NAME"),
        (&["explain", "pod/orders-1", "id"], "leave it out for a pod"),
        (&["drain", "Orders-1"], "is no name of a pod; `kubectl get pods` has them"),
        (&["drain", "orders-1", "--deadline", "61s"], "up to 60s"),
        (&["check", "--timeout", "5"], "use a time as 500ms, 10s or 2m"),
        (&["check", "--timeout", "never"], "use a time as"),
        (
            &["services", "--context", "pord"],
            "there is no context `pord`; those that it has are here, prod, ghost",
        ),
        (&["services", "--context", "ghost"], "gone; correct it, or choose another context"),
        (&["services", "--local", "--context", "here"], "cannot be used with '--context <NAME>'"),
        (&["services", "--local=10.0.0.1:7380"], "use an address of this machine"),
        (&["services", "--local=shop"], "use an address of this machine"),
        (&["drain", "orders-1", "--local"], "a drain is of a pod in a cluster"),
        (&["explain", "pod/orders-1", "--local"], "`rollcall explain NAME --local`"),
        (&["check", "--local"], "a check is of an installation in a cluster"),
    ] {
        let (code, printed, said) = ended(rollcall(args).env("KUBECONFIG", &config));
        assert_eq!(code, 2, "{args:?}: {said}");
        assert!(said.contains(told), "{args:?}: {said}");
        assert_eq!(printed, "", "{args:?}: what is wrong is said on standard error");
        assert!(!said.contains('\u{1b}'), "{args:?}: no colours where there is no terminal");
    }
}

#[test]
fn a_kubeconfig_that_is_of_no_use_is_named_with_its_file() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let no_context = b"apiVersion: v1\nkind: Config\nclusters: []\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n";
    for (path, told) in [
        (file("words", b"hello"), "correct it, or name another one"),
        (file("broken", b"clusters: ["), "correct it, or name another one"),
        (file("binary", &[0xff, 0xfe, 0, 1]), "correct it, or name another one"),
        (file("empty", b""), "it has no context; name another one"),
        (file("chosen", no_context), "it has no current context; choose one by --context: a"),
        (folder.path().to_owned(), "correct it, or name another one"),
    ] {
        for way in ["flag", "environment"] {
            let mut command = rollcall(&["services"]);
            match way {
                "flag" => command.arg("--kubeconfig").arg(&path),
                _ => command.env("KUBECONFIG", &path),
            };
            let (code, _, said) = ended(&mut command);
            assert_eq!(code, 2, "{path:?} by {way}: {said}");
            assert!(
                said.contains(path.to_str().unwrap()) && said.contains(told),
                "{path:?} by {way}: {said}"
            );
        }
    }
    let missing = folder.path().join("missing");
    let (code, _, said) = ended(rollcall(&["services"]).env("KUBECONFIG", &missing));
    assert!(code == 3 && said.contains("missing, which is not there; set KUBECONFIG"), "{code}: {said}");
    let (code, _, said) = ended(rollcall(&["services"]).arg("--kubeconfig").arg(&missing));
    assert!(code == 2 && said.contains("No such file"), "{code}: {said}");
    for args in VERBS {
        let (code, _, said) = ended(&mut rollcall(args));
        assert!(
            code == 3 && said.contains("there is no ~/.kube/config; set KUBECONFIG"),
            "{args:?}: {code}: {said}"
        );
    }
    // As kubectl has it, that file is the one where nothing else is said.
    let home = folder.path().join("home");
    fs::create_dir_all(home.join(".kube")).unwrap();
    fs::rename(kubeconfig(folder.path(), 1), home.join(".kube/config")).unwrap();
    let (code, _, said) = ended(rollcall(&["services", "--context", "x"]).env("HOME", &home));
    assert!(code == 2 && said.contains("those that it has are here, prod"), "{code}: {said}");
}

#[test]
fn a_program_for_credentials_that_is_not_there_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config");
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
        clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
        users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /nowhere/login, interactiveMode: Never}}}]\n\
        contexts: [{name: here, context: {cluster: c, user: u}}]\n";
    fs::write(&path, text).unwrap();
    let (code, _, said) = ended(rollcall(&["services"]).env("KUBECONFIG", &path));
    assert!(code == 3 && said.contains("exec") && said.contains("check the kubeconfig"), "{code}: {said}");
}

#[test]
fn whoever_gives_no_answer_is_not_waited_for_longer_than_was_said() {
    let folder = TempDir::new().unwrap();
    // Its connections stand in the queue, and nobody ever takes one.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = kubeconfig(folder.path(), silent.local_addr().unwrap().port());
    let begin = Instant::now();
    let running: Vec<_> = VERBS
        .iter()
        .map(|args| {
            let mut command = rollcall(args);
            command
                .args(["--timeout", "500ms"])
                .env("KUBECONFIG", &config)
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            (args, command.spawn().unwrap())
        })
        .collect();
    for (args, mut process) in running {
        let mut said = String::new();
        process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(process.wait().unwrap().code(), Some(3), "{args:?}: {said}");
        assert!(said.contains("no answer") && said.contains("`kubectl version`"), "{args:?}: {said}");
    }
    // Far below the 10 s of who says nothing, and far above what a busy machine takes to start them all.
    assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
}

#[test]
fn nobody_who_reads_no_further_is_told_of_it() {
    for args in [&["crd"][..], &["completion", "bash"], &["--help"], &["explain", "--help"]] {
        let mut process = rollcall(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(process.stdout.take());
        let mut said = String::new();
        process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((process.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn kubectl_completes_its_plugin() {
    let folder = TempDir::new().unwrap();
    let completer = folder.path().join("kubectl_complete-rollcall");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rollcall"), &completer).unwrap();
    let offered = |args: &[&str]| ended(Command::new(&completer).args(args));
    assert_eq!(offered(&["serv"]), (0, "services\n:4\n".to_owned(), String::new()));
    assert_eq!(offered(&["services", "-o", ""]).1, "wide\njson\n:4\n");
    assert!(offered(&[""]).1.contains("explain\n"));
    let (code, script, _) = ended(&mut rollcall(&["completion", "bash"]));
    assert!(code == 0 && script.contains("--system-namespace") && script.contains("--local"), "{script}");
}
