//! A cluster from nothing and back to nothing, and the faults that it can be given in between.

use crate::base_images::{self, BaseImages};
use crate::cgroup::Hierarchies;
use crate::home::Home;
use crate::layout::{Layout, NODES_MAX, Name, Role};
use crate::machine::Machine;
use crate::node::Parts;
use crate::process::ProcessId;
use crate::progress::Step;
use crate::run::{Poll, output_of, wait_for};
use crate::state::{self, Phase, Record};
use crate::tools::{Tools, check_go};
use crate::{Error, control_plane, debian, interrupt, pki};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long to wait for another command on the same cluster: as long as an `up` may take by its own limits.
const OTHERS_LIMIT: Duration = Duration::from_secs(600);
/// Three nodes are Ready in seconds; a machine that is busy with other things may need minutes.
pub(crate) const NODES_LIMIT: Duration = Duration::from_secs(180);
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A cluster of the kit on this machine.
pub struct Cluster {
    pub(crate) home: Home,
    pub(crate) layout: Layout,
    pub(crate) record: Record,
    pub(crate) hierarchies: Hierarchies,
}

/// What `up` is asked for; see [`Wish::new`].
pub struct Wish {
    pub name: Name,
    pub nodes: u8,
    /// Whether the cluster is of use only as long as this process lives.
    pub ours_alone: bool,
    pub collects: Collects,
}

/// Says how often the API server clears up its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Collects {
    #[default]
    AsShipped,
    /// For measurements of what shares the processors with it.
    Seldom,
}

impl Wish {
    /// A cluster of the program's own, and an API server as it is shipped.
    pub fn new(name: &Name, nodes: u8) -> Self {
        Self { name: name.clone(), nodes, ours_alone: true, collects: Collects::AsShipped }
    }
}

impl Cluster {
    /// Makes sure that this machine can carry a cluster: rights, packages of the distribution, and Go.
    pub fn prepare(home: &Home) -> Result<(), Error> {
        debian::prepare(home)?;
        check_go()
    }

    /// Starts a cluster; one that runs already with as many nodes is left as it is, one that was left half-made is made anew.
    pub fn up(home: &Home, wish: &Wish) -> Result<Self, Error> {
        if !(1..=NODES_MAX).contains(&wish.nodes) {
            return Err(Error::unmet(
                format!("a cluster of {} nodes cannot be made", wish.nodes),
                format!("ask for 1 to {NODES_MAX}"),
            ));
        }
        Self::prepare(home)?;
        let cni = debian::cni()?;
        let tools = Tools::build(home)?;
        let images = BaseImages::build(home, &tools)?;
        let _lock = home.lock(&format!("cluster-{}", wish.name), OTHERS_LIMIT)?;
        if let Some(running) = Self::find(home, &wish.name)? {
            return running.keep_if_it_fits(wish);
        }
        refuse_if_somebody_elses(home, &wish.name)?;
        take_down(home, &wish.name)?;
        let record = claim_slot(home, wish, tools)?;
        let layout = Layout::new(home.path(), wish.name.clone(), record.slot);
        let mut cluster =
            Self { home: home.clone(), layout, record, hierarchies: Hierarchies::of_this_host()? };
        match cluster.start(&images, &cni) {
            Ok(()) => Ok(cluster),
            Err(error) => {
                // Whatever failed after ctrl-C failed because of it.
                let error = interrupt::check().err().unwrap_or(error);
                cluster.give_up(&error);
                Err(error)
            }
        }
    }

    /// The cluster of that name, if it is up.
    pub fn find(home: &Home, name: &Name) -> Result<Option<Self>, Error> {
        let Some(record) = state::read(&Layout::new(home.path(), name.clone(), 0))? else { return Ok(None) };
        let layout = Layout::new(home.path(), name.clone(), record.slot);
        let hierarchies = Hierarchies::of_this_host()?;
        let runs =
            record.phase == Phase::Up && Machine::find(&layout, &hierarchies, Role::ControlPlane).is_some();
        Ok(runs.then(|| Self { home: home.clone(), layout, record, hierarchies }))
    }

    /// As `find`, for commands that make no sense without the cluster.
    pub fn get(home: &Home, name: &Name) -> Result<Self, Error> {
        Self::find(home, name)?.ok_or_else(|| {
            Error::unmet(
                format!("there is no cluster `{name}` that is up"),
                format!("start it with `cargo xtask cluster up --name {name}`"),
            )
        })
    }

