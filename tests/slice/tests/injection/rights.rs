//! What the controller may do in the cluster, as the cluster itself says it.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use rollcall_chart::{Golden, Reasoned, Rule, chart};
use rollcall_slice::{Cluster, Space};
use serde_json::{Value, json};

/// A right by its group, resource, the name of one object or none, and verb.
type Right = (String, String, String, String);

/// As `kubectl auth can-i --list` asks, in the controller's own namespace and in another one.
pub(crate) fn are_those_of_the_golden_file(cluster: &Cluster) -> Result<()> {
    let own = format!("{}-controller", cluster.system.name());
    for (space, roles) in [
        (&cluster.system, [own.as_str(), "rollcall-controller"].as_slice()),
        (&cluster.shop, &[own.as_str()]),
    ] {
        let has = rights(cluster, space, "rollcall-controller")?;
        // Of the same groups, and nobody has ever given it anything.
        let anybody = rights(cluster, space, "nobody-in-particular")?;
        let beyond: BTreeSet<_> = has.difference(&anybody).cloned().collect();
        let expected = golden(cluster, roles)?;
        ensure!(beyond == expected, "in {}: {beyond:#?} are not {expected:#?}", space.name());
    }
    Ok(())
}

fn rights(cluster: &Cluster, space: &Space, account: &str) -> Result<BTreeSet<Right>> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": space.name()},
    });
    let somebody = format!("--as=system:serviceaccount:{}:{account}", cluster.system.name());
    let said = space
        .given(&["create", "--validate=false", "-f", "-", "-o", "json", &somebody], &review.to_string())?;
    let said: Value = serde_json::from_str(&said)?;
    ensure!(said["status"]["incomplete"] == false, "{said}");
    let rules = said["status"]["resourceRules"].as_array().context("no rules")?.iter();
    Ok(rules.flat_map(flat).collect())
}

fn golden(cluster: &Cluster, roles: &[&str]) -> Result<BTreeSet<Right>> {
    let text = fs::read_to_string(chart().join("rbac.golden.yaml"))?;
    let all = Golden::all(&text.replace("rollcall-system", cluster.system.name()))?;
    let ours = all.iter().filter(|role| roles.contains(&role.name.as_str()));
    // This installation is as the chart has it by default: nobody else maintains an authority.
    let is_there = |rule: &&Reasoned| !rule.because.contains("Only with `certificates.");
    let rules: Vec<&Rule> =
        ours.flat_map(|role| &role.rules).filter(is_there).map(|rule| &rule.may).collect();
    ensure!(!rules.is_empty(), "no rules of {roles:?}");
    rules
        .into_iter()
        .map(|rule| Ok(flat(&serde_json::to_value(rule)?)))
        .collect::<Result<Vec<_>>>()
        .map(|all| all.into_iter().flatten().collect())
}

/// A rule as the single rights that it comes to.
fn flat(rule: &Value) -> Vec<Right> {
    let words = |field: &str| -> Vec<String> {
        let words = rule[field].as_array().into_iter().flatten();
        words.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let names = Some(words("resourceNames")).filter(|names| !names.is_empty()).unwrap_or(vec![String::new()]);
    let mut rights = Vec::new();
    for group in words("apiGroups") {
        for resource in words("resources") {
            for name in &names {
                for verb in words("verbs") {
                    rights.push((group.clone(), resource.clone(), name.clone(), verb));
                }
            }
        }
    }
    rights
}
