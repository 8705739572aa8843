//! Whether the cluster's ServiceRegistration is the one that this build knows.

use std::cmp::Ordering;

use serde_json::Value;

use super::unseen;
use crate::{
    check::{
        facts::{Build, Crd},
        finding::{Finding, Topic},
    },
    print::first_of,
    reach::Seen,
};

const NAMED_MAX: usize = 3;

/// The version of the resource that controllers and this program speak.
pub(crate) const SERVED: &str = "v1alpha1";

/// Says which side knows more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    Same,
    /// The cluster's is older than this build's.
    Older,
    Newer,
    /// Neither is the other's past.
    Other,
}

pub(super) fn findings(crd: &Seen<Crd>, build: &Build) -> Vec<Finding> {
    const REMEDY: &str = "install it with the chart, or by `rollcall crd | kubectl apply --server-side --force-conflicts -f -`";
    let there = match crd {
        Seen::Here(there) => there,
        Seen::Missing => {
            return vec![Finding::fail(Topic::CrdThere, "there is no CRD of ServiceRegistration", REMEDY)];
        }
        other => {
            let right = "get customresourcedefinitions";
            return unseen(Topic::CrdThere, "the CRD", right, other).into_iter().collect();
        }
    };
    let mut findings = vec![if there.established {
        Finding::ok(Topic::CrdThere, "the CRD of ServiceRegistration is there")
    } else {
        Finding::fail(
            Topic::CrdThere,
            "the CRD of ServiceRegistration is not established",
            "`kubectl describe crd serviceregistrations.rollcall.dev` says why the API server does not take it",
        )
    }];
    if !there.served.iter().any(|version| version == SERVED) {
        findings.push(Finding::fail(
            Topic::CrdServed,
            format!("the CRD does not serve {SERVED}, but {}", there.served.join(", ")),
            "upgrade Rollcall and this `rollcall` to the same version",
        ));
        return findings;
    }
    findings.push(Finding::ok(Topic::CrdServed, format!("the CRD serves {SERVED}")));
    findings.push(schema(there, build));
    findings
}

fn schema(there: &Crd, build: &Build) -> Finding {
    let topic = Topic::CrdSchema;
    let whose = there.version.as_deref().unwrap_or("a version that it does not name");
    match age(there, build) {
        Age::Same => Finding::ok(topic, format!("the CRD is that of this `rollcall`, {}", build.version)),
        Age::Older => Finding::fail(
            topic,
            format!(
                "the CRD is older ({whose}) than this `rollcall` ({}){}",
                build.version,
                dropped(&lacking(there, build))
            ),
            format!(
                "upgrade the installation to {}; where its CRD is applied by hand, `rollcall crd | kubectl apply --server-side --force-conflicts -f -`",
                build.version
            ),
        ),
        Age::Newer => Finding::warn(
            topic,
            format!("the CRD is newer ({whose}) than this `rollcall` ({})", build.version),
            "use a `rollcall` of the installation's version",
        ),
        Age::Other => Finding::fail(
            topic,
            format!(
                "the CRD ({whose}) is another one than that of this `rollcall` ({}){}",
                build.version,
                dropped(&lacking(there, build))
            ),
            "somebody has changed it: `rollcall crd | kubectl diff -f -` shows what; then `rollcall crd | kubectl apply --server-side --force-conflicts -f -`",
        ),
    }
}

/// What comes of fields that the API server does not know.
pub(crate) fn dropped(lacking: &[String]) -> String {
    match lacking {
        [] => String::new(),
        lacking => format!(", and drops what is written in {}", first_of(lacking, NAMED_MAX)),
    }
}

/// Which of the two is the older one: by their versions, and where these are the same or not said by what they know.
pub(crate) fn age(there: &Crd, build: &Build) -> Age {
    if there.schema.as_ref() == Some(&build.schema) {
        return Age::Same;
    }
    let versions = there.version.as_deref().and_then(|version| compared(version, &build.version));
    match versions {
        Some(Ordering::Less) => return Age::Older,
        Some(Ordering::Greater) => return Age::Newer,
        Some(Ordering::Equal) | None => {}
    }
    let held = there.schema.as_ref().map(fields).unwrap_or_default();
    let known = fields(&build.schema);
    let lacks = known.iter().any(|field| !held.contains(field));
    let has_more = held.iter().any(|field| !known.contains(field));
    match (lacks, has_more) {
        (true, false) => Age::Older,
        (false, true) => Age::Newer,
        _ => Age::Other,
    }
}

