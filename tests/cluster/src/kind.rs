//! kind as the provider: a thin shell over kind's and docker's own commands.
//!
//! The commands are values, so that they can be held against a recorded list where there is no Docker to run them.

use crate::Error;
use crate::home::Home;
use crate::layout::{Name, Role};
use crate::progress::Step;
use crate::run::logged;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A cluster made by kind: a control plane, and `node1`, `node2`, … as its workers.
pub struct Kind {
    name: Name,
    nodes: u8,
    folder: PathBuf,
}

impl Kind {
    /// Whether what it needs is there; the rest is kind's own to say.
    pub fn prepare() -> Result<(), Error> {
        ["kind", "docker"].into_iter().try_for_each(is_there)
    }

    pub fn new(home: &Home, name: Name, nodes: u8) -> Result<Self, Error> {
        let folder = home.folder("kind")?;
        Ok(Self { name, nodes, folder })
    }

    pub fn up(&self) -> Result<(), Error> {
        let path = self.configuration_file();
        fs::write(&path, self.configuration()).map_err(Error::file("write", &path))?;
        self.run(&self.up_command())
    }

    pub fn down(&self) -> Result<(), Error> {
        self.run(&self.down_command())?;
        for file in [self.kubeconfig(), self.configuration_file(), self.log_file()] {
            // Made by `up`; where there was none, there is nothing to remove.
            let _ = fs::remove_file(file);
        }
        Ok(())
    }

    pub fn load(&self, archive: &Path) -> Result<(), Error> {
        self.run(&self.load_command(archive))
    }

    pub fn cut(&self, node: &str) -> Result<(), Error> {
        self.run(&self.cut_command(node)?)
    }

    pub fn heal(&self, node: &str) -> Result<(), Error> {
        let [start, connect] = self.heal_commands(node)?;
        self.run(&start)?;
        // A node whose cable was never cut is connected already, and docker says so as an error.
        match self.run(&connect) {
            Err(Error::Command { output, .. }) if output.contains("already exists in network") => Ok(()),
            other => other,
        }
    }

    pub fn kill(&self, node: &str) -> Result<(), Error> {
        self.run(&self.kill_command(node)?)
    }

    /// Where `up` puts the kubeconfig; the user's own is left alone.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join(format!("{}.kubeconfig", self.name))
    }

    /// What kind calls a node of the contract.
    pub fn container(&self, node: &str) -> Result<String, Error> {
        Ok(match Role::parse_node(node, self.nodes)? {
            // kind does not number its first worker.
            Role::Node(1) | Role::ControlPlane => format!("{}-worker", self.name),
            Role::Node(number) => format!("{}-worker{number}", self.name),
        })
    }

    pub fn configuration(&self) -> String {
        let workers = "  - role: worker\n".repeat(usize::from(self.nodes));
        format!(
            "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n  - role: control-plane\n{workers}"
        )
    }

    pub fn up_command(&self) -> Vec<String> {
        let (config, kubeconfig) = (self.configuration_file(), self.kubeconfig());
        words(
            "kind create cluster --wait 120s",
            [
                ("--name", self.name.to_string()),
                ("--config", shown(&config)),
                ("--kubeconfig", shown(&kubeconfig)),
            ],
        )
    }

    pub fn down_command(&self) -> Vec<String> {
        words(
            "kind delete cluster",
            [("--name", self.name.to_string()), ("--kubeconfig", shown(&self.kubeconfig()))],
        )
    }

    pub fn load_command(&self, archive: &Path) -> Vec<String> {
        words("kind load", [("image-archive", shown(archive)), ("--name", self.name.to_string())])
    }

    pub fn cut_command(&self, node: &str) -> Result<Vec<String>, Error> {
        Ok(words("docker network", [("disconnect", "kind".to_owned())])
            .into_iter()
            .chain([self.container(node)?])
            .collect())
    }

    pub fn heal_commands(&self, node: &str) -> Result<[Vec<String>; 2], Error> {
        let container = self.container(node)?;
        let connect = words("docker network", [("connect", "kind".to_owned())])
            .into_iter()
            .chain([container.clone()])
            .collect();
        Ok([words("docker", [("start", container)]), connect])
    }

    pub fn kill_command(&self, node: &str) -> Result<Vec<String>, Error> {
        Ok(words("docker", [("kill", self.container(node)?)]))
    }

    fn run(&self, words: &[String]) -> Result<(), Error> {
        let Some((program, arguments)) = words.split_first() else { return Ok(()) };
        is_there(program)?;
        let step = Step::start(words.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(" "));
        logged(&step, Command::new(program).args(arguments), &self.log_file())?;
        step.done();
        Ok(())
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    fn configuration_file(&self) -> PathBuf {
        self.folder.join(format!("{}.yaml", self.name))
    }
}

fn is_there(program: &str) -> Result<(), Error> {
    let mut asked = Command::new(program);
    asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().map(drop).map_err(|_| {
        Error::unmet(
            format!("the provider kind needs `{program}`, which is not on the PATH"),
            "install kind and Docker, or use `--provider local` on Linux as root",
        )
    })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn words<const N: usize>(command: &str, options: [(&str, String); N]) -> Vec<String> {
    let options = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
    command.split(' ').map(str::to_owned).chain(options).collect()
}
