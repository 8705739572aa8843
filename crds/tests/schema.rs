//! The generated schema against the rules that every part of it must keep, and the page that explains it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's helpers are tests too")]

use std::{collections::BTreeSet, fs, path::Path};

use rollcall_catalogue::limits;
use rollcall_crds::{ConditionReason, crd_yaml};
use serde_json::Value;

fn crd() -> Value {
    serde_saphyr::from_str(&crd_yaml().unwrap()).unwrap()
}

fn schema(crd: &Value) -> &Value {
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap()
}

/// Calls this for each schema within, with its path.
fn each(path: &str, schema: &Value, seen: &mut impl FnMut(&str, &Value)) {
    seen(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        each(&format!("{path}.{name}"), property, seen);
    }
    if schema["items"].is_object() {
        each(&format!("{path}[]"), &schema["items"], seen);
    }
    if schema["additionalProperties"].is_object() {
        each(&format!("{path}.*"), &schema["additionalProperties"], seen);
    }
}

#[test]
fn everything_is_bounded_and_says_how_it_is_merged() {
    let mut count = 0;
    each("", schema(&crd()), &mut |path, schema| {
        count += 1;
        let has = |word: &str| !schema[word].is_null();
        assert!(!has("nullable") && !has("uniqueItems") && !has("oneOf") && !has("anyOf"), "{path}");
        assert!(!has("x-kubernetes-preserve-unknown-fields"), "{path}");
        match schema["type"].as_str().unwrap() {
            "string" => assert!(has("maxLength") || has("enum") || has("format"), "{path}: no maxLength"),
            "integer" => {
                assert!(schema["minimum"].is_i64(), "{path}: no minimum");
                assert!(
                    ["int32", "int64"].contains(&schema["format"].as_str().unwrap()),
                    "{path}: the API server knows no such format"
                );
            }
            "array" => {
                assert!(has("maxItems"), "{path}: no maxItems");
                let kind = schema["x-kubernetes-list-type"].as_str().expect(path);
                assert_eq!(kind == "map", has("x-kubernetes-list-map-keys"), "{path}");
            }
            "object" => {
                assert!(!has("additionalProperties") || has("maxProperties"), "{path}: no maxProperties");
            }
            _ => {}
        }
        // Entries of lists and maps stand for themselves.
        let entry = path.ends_with("[]") || path.ends_with(".*");
        assert!(entry || schema["description"].as_str().is_some_and(|text| text.len() > 10), "{path}");
    });
    assert!(count > 50, "{count}");
}

#[test]
fn each_refusal_of_ours_names_a_field_and_a_remedy() {
    let mut rules = 0;
    each("", schema(&crd()), &mut |path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().expect(path);
            let (problem, remedy) = message.split_once(": ").unwrap_or_else(|| panic!("{path}: {message}"));
            assert!(!problem.is_empty() && remedy.len() > 10 && !message.contains('\n'), "{message}");
            rules += 1;
        }
    });
    assert!(rules > 30, "{rules}");
}

/// `required` answers without a remedy and hides all that is said beside it: only where a list is a map by that field,
/// or where the field's name is remedy enough.
#[test]
fn what_must_be_there_says_what_to_set() {
    let mut bare = BTreeSet::new();
    each("", schema(&crd()), &mut |path, schema| {
        if !path.starts_with(".status") {
            let required =
                schema["required"].as_array().into_iter().flatten().map(|field| field.as_str().unwrap());
            bare.extend(required.map(|field| format!("{path}.{field}")));
        }
    });
    let expected = [
        ".spec",
        ".spec.ports[].name",
        ".spec.ports[].port",
        ".spec.target.addresses[].address",
        ".spec.target.selector.matchExpressions[].key",
        ".spec.target.selector.matchExpressions[].operator",
    ];
    assert_eq!(bare, expected.map(str::to_owned).into());
}

