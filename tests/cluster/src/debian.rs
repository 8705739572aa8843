//! What the kit takes from the distribution: checked, and on Debian as root installed.

use crate::Error;
use crate::home::Home;
use crate::progress::Step;
use crate::run::{WhenInterrupted, logged, logged_until, on_the_path, output_of};
use crate::tools::{short, stored};
use nix::unistd::Uid;
use sha2::{Digest, Sha256};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A program that a node or a test beside it needs, and the package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("python3", "python3"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("mount", "mount"),
];

/// The resolvers that an app may have, and what else their tests need.
const RESOLVERS: &[(&str, &str)] = &[
    ("dig", "bind9-dnsutils"),
    ("getent", "libc-bin"),
    ("go", "golang-go"),
    ("ip", "iproute2"),
    ("java", "default-jdk-headless"),
    ("javac", "default-jdk-headless"),
    ("musl-gcc", "musl-tools"),
    ("node", "nodejs"),
    ("python3", "python3"),
];
/// What the commands of our pages take for granted, and what their tests do it with.
const OF_PAGES: &[(&str, &str)] = &[
    ("bash", "bash"),
    ("curl", "curl"),
    ("dig", "bind9-dnsutils"),
    ("ip", "iproute2"),
    ("jq", "jq"),
    ("nsenter", "util-linux"),
    ("openssl", "openssl"),
    ("unshare", "util-linux"),
];
/// What programs for Java are built with, and run by.
const OF_JAVA: &[(&str, &str)] =
    &[("java", "default-jdk-headless"), ("javac", "default-jdk-headless"), ("mvn", "maven")];
/// A library, which Debian's own Python finds.
const DNSPYTHON: (&str, &str) = ("/usr/lib/python3/dist-packages/dns/resolver.py", "python3-dnspython");

/// Longer than apt-get needs, its own wait for others included.
const PACKAGES_LIMIT: Duration = Duration::from_secs(600);

/// Where distributions put the CNI plug-ins.
const CNI_FOLDERS: &[&str] = &["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];
const CNI_PACKAGE: &str = "containernetworking-plugins";

/// Makes sure that this machine can carry a cluster.
pub(crate) fn prepare(home: &Home) -> Result<(), Error> {
    let elsewhere =
        "use `--provider kind`, or test on a cluster of yours with `cargo xtask test --provider existing`";
    if env::consts::OS != "linux" {
        return Err(Error::unmet("the local provider is made of Linux namespaces", elsewhere));
    }
    if !Uid::effective().is_root() {
        return Err(Error::unmet(
            "the local provider makes network namespaces and cgroups, which only root may",
            format!("run the command as root, or {elsewhere}"),
        ));
    }
    installed(home, missing_packages)?;
    bridges_filter()
}

/// Makes sure that all resolvers that are tested can be had.
pub fn prepare_resolvers(home: &Home) -> Result<(), Error> {
    installed(home, || {
        let mut missing = packages_of(RESOLVERS);
        if !Path::new(DNSPYTHON.0).is_file() {
            missing.push(DNSPYTHON.1);
        }
        missing
    })
}

/// Makes sure that the commands of our pages find what they call.
pub fn prepare_pages(home: &Home) -> Result<(), Error> {
    installed(home, || packages_of(OF_PAGES))
}

/// Makes sure that programs for Java can be built and run.
pub(crate) fn prepare_java(home: &Home) -> Result<(), Error> {
    installed(home, || packages_of(OF_JAVA))
}

/// Installs what is missing, until nothing is.
fn installed(home: &Home, missing: impl Fn() -> Vec<&'static str>) -> Result<(), Error> {
    if !missing().is_empty() {
        // Two commands at once on a fresh machine: the second finds everything there.
        let _lock = home.lock("packages", PACKAGES_LIMIT)?;
        let missing = missing();
        if !missing.is_empty() {
            install(home, &missing)?;
        }
    }
    match missing().as_slice() {
        [] => Ok(()),
        still => Err(Error::unmet(
            format!("{} cannot be found", still.join(", ")),
            "check the PATH of this command",
        )),
    }
}

/// The folder of the CNI plug-ins.
pub(crate) fn cni() -> Result<PathBuf, Error> {
    cni_folder()
        .ok_or_else(|| Error::unmet("the CNI plug-ins cannot be found", format!("install {CNI_PACKAGE}")))
}

/// Without it, an answer from a pod to another one of the same node would not be translated back to the Service's address.
fn bridges_filter() -> Result<(), Error> {
    let present = || Path::new("/proc/sys/net/bridge").exists();
    if !present() {
        // Its outcome is seen by looking again.
        let _ = output_of("loading br_netfilter", Command::new("modprobe").arg("br_netfilter"));
    }
    if present() {
        return Ok(());
    }
    Err(Error::unmet(
        "the kernel module br_netfilter is not loaded and cannot be",
        "run `modprobe br_netfilter` as root",
    ))
}

fn missing_packages() -> Vec<&'static str> {
    let mut missing = packages_of(PROGRAMS);
    if cni_folder().is_none() {
        missing.push(CNI_PACKAGE);
    }
    missing
}