    /// The kit's own cluster that is up and has this authority: the base64 of its certificate, as in a kubeconfig.
    pub fn of_authority(home: &Home, authority: &str) -> Result<Option<Self>, Error> {
        for (name, _) in state::all(home)? {
            let own = Layout::new(home.path(), name.clone(), 0).kubeconfig();
            let own: serde_json::Value =
                fs::read(own).ok().and_then(|own| serde_json::from_slice(&own).ok()).unwrap_or_default();
            if own
                .pointer("/clusters/0/cluster/certificate-authority-data")
                .is_some_and(|own| own == authority)
            {
                return Self::find(home, &name);
            }
        }
        Ok(None)
    }

    /// The archive of the toolbox image, for clusters that are not the kit's own.
    pub fn toolbox_archive(home: &Home) -> Result<PathBuf, Error> {
        base_images::toolbox_archive(home)
    }

    /// Ends a cluster and leaves nothing of it, whatever state it is in.
    pub fn down(home: &Home, name: &Name) -> Result<(), Error> {
        let lock_name = format!("cluster-{name}");
        let lock = home.lock(&lock_name, OTHERS_LIMIT)?;
        take_down(home, name)?;
        home.remove_lock(&lock_name, &lock);
        Ok(())
    }

    /// Ends the clusters of test runs that did not live to do it themselves.
    pub fn sweep(home: &Home) -> Result<(), Error> {
        for (name, record) in state::all(home)? {
            let abandoned = record.and_then(|record| record.owner).is_some_and(|owner| !owner.is_alive());
            if abandoned {
                eprintln!("ending cluster {name}, which an earlier test run left behind");
                Self::down(home, &name)?;
            }
        }
        Ok(())
    }

    /// Keeps other commands from the cluster, an `up` or `down` above all.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        self.home.lock(&format!("cluster-{}", self.layout.name), OTHERS_LIMIT)
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.layout.kubeconfig()
    }

    /// A token that the API server believes, if only its claims are true: for tests of who believes which.
    pub fn sign_token(&self, claims: &serde_json::Value) -> Result<String, Error> {
        pki::sign_token(&self.layout, claims)
    }

    pub fn kubectl_program(&self) -> &Path {
        &self.record.tools.kubectl
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub fn nodes(&self) -> u8 {
        self.record.nodes
    }

    fn keep_if_it_fits(self, wish: &Wish) -> Result<Self, Error> {
        if self.record.nodes == wish.nodes {
            let mut ask = control_plane::kubectl(&self.layout, &self.record.tools);
            output_of(
                "asking the API server of the cluster that is up already",
                ask.args(["get", "--raw", "/readyz"]),
            )?;
            eprintln!("cluster {} is up already", wish.name);
            return Ok(self);
        }
        Err(Error::unmet(
            format!("cluster {} is up with {} nodes, not {}", wish.name, self.record.nodes, wish.nodes),
            format!(
                "end it first with `cargo xtask cluster down --name {}`, or choose another --name",
                wish.name
            ),
        ))
    }

    fn start(&mut self, images: &BaseImages, cni: &Path) -> Result<(), Error> {
        let step =
            Step::start(format!("starting cluster {} with {} nodes", self.layout.name, self.record.nodes));
        pki::create_all(&self.layout, self.record.nodes)?;
        let control_plane = control_plane::start(&self.layout, &self.hierarchies, &self.record)?;
        let numbers: Vec<u8> = (1..=self.record.nodes).collect();
        let parts = self.parts(images, cni);
        let add_ons = || {
            control_plane::wait_until_ready(&self.layout, &self.record.tools, &control_plane)?;
            self.apply_add_ons()
        };
        let start_nodes = || in_parallel(&numbers, |number| parts.start(*number, &control_plane));
        let mut machines = std::thread::scope(|scope| {
            let add_ons = scope.spawn(add_ons);
            let nodes = start_nodes();
            add_ons.join().unwrap_or(Err(Error::Interrupted)).and(nodes)
        })?;
        machines.push(control_plane);
        self.wait_for_nodes(&self.roles().collect::<Vec<_>>(), &machines)?;
        self.wait_for_first_service_account(&machines)?;
        interrupt::check()?;
        self.record.phase = Phase::Up;
        state::write(&self.layout, &self.record)?;
        step.done();
        Ok(())
    }

    fn apply_add_ons(&self) -> Result<(), Error> {
        const COREDNS: &str = include_str!("../addons/coredns.yaml");
        let manifest = self.layout.folder().join("coredns.yaml");
        fs::write(&manifest, COREDNS.replace("DNS_ADDRESS", &self.layout.dns_address()))
            .map_err(Error::file("write", &manifest))?;
        let mut apply = control_plane::kubectl(&self.layout, &self.record.tools);
        output_of("installing CoreDNS", apply.args(["apply", "--server-side", "-f"]).arg(manifest)).map(drop)
    }

    /// No pod can be made in a namespace before it has its ServiceAccount.
    fn wait_for_first_service_account(&self, machines: &[Machine]) -> Result<(), Error> {
        wait_for("the default ServiceAccount", NODES_LIMIT, LOOK_EVERY, &self.layout.folder(), || {
            machines.iter().try_for_each(Machine::check_daemons)?;
            let mut get = control_plane::kubectl(&self.layout, &self.record.tools);
            let got = output_of(
                "asking for the default ServiceAccount",
                get.args(["get", "serviceaccount", "default"]),
            );
            Ok(got.map_or_else(|error| Poll::NotYet(error.to_string()), |_| Poll::Ready(())))
        })
    }

    pub(crate) fn parts<'a>(&'a self, images: &'a BaseImages, cni: &'a Path) -> Parts<'a> {
        let (layout, hierarchies, tools) = (&self.layout, &self.hierarchies, &self.record.tools);
        Parts { layout, hierarchies, tools, images, cni, nodes: self.record.nodes }
    }

    /// Takes away what was made of a cluster that did not come up; why it did not is what the user wants to hear.
    fn give_up(&self, why: &Error) {
        let cleaned = if matches!(why, Error::Interrupted) {
            take_down(&self.home, &self.layout.name)
        } else {
            eprintln!(
                "taking away what was made of the cluster; its logs stay until the next `up` or `down`"
            );
            unplug(&self.layout, &self.hierarchies)
        };
        if let Err(error) = cleaned {
            eprintln!("{error}; `cargo xtask cluster down --name {}` tries again", self.layout.name);
        }
    }
}

