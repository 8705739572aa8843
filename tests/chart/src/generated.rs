//! The committed files that are made from others.

use crate::section::replaced;
use crate::{Golden, crd, documented, rbac, values};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Holds a file as it should be.
pub struct Generated {
    /// In the workspace.
    pub path: &'static str,
    pub text: String,
}

/// All of them, given the generated CRD.
pub fn generated(workspace: &Path, crd: &str) -> Result<Vec<Generated>> {
    const README: &str = "charts/rollcall/README.md";
    const SECURITY: &str = "docs/security.md";
    let read =
        |path: &str| fs::read_to_string(workspace.join(path)).with_context(|| format!("cannot read {path}"));
    let values = values::table(&documented(&read("charts/rollcall/values.yaml")?)?);
    let rules = rbac::tables(&Golden::all(&read("charts/rollcall/rbac.golden.yaml")?)?);
    Ok(vec![
        Generated {
            path: "charts/rollcall/templates/crds/serviceregistrations.yaml",
            text: crd::template(crd)?,
        },
        Generated { path: README, text: replaced(&read(README)?, "values", &values)? },
        Generated { path: SECURITY, text: replaced(&read(SECURITY)?, "rules", &rules)? },
    ])
}
