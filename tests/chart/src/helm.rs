//! helm as a person would use it, but with nothing of the person's own.

use anyhow::{Context, Result, bail};
use rollcall_cluster::{HELM, Home};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs helm without a cluster.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
    /// Where it keeps what it keeps.
    folder: PathBuf,
}

/// Holds the objects that a chart came to.
#[derive(Debug, Clone)]
pub struct Rendered(pub Vec<Value>);

// === impl Helm ===

impl Helm {
    /// The kit's own, built where it is not there yet.
    pub fn new(folder: &Path) -> Result<Self> {
        Ok(Self { program: HELM.build(&Home::of_this_user()?)?, folder: folder.to_owned() })
    }

    /// Gives what it said, whether it succeeded or not.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Output> {
        let mut helm = Command::new(&self.program);
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(variable, &self.folder);
        }
        // Nobody's cluster is asked, or changed by mistake.
        helm.env("KUBECONFIG", "/dev/null").args(arguments);
        helm.output().context("cannot start helm")
    }

    /// Gives what it printed; where it failed, what it complained of.
    pub fn printed<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        let output = self.run(arguments)?;
        if !output.status.success() {
            bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Renders the chart as a release `rollcall` in a namespace.
    pub fn rendered(&self, namespace: &str, arguments: &[&str]) -> Result<Rendered> {
        self.rendered_from(&crate::chart(), namespace, arguments)
    }

    /// Renders a chart that was changed for a test.
    pub fn rendered_from(&self, chart: &Path, namespace: &str, arguments: &[&str]) -> Result<Rendered> {
        let template = ["template", "rollcall", "--namespace", namespace].map(OsStr::new);
        let all = template.into_iter().chain([chart.as_os_str()]).chain(arguments.iter().map(OsStr::new));
        let printed = self.printed(all)?;
        let objects: Vec<Value> = serde_saphyr::from_multiple(&printed).context("what helm rendered")?;
        Ok(Rendered(objects.into_iter().filter(Value::is_object).collect()))
    }
}

// === impl Rendered ===

impl Rendered {
    /// The objects of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// The only object of a kind.
    pub fn one<'a>(&'a self, kind: &'a str) -> Result<&'a Value> {
        let mut found = self.of_kind(kind);
        let one = found.next().with_context(|| format!("no {kind} was rendered"))?;
        match found.next() {
            None => Ok(one),
            Some(_) => bail!("more than one {kind} was rendered"),
        }
    }
}