/// Notes the cluster down in a place that no other cluster has, before anything of it exists.
fn claim_slot(home: &Home, wish: &Wish, tools: Tools) -> Result<Record, Error> {
    let _lock = home.lock("slots", OTHERS_LIMIT)?;
    let owner = if wish.ours_alone { ProcessId::of_this_process() } else { None };
    let (nodes, collects) = (wish.nodes, wish.collects);
    let record =
        Record { slot: state::free_slot(home)?, nodes, phase: Phase::Starting, tools, owner, collects };
    state::write(&Layout::new(home.path(), wish.name.clone(), record.slot), &record)?;
    Ok(record)
}

fn take_down(home: &Home, name: &Name) -> Result<(), Error> {
    let hierarchies = Hierarchies::of_this_host()?;
    let unslotted = Layout::new(home.path(), name.clone(), 0);
    // Without a readable record the cgroup still tells all processes, and with them go all links but none of the host.
    let slot = state::read(&unslotted).ok().flatten().map(|record| record.slot);
    match slot {
        Some(slot) => unplug(&Layout::new(home.path(), name.clone(), slot), &hierarchies)?,
        None => hierarchies.end(&unslotted.cgroup())?,
    }
    let folder = unslotted.folder();
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("remove", &folder)(error))
        }
        _ => Ok(()),
    }
}

fn unplug(layout: &Layout, hierarchies: &Hierarchies) -> Result<(), Error> {
    hierarchies.end(&layout.cgroup())?;
    // The link would go with the control plane's network namespace by itself, but that can live on for seconds, for as long
    // as the kernel still closes connections in it. One of the same name that is another cluster's is left alone.
    let link = layout.host_link();
    let alias = || fs::read_to_string(format!("/sys/class/net/{link}/ifalias")).unwrap_or_default();
    if alias().trim() != layout.owner() {
        return Ok(());
    }
    let removed =
        output_of("removing the cluster's link", Command::new("ip").args(["link", "delete", &link]));
    // It may have gone by itself between the look and the removal.
    if alias().is_empty() { Ok(()) } else { removed.map(drop) }
}

/// A cgroup without a record of ours belongs to a cluster of the same name that was made from another home.
fn refuse_if_somebody_elses(home: &Home, name: &Name) -> Result<(), Error> {
    let layout = Layout::new(home.path(), name.clone(), 0);
    if layout.state_file().exists() || Hierarchies::of_this_host()?.processes(&layout.cgroup()).is_empty() {
        return Ok(());
    }
    Err(Error::unmet(
        format!("a cluster `{name}` runs already that was not started from {}", home.path().display()),
        format!("choose another --name, or end it for good with `cargo xtask cluster down --name {name}`"),
    ))
}

/// Does the same to all of a few things at once; the first error counts.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    things: &[T],
    act: impl Fn(&T) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    std::thread::scope(|scope| {
        let act = &act;
        let running: Vec<_> = things.iter().map(|thing| scope.spawn(move || act(thing))).collect();
        // All are waited for, also after one has failed.
        let ended: Vec<_> =
            running.into_iter().map(|thread| thread.join().unwrap_or(Err(Error::Interrupted))).collect();
        ended.into_iter().collect()
    })
}
