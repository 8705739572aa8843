use crate::helm;
use rollcall_chart::{chart, documented};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

fn read(file: &str) -> String {
    fs::read_to_string(chart().join(file)).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(&read("values.schema.json")).unwrap()
}

/// The keys that have a description: what is below them is theirs.
fn described() -> BTreeSet<Vec<String>> {
    documented(&read("values.yaml")).unwrap().into_iter().map(|value| value.path).collect()
}

/// The keys below which nothing is of interest, or that lead nowhere, in a tree that names its branches by `branches`.
fn ends(
    tree: &Value,
    branches: impl Fn(&Value) -> Option<&Value> + Copy,
    way: &[String],
    described: &BTreeSet<Vec<String>>,
) -> BTreeSet<Vec<String>> {
    let inner = branches(tree).and_then(Value::as_object).filter(|inner| !inner.is_empty());
    match inner {
        Some(inner) if !described.contains(way) => inner
            .iter()
            .flat_map(|(key, tree)| {
                let way: Vec<_> = way.iter().cloned().chain([key.clone()]).collect();
                ends(tree, branches, &way, described)
            })
            .collect(),
        _ => [way.to_owned()].into(),
    }
}

#[test]
fn every_value_is_described_and_has_its_place_in_the_schema() {
    let (described, values): (_, Value) =
        (described(), serde_saphyr::from_str(&read("values.yaml")).unwrap());
    assert_eq!(ends(&values, |tree| Some(tree), &[], &described), described);
    let mut in_schema = ends(&schema(), |tree| tree.get("properties"), &[], &described);
    // Helm's own word to charts inside of others.
    assert!(in_schema.remove(&vec!["global".to_owned()]));
    assert_eq!(in_schema, described);
}

#[test]
fn no_object_of_the_schema_takes_a_key_that_it_does_not_name() {
    fn look(schema: &Value, way: &str) {
        if schema.get("properties").is_some() {
            assert_eq!(schema["additionalProperties"], false, "{way}");
        }
        for (key, inner) in schema.as_object().into_iter().flatten() {
            look(inner, &format!("{way}/{key}"));
        }
    }
    look(&schema(), "");
}

#[test]
fn a_bad_value_is_refused_by_its_name() {
    // As for --set-json; and what must be said of it.
    for (setting, field) in [
        ("replicas=0", "/replicas"),
        (r#"replicas="2""#, "/replicas"),
        ("replica=2", "'replica'"),
        (r#"image.repository="Rollcall""#, "/image/repository"),
        (r#"image.tag="a b""#, "/image/tag"),
        (r#"image.digest="sha256:abc""#, "/image/digest"),
        (r#"image.pullPolicy="Sometimes""#, "/image/pullPolicy"),
        (r#"imagePullSecrets=["registry"]"#, "/imagePullSecrets/0"),
        (r#"resources.limit={}"#, "'limit'"),
        (r#"resources.limits={"memory":"much"}"#, "/resources/limits/memory"),
        (r#"tolerations={}"#, "/tolerations"),
        (r#"podLabels={"a":1}"#, "/podLabels/a"),
        (r#"logLevel="verbose""#, "/logLevel"),
        // A sidecar that does not start would keep every pod from starting.
        (r#"sidecar.resources.limits.memory="16Mi""#, "/sidecar/resources/limits/memory"),
        (r#"sidecar.resources.limits.memory="4097Mi""#, "/sidecar/resources/limits/memory"),
        (r#"sidecar.guaranteed.memory="""#, "/sidecar/guaranteed/memory"),
        (r#"sidecar.guaranteed.cpu="""#, "/sidecar/guaranteed/cpu"),
        (r#"sidecar.guaranteed.cpu="0""#, "/sidecar/guaranteed/cpu"),
        (r#"sidecar.resources.requests.cpu="fast""#, "/sidecar/resources/requests/cpu"),
        ("sidecar.requiresTimeoutSeconds=0", "/sidecar/requiresTimeoutSeconds"),
        (r#"injection.enabled="yes""#, "/injection/enabled"),
        (r#"injection.namespaces.only=["Shop"]"#, "/injection/namespaces/only/0"),
        (r#"injection.failurePolicy="Fail""#, "'failurePolicy'"),
        (r#"liveness.mode="off""#, "/liveness/mode"),
        (r#"staticAddresses.allowedCIDRs=["10.0.0.1"]"#, "/staticAddresses/allowedCIDRs/0"),
        (r#"staticAddresses.allowedCIDRs=["10.0.0.300/8"]"#, "/staticAddresses/allowedCIDRs/0"),
        (r#"crds.keep="no""#, "/crds/keep"),
        ("networkPolicy.sessionsFrom=[]", "/networkPolicy/sessionsFrom"),
        (r#"networkPolicy.metricsFrom=[{"namespace":"monitoring"}]"#, "/networkPolicy/metricsFrom/0"),
        (r#"serviceMonitor.interval="often""#, "/serviceMonitor/interval"),
        (r#"podMonitor.interval="often""#, "/podMonitor/interval"),
        (r#"prometheusRule.runbook="docs#there""#, "/prometheusRule/runbook"),
        (r#"grafanaDashboard.labels={"a":1}"#, "/grafanaDashboard/labels/a"),
    ] {
        let rendered = helm().rendered("x", &["--set-json", setting]);
        let said = rendered.map_or_else(|error| format!("{error:#}"), |_| "rendered".to_owned());
        assert!(said.contains("schema") && said.contains(field), "{setting}: {said}");
    }
}

#[test]
fn good_values_at_the_edges_are_taken() {
    for setting in [
        r#"sidecar.resources.limits.memory="24Mi""#,
        r#"sidecar.resources.limits.memory="4096Mi""#,
        r#"sidecar.resources.limits.memory="4Gi""#,
        r#"sidecar.resources.limits.memory="""#,
        "sidecar.resources.limits.cpu=0.5",
        r#"sidecar.guaranteed.cpu="100m""#,
        r#"sidecar.guaranteed.cpu="0.05""#,
        r#"staticAddresses.allowedCIDRs=["10.20.0.0/16","0.0.0.0/0","fd00::/8","2001:db8::/128"]"#,
        r#"image.repository="registry.example.org:5000/team/rollcall-controller""#,
        r#"logLevel="warn,rollcall_controller::sessions=trace""#,
        r#"global={"a":1}"#,
        r#"resources.limits={"cpu":1,"memory":"1.5Gi"}"#,
    ] {
        if let Err(error) = helm().rendered("x", &["--set-json", setting]) {
            panic!("{setting}: {error:#}");
        }
    }
}