/// What the schema lets into a status, a type of ours must hold; and what is one choice is replaced as one.
#[test]
fn a_status_fits_its_type_and_a_choice_is_one_thing() {
    let crd = crd();
    let (spec, status) = (&schema(&crd)["properties"]["spec"], &schema(&crd)["properties"]["status"]);
    for count in ["serving", "total"] {
        assert_eq!(status["properties"][count]["maximum"].as_i64(), Some(i32::MAX.into()), "{count}");
    }
    for choice in ["target", "probe"] {
        assert_eq!(spec["properties"][choice]["x-kubernetes-map-type"].as_str(), Some("atomic"), "{choice}");
    }
    let reason = &status["properties"]["conditions"]["items"]["properties"]["reason"]["description"];
    let reason = reason.as_str().unwrap();
    assert!(ConditionReason::ALL.iter().all(|word| reason.contains(word.as_str())), "{reason}");
    each("", schema(&crd), &mut |path, schema| {
        assert!(!path.ends_with("[]") || schema["description"].is_null(), "{path}: explained after its list");
    });
}

/// A field that merges must not get a word from the schema that nobody said.
#[test]
fn defaults_stand_only_where_absence_means_the_same() {
    let mut defaults = BTreeSet::new();
    each("", schema(&crd()), &mut |path, schema| {
        if !schema["default"].is_null() {
            defaults.insert(format!("{path}={}", schema["default"]));
        }
    });
    let expected = [
        ".spec.heartbeat.intervalSeconds=5",
        ".spec.heartbeat.ttlSeconds=15",
        ".spec.ports[].protocol=\"TCP\"",
        ".spec.probe.failureThreshold=3",
        ".spec.probe.intervalMilliseconds=500",
        ".spec.probe.successThreshold=1",
        ".spec.probe.timeoutMilliseconds=1000",
    ];
    assert_eq!(defaults, expected.map(str::to_owned).into());
}

#[test]
fn the_limits_are_those_of_the_catalogue() {
    let crd = crd();
    let spec = &schema(&crd)["properties"]["spec"]["properties"];
    let (selector, probe) =
        (&spec["target"]["properties"]["selector"]["properties"], &spec["probe"]["properties"]);
    let port = &spec["ports"]["items"]["properties"];
    let pod = &spec["target"]["properties"]["pod"]["properties"];
    let address = &spec["target"]["properties"]["addresses"]["items"]["properties"];
    let expression = &selector["matchExpressions"]["items"]["properties"];
    let table = [
        (&spec["version"]["maxLength"], limits::VERSION_BYTES_MAX),
        (&spec["ports"]["maxItems"], limits::PORTS_MAX),
        (&port["appProtocol"]["maxLength"], limits::APP_PROTOCOL_CHARS_MAX),
        (&spec["tags"]["maxItems"], limits::TAGS_MAX),
        (&spec["metadata"]["maxProperties"], limits::METADATA_KEYS_MAX),
        (&selector["matchLabels"]["additionalProperties"]["maxLength"], limits::LABEL_WORD_CHARS_MAX),
        (&expression["values"]["items"]["maxLength"], limits::LABEL_WORD_CHARS_MAX),
        (&expression["key"]["maxLength"], limits::LABEL_DOMAIN_CHARS_MAX + 1 + limits::LABEL_WORD_CHARS_MAX),
        (&pod["name"]["maxLength"], limits::POD_NAME_CHARS_MAX),
        (&pod["uid"]["maxLength"], limits::POD_UID_CHARS_MAX),
        (&address["zone"]["maxLength"], limits::LABEL_WORD_CHARS_MAX),
        (&spec["weight"]["maximum"], limits::WEIGHT_MAX.into()),
        (&spec["target"]["properties"]["addresses"]["maxItems"], limits::ADDRESSES_MAX),
        (&selector["matchLabels"]["maxProperties"], limits::LABELS_MAX),
        (&selector["matchExpressions"]["maxItems"], limits::LABELS_MAX),
        (&expression["values"]["maxItems"], limits::LABELS_MAX),
        (&spec["visibility"]["properties"]["namespaces"]["maxItems"], limits::VISIBLE_NAMESPACES_MAX),
        (&probe["intervalMilliseconds"]["minimum"], *limits::PROBE_MILLISECONDS.start() as usize),
        (&probe["timeoutMilliseconds"]["maximum"], *limits::PROBE_MILLISECONDS.end() as usize),
        (&probe["failureThreshold"]["maximum"], limits::PROBE_THRESHOLD_MAX.into()),
        (&probe["http"]["properties"]["path"]["maxLength"], limits::PROBE_PATH_CHARS_MAX),
        (&probe["grpc"]["properties"]["service"]["maxLength"], limits::PROBE_SERVICE_CHARS_MAX),
        (&spec["heartbeat"]["properties"]["ttlSeconds"]["maximum"], limits::HEARTBEAT_SECONDS_MAX as usize),
    ];
    for (row, (schema, limit)) in table.into_iter().enumerate() {
        assert_eq!(schema.as_u64(), Some(limit as u64), "row {row}");
    }
    // `maxLength` speaks of bytes and counts characters: where they may differ, a rule has the limit.
    let metadata = &spec["metadata"];
    let rules = [
        (metadata, format!("size(key) <= {} &&", limits::METADATA_KEY_CHARS_MAX)),
        (&metadata["additionalProperties"], format!("size(self) <= {}", limits::METADATA_VALUE_CHARS_MAX)),
        (&spec["tags"]["items"], format!("size(self) <= {} &&", limits::TAG_CHARS_MAX)),
        (&selector["matchLabels"], format!("key.indexOf('/') <= {}", limits::LABEL_DOMAIN_CHARS_MAX)),
        (&expression["key"], format!("self.indexOf('/') <= {}", limits::LABEL_DOMAIN_CHARS_MAX)),
    ];
    for (schema, expected) in rules {
        let rule = schema["x-kubernetes-validations"][0]["rule"].as_str().unwrap();
        assert!(rule.contains(&expected), "{rule}: no {expected}");
    }
}

