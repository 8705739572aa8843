use std::io::Write;

use super::*;

/// As the chart names it.
const SERVICE: &str = "rollcall-controller";

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn what_the_file_says_counts_and_our_own_namespace_is_never_injected() {
    let file = file(
        "image: registry.example/sidecar:7\nimagePullPolicy: Never\nresources:\n  requests: {cpu: 1m, memory: 8Mi}\n  limits: \
         {memory: 32Mi}\nguaranteed: {cpu: 50m, memory: 64Mi}\nrequiresTimeoutSeconds: 5\nnamespaces:\n  only: []\n  \
         except: [kube-system]\n",
    );
    let settings = read(Some(file.path()), SERVICE, "rollcall").unwrap();
    assert_eq!(settings.image, "registry.example/sidecar:7");
    assert_eq!(settings.requires_timeout_seconds, 5);
    assert_eq!(settings.namespaces.except, ["kube-system", "rollcall"]);

    for path in [None, Some(self::file("{}").path())].into_iter().flatten() {
        assert_eq!(read(Some(path), SERVICE, "rollcall-system").unwrap(), Settings::default());
    }
    assert!(!read(None, SERVICE, "elsewhere").unwrap().namespaces.admits("elsewhere"));
}

#[test]
fn pods_are_told_our_name_where_it_is_not_the_one_that_they_know() {
    let named = |text: &str, service: &str, namespace: &str| {
        read(Some(file(text).path()), service, namespace).unwrap().controller_name
    };
    assert_eq!(named("{}", SERVICE, "rollcall-system"), None);
    assert_eq!(named("{}", SERVICE, "other").as_deref(), Some("rollcall-controller.other.svc"));
    assert_eq!(named("{}", "theirs", "rollcall-system").as_deref(), Some("theirs.rollcall-system.svc"));
    let given = named("controllerName: registry.example:443", "theirs", "other");
    assert_eq!(given.as_deref(), Some("registry.example:443"), "whoever installs it knows better");
}

#[test]
fn what_is_wrong_is_told_with_file_field_and_remedy() {
    let said = |text: &str| {
        let file = file(text);
        let error = read(Some(file.path()), SERVICE, "rollcall-system").unwrap_err().to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
        assert!(error.contains("; "), "a remedy: {error}");
        error
    };
    for (text, words) in [
        ("imge: a", "imge"),
        ("image: ''", "image"),
        ("image: 'a b'", "image"),
        ("imagePullPolicy: Sometimes", "Sometimes"),
        ("resources: {requests: {cpu: 5 m}}", "5 m"),
        ("requiresTimeoutSeconds: -1", "requiresTimeoutSeconds: -1"),
        ("controllerName: ''", "controllerName"),
        ("controllerName: 'a b'", "a b"),
        ("image: [", "line"),
        ("- a", "line 1"),
    ] {
        assert!(said(text).contains(words), "{text}: {}", said(text));
    }
    assert!(said(&format!("# {}", "x".repeat(300_000))).contains("bytes"));
    let absent =
        read(Some(Path::new("/nowhere/injection.yaml")), SERVICE, "rollcall-system").unwrap_err().to_string();
    assert!(absent.contains("/nowhere/injection.yaml") && absent.contains("mount"), "{absent}");
}
