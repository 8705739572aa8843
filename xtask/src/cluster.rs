//! `cargo xtask cluster`: starting, ending and hurting a Kubernetes.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use rollcall_cluster::kind::Kind;
use rollcall_cluster::{Cluster, Home, NODES_MAX, Name, Provider, Shell, Wish};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,

    /// The cluster's name: clusters of different names run side by side
    #[arg(long, global = true, default_value = "rollcall")]
    name: String,

    /// Where the cluster comes from: local (Linux as root) or kind (Docker)
    #[arg(long, global = true, default_value = "local")]
    provider: String,
}

#[derive(Subcommand)]
enum Action {
    /// Start a cluster; what it prints is for a shell: eval "$(cargo xtask cluster up)"
    Up {
        /// How many nodes, named node1, node2, …
        #[arg(long, default_value_t = 1)]
        nodes: u8,
    },
    /// Show the nodes; exits with 1 if one of them is not well
    Status,
    /// Print what a shell needs to use the cluster, kubectl and helm: eval "$(cargo xtask cluster env)"
    Env,
    /// Print the path of the kubeconfig
    Kubeconfig,
    /// Load an image archive into every node
    Load { image: PathBuf },
    /// Cut a node's cable: packets vanish, nobody is told
    Cut { node: String },
    /// Plug a node's cable in again, and switch it on if it was killed
    Heal { node: String },
    /// Pull a node's plug: all of its processes end at once
    Kill { node: String },
    /// End the cluster and leave nothing of it
    Down,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let home = Home::of_this_user()?;
    let name = Name::parse(&arguments.name)?;
    match arguments.provider.parse()? {
        Provider::Local => on_local(&home, &name, arguments.action),
        Provider::Kind => on_kind(&home, &name, arguments.action),
        Provider::Existing => {
            bail!("an existing cluster is neither started nor ended here: use kubectl with its KUBECONFIG")
        }
    }
}

fn on_local(home: &Home, name: &Name, action: Action) -> Result<ExitCode> {
    match action {
        Action::Up { nodes } => {
            let cluster = Cluster::up(home, &Wish { ours_alone: false, ..Wish::new(name, nodes) })?;
            say_hello(&cluster.shell()?);
        }
        Action::Env => print!("{}", Cluster::get(home, name)?.shell()?),
        Action::Status => return status(home, name),
        Action::Kubeconfig => println!("{}", Cluster::get(home, name)?.kubeconfig().display()),
        Action::Load { image } => eprintln!("every node has {}", Cluster::get(home, name)?.load(&image)?),
        Action::Cut { node } => Cluster::get(home, name)?.cut(&node)?,
        Action::Heal { node } => Cluster::get(home, name)?.heal(&node)?,
        Action::Kill { node } => Cluster::get(home, name)?.kill(&node)?,
        Action::Down => Cluster::down(home, name)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn on_kind(home: &Home, name: &Name, action: Action) -> Result<ExitCode> {
    // kind itself knows how many nodes a running cluster has; the limit is ours.
    let kind =
        Kind::new(home, name.clone(), if let Action::Up { nodes } = action { nodes } else { NODES_MAX })?;
    match action {
        Action::Up { .. } => {
            kind.up()?;
            say_hello(&Shell::of_kubeconfig(kind.kubeconfig()));
        }
        Action::Env => print!("{}", Shell::of_kubeconfig(running(&kind, name)?)),
        Action::Status => {
            bail!("ask Kubernetes itself: kubectl --kubeconfig {} get nodes", kind.kubeconfig().display())
        }
        Action::Kubeconfig => println!("{}", running(&kind, name)?.display()),
        Action::Load { image } => kind.load(&image)?,
        Action::Cut { node } => kind.cut(&node)?,
        Action::Heal { node } => kind.heal(&node)?,
        Action::Kill { node } => kind.kill(&node)?,
        Action::Down => kind.down()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The kubeconfig of a kind cluster that was started.
fn running(kind: &Kind, name: &Name) -> Result<PathBuf> {
    let path = kind.kubeconfig();
    std::fs::metadata(&path)
        .with_context(|| format!("there is no kind cluster `{name}`: start it with `up`"))?;
    Ok(path)
}

/// Nothing else goes to the standard output, so that a shell can evaluate it.
fn say_hello(shell: &Shell) {
    eprintln!("\nThe cluster is up. A shell uses it, with kubectl and helm, after:\n");
    print!("{shell}");
}

fn status(home: &Home, name: &Name) -> Result<ExitCode> {
    let cluster = Cluster::get(home, name)?;
    println!("{:<8} {:<6} {:<10} READY", "NODE", "POWER", "CABLE");
    let nodes = cluster.status();
    for node in &nodes {
        let power = if node.powered { "on" } else { "off" };
        let cable = if node.connected { "plugged" } else { "cut" };
        let ready = match node.ready {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown: the API server does not answer",
        };
        println!("{:<8} {power:<6} {cable:<10} {ready}", node.name);
    }
    println!("API server {}, kubeconfig {}", cluster.layout().api_url(), cluster.kubeconfig().display());
    Ok(if nodes.iter().all(rollcall_cluster::NodeStatus::is_well) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
