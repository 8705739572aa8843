//! The committed YAML against the code, and the samples and old objects against the conversion.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers are tests too")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use rollcall_crds::{CRD_FILE, ServiceRegistration, crd_yaml, registration};

/// What only the API server can see: what stands twice in a set, unknown fields, and numbers whose digits a pattern
/// counts more simply than their value.
const SEEN_BY_THE_SCHEMA_ALONE: [&str; 5] = [
    "invalid-addresses-twice.yaml",
    "invalid-tags-twice.yaml",
    "invalid-unknown-field.yaml",
    "invalid-version-20-digits.yaml",
    "invalid-visibility-namespaces-twice.yaml",
];

/// What no schema of ours ever lets in.
const OF_A_WRONG_TYPE: [&str; 3] =
    ["invalid-ports-text.yaml", "invalid-probe-port-number.yaml", "invalid-version-number.yaml"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All files of a folder whose name begins so, with their texts.
fn files(folder: &str, prefix: &str) -> Vec<(String, String)> {
    let mut found: Vec<_> = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .filter(|(name, _)| name.starts_with(prefix))
        .collect();
    found.sort();
    found
}

/// The objects of a file, as the API server would hand them on: by way of JSON, which is strict where YAML is
/// not.
fn objects(text: &str) -> Result<Vec<ServiceRegistration>, String> {
    let values: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    let read = |value| {
        let mut object: ServiceRegistration =
            serde_json::from_value(value).map_err(|error| error.to_string())?;
        object.metadata.creation_timestamp.get_or_insert(Time(Timestamp::UNIX_EPOCH));
        Ok(object)
    };
    values.into_iter().map(read).collect()
}

#[test]
fn the_committed_crd_is_what_the_code_generates() {
    let committed = fs::read_to_string(root().join(CRD_FILE)).unwrap_or_default();
    assert_eq!(committed, crd_yaml().unwrap(), "run `cargo xtask generate` and commit {CRD_FILE}");
}

#[test]
fn valid_samples_become_registrations_and_say_what_they_are_for() {
    let valid = files("crds/samples", "valid-");
    assert!(valid.len() >= 12);
    for (name, text) in valid {
        assert!(text.lines().take_while(|line| line.starts_with("# ")).count() >= 2, "{name}: no comment");
        let objects = objects(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!objects.is_empty(), "{name}");
        for object in objects {
            let registration = registration(&object).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(registration.key.namespace.as_str(), "shop", "{name}");
        }
    }
}

/// The schema refuses them first; what gets past an older schema is refused here, by field.
#[test]
fn invalid_samples_are_refused_with_the_field_that_their_name_says() {
    let invalid = files("crds/samples", "invalid-");
    assert!(invalid.len() >= 24);
    for (name, text) in invalid {
        let expected = text.lines().next().and_then(|line| line.strip_prefix("# expect: "));
        assert!(expected.is_some_and(|message| !message.is_empty()), "{name}: does not say what it expects");
        let Ok(objects) = objects(&text) else {
            assert!(OF_A_WRONG_TYPE.contains(&name.as_str()), "{name}: cannot be read");
            continue;
        };
        assert_eq!(objects.len(), 1, "{name}");
        let verdict = registration(&objects[0]).map_err(|error| error.to_string());
        if SEEN_BY_THE_SCHEMA_ALONE.contains(&name.as_str()) {
            assert!(verdict.is_ok(), "{name}: {verdict:?}");
            continue;
        }
        let error = verdict.expect_err(&name);
        let field = name.trim_start_matches("invalid-").split(['-', '.']).next().unwrap();
        assert!(error.contains(field), "{name}: `{error}` does not name `{field}`");
    }
}

#[test]
fn objects_of_the_first_schema_stay_readable() {
    let golden = files("crds/tests/golden", "first-schema-");
    assert_eq!(golden.len(), 4);
    for (name, text) in golden {
        let object = objects(&text).unwrap_or_else(|error| panic!("{name}: {error}")).remove(0);
        assert!(object.spec.ports.iter().all(|port| port.protocol == "TCP"), "{name}");
        match name.as_str() {
            // Its tag reads backwards, and its label is none, which the first schema let in.
            "first-schema-odd.yaml" => {
                let error = registration(&object).unwrap_err().to_string();
                assert!(
                    error.starts_with("spec.target.selector.matchLabels: `app name` is no key"),
                    "{error}"
                );
                assert!(error.contains(" | spec.tags: `a\\u{202e}b` is empty, too long or not"), "{error}");
            }
            _ => {
                let registration = registration(&object).unwrap_or_else(|error| panic!("{name}: {error}"));
                let orders = name == "first-schema-orders-blue.yaml";
                assert_eq!(registration.attributes.weight, orders.then_some(0), "{name}");
                assert_eq!(registration.attributes.version.is_some(), orders, "{name}");
                assert_eq!((registration.policy, registration.visibility), (None, None), "{name}");
            }
        }
    }
}
