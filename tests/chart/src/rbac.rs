//! The rules that the chart asks for, as they were agreed to: each with its reason.

use crate::section::row;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Holds what one role may, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    pub kind: String,
    /// As in the namespace `rollcall-system`.
    pub name: String,
    /// Who has it, in words.
    pub whose: String,
    pub rules: Vec<Reasoned>,
}

/// Holds a rule and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reasoned {
    pub may: Rule,
    pub because: String,
}

/// Holds a rule as Kubernetes has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    pub api_groups: Vec<String>,
    pub resources: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    pub verbs: Vec<String>,
}

// === impl Golden ===

impl Golden {
    /// Reads the golden file.
    pub fn all(text: &str) -> Result<Vec<Self>> {
        serde_saphyr::from_str(text).context("rbac.golden.yaml")
    }
}

/// The tables of the page on security, one for each role.
pub(crate) fn tables(roles: &[Golden]) -> String {
    roles.iter().fold(String::new(), |mut page, role| {
        page += &format!("\n**{} `{}`**: {}\n\n", role.kind, role.name, role.whose);
        page += &(row(&["API group", "resources", "verbs", "because"]) + "|---|---|---|---|\n");
        role.rules.iter().fold(page, |page, rule| page + &rule.row())
    })
}

// === impl Reasoned ===

impl Reasoned {
    fn row(&self) -> String {
        let groups: Vec<_> =
            self.may.api_groups.iter().map(|group| if group.is_empty() { "core" } else { group }).collect();
        let mut resources = self.may.resources.join(", ");
        if !self.may.resource_names.is_empty() {
            resources += &format!(" named `{}`", self.may.resource_names.join("`, `"));
        }
        row(&[&groups.join(", "), &resources, &self.may.verbs.join(", "), &self.because])
    }
}