/// The packages of those programs that are not there.
fn packages_of(programs: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    let missing = programs.iter().filter(|(program, _)| !on_the_path(program));
    let mut packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

fn install(home: &Home, packages: &[&str]) -> Result<(), Error> {
    if !on_the_path("apt-get") {
        return Err(Error::unmet(
            format!("{} must be there", packages.join(", ")),
            "install them with your distribution's package manager",
        ));
    }
    let step = Step::start(format!("installing {}", packages.join(", ")));
    let log = home.folder("logs")?.join("packages.log");
    update_lists(&step, &log)?;
    let mut install = apt_get();
    install.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    logged_until(&step, &mut install, &log, WhenInterrupted::Finish)?;
    step.done();
    Ok(())
}

/// A package's files in a folder, taken from the archive without installing the package.
pub(crate) fn unpacked(home: &Home, package: &str) -> Result<PathBuf, Error> {
    let mut hash = Sha256::new();
    hash.update(env::consts::ARCH);
    stored(home, package, &short(hash), |target| {
        if !on_the_path("apt-get") || !on_the_path("dpkg-deb") {
            return Err(Error::unmet(
                format!("the toolbox image is made from Debian's package {package}, and there is no apt-get"),
                "run the local provider on Debian or Ubuntu",
            ));
        }
        let step = Step::start(format!("fetching {package}"));
        let log = home.folder("logs")?.join("packages.log");
        fs::create_dir_all(target).map_err(Error::file("make", target))?;
        let download = || {
            // As root, apt would hand the download to a user who may not write here.
            let mut download = apt_get();
            download.args(["-o", "APT::Sandbox::User=root", "download", package]).current_dir(target);
            logged(&step, &mut download, &log)
        };
        if download().is_err() {
            // A fresh machine has no lists of packages yet.
            update_lists(&step, &log)?;
            download()?;
        }
        let archive =
            fs::read_dir(target).map_err(Error::file("read", target))?.filter_map(Result::ok).next();
        let archive =
            archive.ok_or_else(|| Error::unmet(format!("apt-get gave no {package}"), "try again"))?.path();
        output_of(
            "unpacking a package",
            Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(target),
        )?;
        fs::remove_file(&archive).map_err(Error::file("remove", &archive))?;
        step.done();
        Ok(())
    })
}

fn update_lists(step: &Step, log: &Path) -> Result<(), Error> {
    logged_until(step, apt_get().arg("update"), log, WhenInterrupted::Finish)
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // The machine's own daily updates may be at it.
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["--quiet", "-o", "DPkg::Lock::Timeout=120"]);
    command
}

fn cni_folder() -> Option<PathBuf> {
    CNI_FOLDERS
        .iter()
        .map(PathBuf::from)
        .find(|folder| ["bridge", "host-local", "portmap"].iter().all(|plugin| folder.join(plugin).is_file()))
}
