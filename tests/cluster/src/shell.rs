//! What a person's shell needs to work with a cluster.

use crate::Error;
use crate::cluster::Cluster;
use crate::tools::HELM;
use std::fmt;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Holds what a shell is told so that `kubectl` and `helm` mean one cluster; shown, it is the lines to be evaluated.
pub struct Shell {
    kubeconfig: PathBuf,
    /// A folder with kubectl and helm under these names; none where the user has tools of their own.
    tools: Option<PathBuf>,
}

// === impl Cluster ===

impl Cluster {
    /// Makes the folder with the tools, which goes with the cluster. helm is built where it is not there yet.
    pub fn shell(&self) -> Result<Shell, Error> {
        let helm = HELM.build(&self.home)?;
        let folder = self.layout.folder().join("bin");
        fs::create_dir_all(&folder).map_err(Error::file("make", &folder))?;
        for (name, program) in [("kubectl", self.kubectl_program()), ("helm", &helm)] {
            link(&folder, name, program)?;
        }
        Ok(Shell { kubeconfig: self.kubeconfig(), tools: Some(folder) })
    }
}

/// Makes a link, or turns it over in one step: a shell may be using the old one.
fn link(folder: &Path, name: &str, program: &Path) -> Result<(), Error> {
    let unfinished = folder.join(format!("{name}.{}", std::process::id()));
    // Of a process that had our number and did not live to its end.
    let _ = fs::remove_file(&unfinished);
    symlink(program, &unfinished).map_err(Error::file("make", &unfinished))?;
    fs::rename(&unfinished, folder.join(name)).map_err(Error::file("move", &unfinished))
}

// === impl Shell ===

impl Shell {
    /// For a cluster that is used with the user's own tools.
    pub fn of_kubeconfig(kubeconfig: PathBuf) -> Self {
        Self { kubeconfig, tools: None }
    }
}

impl fmt::Display for Shell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "export KUBECONFIG={}", quoted(&self.kubeconfig))?;
        if let Some(tools) = &self.tools {
            writeln!(formatter, "export PATH={}:\"$PATH\"", quoted(tools))?;
        }
        Ok(())
    }
}

/// A path as a shell reads it back.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    if path.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-".contains(letter)) {
        return path;
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_shell_that_evaluates_it_finds_the_tools_and_the_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let tools = folder.path().join("it's $HOME");
        fs::create_dir(&tools).unwrap();
        link(&tools, "kubectl", Path::new("/bin/false")).unwrap();
        link(&tools, "kubectl", Path::new("/bin/echo")).unwrap();
        let shell = Shell { kubeconfig: "/a b/kubeconfig".into(), tools: Some(tools.clone()) };
        let script = format!(r#"{shell}kubectl "$KUBECONFIG" of "$(command -v kubectl)""#);
        let said = Command::new("sh").args(["-c", &script]).output().unwrap();
        let expected = format!("/a b/kubeconfig of {}\n", tools.join("kubectl").display());
        assert_eq!(String::from_utf8_lossy(&said.stdout), expected, "{script}");
        assert_eq!(fs::read_dir(&tools).unwrap().count(), 1);
    }

    #[test]
    fn an_ordinary_path_is_written_as_it_is() {
        let shell = Shell::of_kubeconfig("/home/a-b/.cache/kubeconfig_1".into());
        assert_eq!(shell.to_string(), "export KUBECONFIG=/home/a-b/.cache/kubeconfig_1\n");
    }
}
