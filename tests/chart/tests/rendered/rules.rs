use crate::{NAMESPACE, ci_files, with, with_file};
use rollcall_chart::{Golden, Rendered, Rule, chart};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

fn golden() -> Vec<Golden> {
    Golden::all(&fs::read_to_string(chart().join("rbac.golden.yaml")).unwrap()).unwrap()
}

/// The rules of each role, by its kind and name.
fn rules(rendered: &Rendered) -> BTreeMap<(String, String), Vec<Rule>> {
    let roles = rendered.of_kind("ClusterRole").chain(rendered.of_kind("Role"));
    roles
        .map(|role| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let key = (text(&role["kind"]), text(&role["metadata"]["name"]));
            (key, serde_json::from_value(role["rules"].clone()).unwrap())
        })
        .collect()
}

#[test]
fn the_rendered_rules_are_the_golden_ones() {
    let expected: BTreeMap<_, Vec<_>> = golden()
        .into_iter()
        .map(|role| ((role.kind, role.name), role.rules.into_iter().map(|rule| rule.may).collect()))
        .collect();
    assert_eq!(rules(&with(&["certificates.certManager.enabled=true"])), expected);
    let mut unset = rules(&with(&[])).into_values().flatten();
    assert!(unset.all(|rule| rule.resource_names != ["rollcall-authority"]), "only where it is named");
}

#[test]
fn no_switch_adds_a_rule() {
    let golden: BTreeMap<_, Vec<_>> = golden()
        .into_iter()
        .map(|role| ((role.kind, role.name), role.rules.into_iter().map(|rule| rule.may).collect()))
        .collect();
    for file in ci_files() {
        for (role, rules) in rules(&with_file(&file)) {
            let known = golden.get(&role).unwrap_or_else(|| panic!("{role:?} is not golden"));
            assert!(rules.iter().all(|rule| known.contains(rule)), "{}: {role:?}", file.display());
        }
    }
}

#[test]
fn every_rule_of_a_template_has_its_golden_reason_above_it() {
    let written: Vec<_> = ["cluster.yaml", "own-namespace.yaml", "aggregate.yaml"]
        .iter()
        .flat_map(|file| reasons(&fs::read_to_string(chart().join("templates/rbac").join(file)).unwrap()))
        .collect();
    let golden: Vec<_> = golden().into_iter().flat_map(|role| role.rules).map(|rule| rule.because).collect();
    assert_eq!(written, golden);
}

/// The comment above each rule, in one line.
fn reasons(template: &str) -> Vec<String> {
    let (mut found, mut comment) = (Vec::new(), Vec::new());
    for line in template.lines().map(str::trim) {
        match line.strip_prefix("# ") {
            Some(words) => comment.push(words),
            None if line.starts_with("- apiGroups:") => found.push(std::mem::take(&mut comment).join(" ")),
            None => comment.clear(),
        }
    }
    found
}

#[test]
fn no_rule_is_a_wildcard_or_reads_secrets_at_large_or_changes_pods() {
    for ((_, role), rules) in rules(&with(&[])) {
        for rule in rules {
            let all = [&rule.api_groups, &rule.resources, &rule.verbs].into_iter().flatten();
            assert!(all.clone().all(|word| word != "*"), "{role}: {rule:?}");
            let reads = rule.verbs.iter().any(|verb| ["get", "list", "watch"].contains(&verb.as_str()));
            if rule.resources.iter().any(|resource| resource == "secrets") && reads {
                assert_eq!(rule.resource_names, ["rollcall-ca"], "{role}: {rule:?}");
                assert_eq!(rule.verbs, ["get", "update"], "{role}: {rule:?}");
            }
            let only_looks = rule.verbs.iter().all(|verb| ["list", "watch"].contains(&verb.as_str()));
            assert!(
                only_looks || !rule.resources.iter().any(|resource| resource == "pods"),
                "{role}: {rule:?}"
            );
        }
    }
}

#[test]
fn only_the_controller_is_given_anything_and_nobody_anonymous() {
    let controller =
        json!([{"kind": "ServiceAccount", "name": "rollcall-controller", "namespace": NAMESPACE}]);
    for file in ci_files() {
        let rendered = with_file(&file);
        let bindings: Vec<_> =
            rendered.of_kind("ClusterRoleBinding").chain(rendered.of_kind("RoleBinding")).collect();
        assert_eq!(bindings.len(), 2, "{}", file.display());
        assert!(bindings.iter().all(|binding| binding["subjects"] == controller));
    }
    let aggregated = |verb: &str| {
        let rendered = with(&[]);
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{verb}");
        let names =
            rendered.of_kind("ClusterRole").filter(|role| role["metadata"]["labels"][&label] == "true");
        names
            .map(|role| role["metadata"]["name"].as_str().unwrap().replace("rollcall-system-", ""))
            .collect::<Vec<_>>()
    };
    let (view, edit) = ("serviceregistrations-view", "serviceregistrations-edit");
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(aggregated("view"), [view]);
    assert_eq!(sorted(aggregated("edit")), [edit, view]);
    assert_eq!(sorted(aggregated("admin")), [edit, view]);
}