/// The fields that this build knows and the cluster's CRD does not: the API server drops what is written there.
pub(crate) fn lacking(there: &Crd, build: &Build) -> Vec<String> {
    let held = there.schema.as_ref().map(fields).unwrap_or_default();
    let known = fields(&build.schema);
    let mut lacking: Vec<_> = known.into_iter().filter(|field| !held.contains(field)).collect();
    lacking.sort();
    // What is within one that is missing is missing with it.
    let all = lacking.clone();
    let is_within = |field: &String| {
        all.iter()
            .any(|other| field.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with(['.', '['])))
    };
    lacking.retain(|field| !is_within(field));
    lacking.into_iter().map(|field| field.trim_start_matches('.').to_owned()).collect()
}

/// How two versions stand; none where one of them is none.
pub(crate) fn compared(one: &str, other: &str) -> Option<Ordering> {
    let read = |text: &str| semver::Version::parse(text.trim_start_matches('v')).ok();
    Some(read(one)?.cmp_precedence(&read(other)?))
}

/// The paths of all fields of a schema.
fn fields(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), schema)];
    while let Some((path, schema)) = open.pop() {
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, of) in properties.into_iter().flatten() {
            let path = format!("{path}.{name}");
            found.push(path.clone());
            open.push((path, of));
        }
        if let Some(items) = schema.get("items") {
            open.push((format!("{path}[]"), items));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::finding::Level;

    fn build() -> Build {
        let schema = json!({"type": "object", "properties": {"spec": {"properties": {"service": {}, "tags": {"items": {"properties": {"a": {}}}}}}}});
        Build { version: "0.2.0".to_owned(), schema }
    }

    fn there(version: Option<&str>, schema: Value) -> Crd {
        Crd {
            version: version.map(str::to_owned),
            established: true,
            served: vec![SERVED.to_owned()],
            schema: Some(schema),
            ..Crd::default()
        }
    }

    #[test]
    fn the_cluster_is_told_which_side_to_upgrade() {
        let less = json!({"properties": {"spec": {"properties": {"service": {}}}}});
        let mut more = build().schema;
        more["properties"]["spec"]["properties"]["weight"] = json!({});
        let mut changed = build().schema;
        changed["properties"]["spec"]["properties"]["service"] = json!({"maxLength": 5});
        for (crd, expected, level) in [
            (there(Some("0.1.0"), build().schema), Age::Same, Level::Ok),
            (there(Some("0.1.0"), less.clone()), Age::Older, Level::Fail),
            (there(Some("0.3.0"), less.clone()), Age::Newer, Level::Warn),
            (there(None, less), Age::Older, Level::Fail),
            (there(None, more.clone()), Age::Newer, Level::Warn),
            (there(Some("0.2.0"), more), Age::Newer, Level::Warn),
            (there(Some("0.2.0"), changed), Age::Other, Level::Fail),
        ] {
            assert_eq!(age(&crd, &build()), expected, "{crd:?}");
            let found = findings(&Seen::Here(crd), &build());
            assert_eq!(found.last().unwrap().level, level);
        }
        let none = there(None, json!({"properties": {"spec": {"properties": {"tags": {}}}}}));
        assert_eq!(lacking(&none, &build()), ["spec.service", "spec.tags[].a"]);
        let said = &findings(&Seen::Here(none), &build())[2].says;
        assert!(said.ends_with("drops what is written in spec.service, spec.tags[].a"), "{said}");
        assert_eq!(lacking(&there(None, json!({})), &build()), ["spec"], "and not what is within it");
    }

    #[test]
    fn a_crd_is_there_and_serves_what_we_speak() {
        assert_eq!(findings(&Seen::Missing, &build())[0].level, Level::Fail);
        assert_eq!(findings(&Seen::Forbidden(String::new()), &build())[0].level, Level::Skipped);
        let mut other = there(None, build().schema);
        other.served = vec!["v2".to_owned()];
        let found = findings(&Seen::Here(other.clone()), &build());
        assert_eq!((found.len(), found[1].level), (2, Level::Fail));
        other.established = false;
        assert_eq!(findings(&Seen::Here(other), &build())[0].level, Level::Fail);
    }
}
