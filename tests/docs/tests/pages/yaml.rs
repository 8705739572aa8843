//! What pages show of YAML and JSON is read by whoever would read it.

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    batch::v1::{CronJob, Job},
    core::v1::{ConfigMap, Namespace, Pod, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
};
use rollcall_chart::Helm;
use rollcall_cluster::static_build::workspace;
use rollcall_crds::{ServiceRegistration, registration};
use rollcall_docs::{Block, Page, pages};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Kinds of others that the chart renders where they are known.
const OF_OTHERS: [&str; 4] = [
    "cert-manager.io/v1/Certificate",
    "monitoring.coreos.com/v1/ServiceMonitor",
    "monitoring.coreos.com/v1/PodMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
];

/// Says what a document of a page is.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// An object of Kubernetes, or of ours.
    Object,
    /// An object that the chart renders with the values that the page shows before it.
    Rendered,
    /// Values of the chart.
    Values,
    /// The body of a `PUT /v1/self`, as a file registers it.
    Registration,
    /// A part of a pod.
    Fragment,
}

/// Holds what documents are read by.
struct Readers {
    helm: Helm,
    /// The chart's, at its top.
    values: Value,
    /// Fields of a registration that an app makes.
    registration: Value,
}

// === impl Readers ===

impl Readers {
    fn new() -> Self {
        let read = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
        let api: Value = serde_json::from_str(&read("sidecar/openapi.json")).unwrap();
        Self {
            helm: Helm::new(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap(),
            values: serde_saphyr::from_str(&read("charts/rollcall/values.yaml")).unwrap(),
            registration: api["components"]["schemas"]["Registration"]["properties"].clone(),
        }
    }

    /// What a document is, if it is what it should be. `before`: the last values that the page shows.
    fn read(&self, document: &Value, before: Option<&str>) -> Result<Kind, String> {
        let fields = document.as_object().ok_or("no object")?;
        let all_in = |known: &Value| fields.keys().all(|field| known.get(field).is_some());
        if document["apiVersion"].is_string() && document["kind"].is_string() {
            if OF_OTHERS.contains(&kind(document).as_str()) {
                return self
                    .rendered(document, before.ok_or("no values before it")?)
                    .map(|()| Kind::Rendered);
            }
            return object(document).map(|()| Kind::Object);
        }
        if fields.contains_key("service") && all_in(&self.registration) {
            return Ok(Kind::Registration);
        }
        if all_in(&self.values) {
            let text = document.to_string();
            return self.render(&text).map(|_| Kind::Values);
        }
        if ["spec", "metadata"].iter().any(|field| fields.contains_key(*field)) {
            let mut pod = document.clone();
            pod["apiVersion"] = "v1".into();
            pod["kind"] = "Pod".into();
            return kept::<Pod>(&pod).map(|()| Kind::Fragment);
        }
        Err("neither an object, values of the chart, a registration nor a part of a pod".to_owned())
    }

    fn render(&self, values: &str) -> Result<Vec<Value>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), values).unwrap();
        let mut arguments = vec!["--values", file.path().to_str().unwrap()];
        arguments.extend(OF_OTHERS.iter().flat_map(|kind| ["--api-versions", kind]));
        let rendered = self.helm.rendered("rollcall-system", &arguments);
        rendered.map(|rendered| rendered.0).map_err(|error| format!("{error:#}"))
    }

    /// The chart makes an object that says all this.
    fn rendered(&self, document: &Value, values: &str) -> Result<(), String> {
        let all = self.render(values)?;
        let same: Vec<_> = all.iter().filter(|object| kind(object) == kind(document)).collect();
        match same.iter().any(|object| lost("", document, object).is_none()) {
            true => Ok(()),
            false => Err(format!("the chart renders {same:?}")),
        }
    }
}

/// An object with all of its fields: one that its type does not know is a slip.
fn object(document: &Value) -> Result<(), String> {
    match kind(document).as_str() {
        "rollcall.dev/v1alpha1/ServiceRegistration" => {
            kept::<ServiceRegistration>(document)?;
            let mut stored = document.clone();
            // The API server sets the one, and kubectl the other where a manifest names none.
            stored["metadata"]["creationTimestamp"] = "1970-01-01T00:00:00Z".into();
            if stored["metadata"]["namespace"].is_null() {
                stored["metadata"]["namespace"] = "default".into();
            }
            let object = serde_json::from_value(stored).map_err(|error| error.to_string())?;
            registration(&object).map(drop).map_err(|errors| errors.to_string())
        }
        "v1/ConfigMap" => kept::<ConfigMap>(document),
        "v1/Namespace" => kept::<Namespace>(document),
        "v1/Pod" => kept::<Pod>(document),
        "v1/Secret" => kept::<Secret>(document),
        "v1/Service" => kept::<Service>(document),
        "v1/ServiceAccount" => kept::<ServiceAccount>(document),
        "apps/v1/DaemonSet" => kept::<DaemonSet>(document),
        "apps/v1/Deployment" => kept::<Deployment>(document),
        "apps/v1/StatefulSet" => kept::<StatefulSet>(document),
        "batch/v1/CronJob" => kept::<CronJob>(document),
        "batch/v1/Job" => kept::<Job>(document),
        "networking.k8s.io/v1/NetworkPolicy" => kept::<NetworkPolicy>(document),
        other => Err(format!("{other} is no kind that tests/docs/tests/pages/yaml.rs knows: name it there")),
    }
}

