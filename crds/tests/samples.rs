//! The committed YAML against the code, and the samples against the conversion.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers are tests too")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use rollcall_crds::{CRD_FILE, ServiceRegistration, crd_yaml, registration};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All samples whose name begins so, as the API server would hand them on.
fn samples(prefix: &str) -> Vec<(String, Result<ServiceRegistration, String>)> {
    let mut found: Vec<_> = fs::read_dir(root().join("crds/samples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let object =
                serde_saphyr::from_str::<ServiceRegistration>(&text).map_err(|error| error.to_string());
            let object = object.map(|mut object| {
                object.metadata.namespace.get_or_insert_with(|| "shop".to_owned());
                object.metadata.creation_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
                object
            });
            (path.display().to_string(), object)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn the_committed_crd_is_what_the_code_generates() {
    let committed = fs::read_to_string(root().join(CRD_FILE)).unwrap_or_default();
    assert_eq!(committed, crd_yaml().unwrap(), "run `cargo xtask generate` and commit {CRD_FILE}");
}

#[test]
fn valid_samples_become_registrations() {
    let valid = samples("valid-");
    assert!(valid.len() >= 2);
    for (path, object) in valid {
        let registration = registration(&object.unwrap()).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(registration.key.namespace.as_str(), "shop", "{path}");
    }
}

/// The schema refuses them first; what gets past an older schema is refused here, by field.
#[test]
fn invalid_samples_are_refused_with_the_field_that_their_name_says() {
    let invalid = samples("invalid-");
    assert!(invalid.len() >= 5);
    for (path, object) in invalid {
        let error = match object {
            Err(error) => error,
            Ok(object) => registration(&object).expect_err(&path).to_string(),
        };
        let field = path.rsplit("invalid-").next().unwrap().split(['-', '.']).next().unwrap();
        assert!(error.contains(field), "{path}: `{error}` does not name `{field}`");
    }
}