#[test]
fn the_names_and_columns_are_those_of_the_contract() {
    let crd = crd();
    let spec = &crd["spec"];
    assert_eq!(spec["names"]["shortNames"], serde_json::json!(["sreg"]));
    assert_eq!(spec["names"]["categories"], serde_json::json!(["rollcall"]));
    let version = &spec["versions"][0];
    let columns = |wide: bool| -> Vec<_> {
        let all = version["additionalPrinterColumns"].as_array().unwrap().iter();
        all.filter(|column| column["priority"].is_null() != wide)
            .map(|column| column["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(columns(false).join(" "), "SERVICE VERSION TARGET SERVING TOTAL READY AGE");
    assert_eq!(columns(true).join(" "), "REASON MESSAGE");
    let selectable = serde_json::json!([{"jsonPath": ".spec.service"}, {"jsonPath": ".spec.version"}]);
    assert_eq!(version["selectableFields"], selectable);
    // The column SERVICE takes the first `service`, or else `name`, of these: there must be no others.
    let parts = schema(&crd)["properties"].as_object().unwrap();
    for (part, schema) in parts {
        let named = |word: &str| !schema["properties"][word].is_null();
        assert_eq!((named("service"), named("name")), (part == "spec", false), "{part}");
    }
}

#[test]
fn the_page_explains_every_reason() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/resource.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = ConditionReason::ALL
        .map(|reason| format!("| {} | {reason} | {} | ", reason.kind().as_str(), reason.holds().as_str()));
    let mut rest = page.as_str();
    for row in rows {
        let found = rest.find(&row).unwrap_or_else(|| panic!("no row `{row}`, or not in its place"));
        rest = &rest[found + row.len()..];
    }
    let words = ["Ready", "Accepted", "Resolved"].map(|kind| format!("\n| {kind} | "));
    let count: usize = words.iter().map(|kind| page.matches(kind.as_str()).count()).sum();
    assert_eq!(count, ConditionReason::ALL.len(), "a row of no reason");
}