fn kind(document: &Value) -> String {
    let text = |field: &str| document[field].as_str().unwrap_or_default();
    format!("{}/{}", text("apiVersion"), text("kind"))
}

/// Reads as this type, of which nothing is lost.
fn kept<T: DeserializeOwned + Serialize>(document: &Value) -> Result<(), String> {
    let object: T = serde_json::from_value(document.clone()).map_err(|error| error.to_string())?;
    let again = serde_json::to_value(object).map_err(|error| error.to_string())?;
    lost("", document, &again)
        .map_or(Ok(()), |path| Err(format!("there is no field {path}, or not with this value")))
}

/// The first thing of one value that the other one has not.
fn lost(path: &str, value: &Value, other: &Value) -> Option<String> {
    match (value, other) {
        (Value::Object(fields), Value::Object(others)) => fields.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match others.get(name) {
                Some(other) => lost(&path, value, other),
                None => Some(path),
            }
        }),
        (Value::Array(list), Value::Array(others)) if list.len() == others.len() => list
            .iter()
            .zip(others)
            .enumerate()
            .find_map(|(index, (value, other))| lost(&format!("{path}[{index}]"), value, other)),
        _ => (value != other).then(|| path.to_owned()),
    }
}

/// Reads all of a page's blocks of YAML; the kinds of their documents, or what is wrong.
fn read(readers: &Readers, page: &Page) -> Vec<Result<Kind, String>> {
    let mut values: Option<&Block> = None;
    let mut found = Vec::new();
    for block in page.blocks.iter().filter(|block| matches!(block.language.as_str(), "yaml" | "yml")) {
        let place = format!("{}:{}", page.path, block.line);
        let documents: Vec<Value> = match serde_saphyr::from_multiple(&block.body) {
            Ok(documents) => documents,
            Err(error) => {
                found.push(Err(format!("{place}: {error}")));
                continue;
            }
        };
        for document in documents {
            let kind = readers.read(&document, values.map(|block| block.body.as_str()));
            if kind == Ok(Kind::Values) {
                values = Some(block);
            }
            found.push(kind.map_err(|problem| format!("{place}: {problem}")));
        }
    }
    found
}

#[test]
fn every_manifest_and_every_file_of_values_is_taken() {
    let readers = Readers::new();
    let (mut good, mut problems) = (0, Vec::new());
    for page in pages().unwrap() {
        for found in read(&readers, &page) {
            match found {
                Ok(_) => good += 1,
                Err(problem) => problems.push(problem),
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(good > 3, "{good}");
}

#[test]
fn what_nobody_would_take_is_told() {
    let readers = Readers::new();
    let object = |spec: &str| {
        format!(
            "apiVersion: rollcall.dev/v1alpha1\nkind: ServiceRegistration\nmetadata: {{name: a}}\nspec: {spec}"
        )
    };
    let certificate = "apiVersion: cert-manager.io/v1\nkind: Certificate\nspec: {isCA: true}";
    let wanted = "certificates: {certManager: {enabled: true, issuerRef: {name: company}}}";
    let table: [(&[&str], Result<Kind, &str>); 12] = [
        (&[&object("{target: {service: {name: a}}}")], Ok(Kind::Object)),
        (&[&object("{target: {service: {name: a}}, wieght: 1}")], Err("there is no field .spec.wieght")),
        (&[&object("{target: {service: {name: a}}, weight: 5000}")], Err("weight")),
        (&["replicas: 3"], Ok(Kind::Values)),
        (&["replicas: many"], Err("replicas")),
        (&["image: {repo: x}"], Err("repo")),
        (&[certificate], Err("no values before it")),
        (&[wanted, certificate], Ok(Kind::Rendered)),
        (
            &[wanted, "apiVersion: cert-manager.io/v1\nkind: Certificate\nspec: {isCA: false}"],
            Err("the chart renders"),
        ),
        (&["service: orders\nports: {http: 8080}"], Ok(Kind::Registration)),
        (&["spec: {dnsPolicy: None, dnsconfig: {}}"], Err(".spec.dnsconfig")),
        (&["a: 1"], Err("neither an object")),
    ];
    for (blocks, expected) in table {
        let text: String = blocks.iter().map(|block| format!("```yaml\n{block}\n```\n")).collect();
        let found = read(&readers, &Page::new("docs/x.md".to_owned(), text.clone())).pop().unwrap();
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
            (found, expected) => panic!("{text}: {found:?} and not {expected:?}"),
        }
    }
    assert_eq!(
        lost("", &json!({"a": [1, {"b": 2}]}), &json!({"a": [1, {"b": 3}]})),
        Some(".a[1].b".to_owned())
    );
}

#[test]
fn every_block_of_json_is_json() {
    let pages = pages().unwrap();
    let blocks = pages.iter().flat_map(|page| page.blocks.iter().map(move |block| (page, block)));
    let mut found = 0;
    for (page, block) in blocks.filter(|(_, block)| block.language == "json") {
        let read: Result<Value, _> = serde_json::from_str(&block.body);
        read.unwrap_or_else(|error| panic!("{}:{}: {error}", page.path, block.line));
        found += 1;
    }
    assert!(found > 0);
}
