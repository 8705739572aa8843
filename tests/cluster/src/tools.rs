//! The programs that a cluster runs, built from pinned modules and kept by content.

use crate::home::Home;
use crate::progress::Step;
use crate::run::{bound_to_us, logged, output_of};
use crate::{Error, machine};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The kit's sources, where the pinned modules are.
const SOURCES: &str = env!("CARGO_MANIFEST_DIR");

/// A cold build of all tools takes six minutes on two cores; a machine at half that speed must still get there.
const BUILD_LOCK_LIMIT: Duration = Duration::from_secs(40 * 60);

/// A program built from a Go module that the kit pins.
pub struct GoTool {
    /// What it is called here, also as a file.
    pub name: &'static str,
    package: &'static str,
    /// The folder with its go.mod and go.sum.
    module: &'static str,
    stamp: Stamp,
}

/// Which versions are stamped into a program, as charts and clients ask for them.
#[derive(Clone, Copy)]
enum Stamp {
    None,
    Kubernetes,
    /// helm's own, and the one of Kubernetes that it knows: without a cluster a chart's `kubeVersion` is held against it.
    Helm,
}

const KUBERNETES: &str = "k8s.io/kubernetes";

const fn kubernetes(name: &'static str, package: &'static str) -> GoTool {
    GoTool { name, package, module: "kubernetes", stamp: Stamp::Kubernetes }
}

pub const ETCD: GoTool = kubernetes("etcd", "go.etcd.io/etcd/server/v3");
pub(crate) const API_SERVER: GoTool = kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver");
pub(crate) const CONTROLLER_MANAGER: GoTool =
    kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager");
pub(crate) const SCHEDULER: GoTool = kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler");
pub(crate) const KUBELET: GoTool = kubernetes("kubelet", "k8s.io/kubernetes/cmd/kubelet");
pub(crate) const PROXY: GoTool = kubernetes("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy");
pub const KUBECTL: GoTool = kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl");
pub const COREDNS: GoTool =
    GoTool { name: "coredns", package: "github.com/coredns/coredns", module: "coredns", stamp: Stamp::None };

/// What charts are installed with: no part of a cluster, and built only where somebody asks for it.
pub const HELM: GoTool =
    GoTool { name: "helm", package: "helm.sh/helm/v3/cmd/helm", module: "helm", stamp: Stamp::Helm };

/// Fake nodes and pods: no part of a cluster, and built only where a test asks for it.
pub const KWOK: GoTool =
    GoTool { name: "kwok", package: "sigs.k8s.io/kwok/cmd/kwok", module: "kwok", stamp: Stamp::None };

/// A registry to be measured beside ours: no part of a cluster, and built only where a measurement asks for it.
pub const CONSUL: GoTool =
    GoTool { name: "consul", package: "github.com/hashicorp/consul", module: "consul", stamp: Stamp::None };

/// Prometheus' engine around a question of ours: no part of a cluster, and built only where expressions are tested.
pub const PROMQL: GoTool = GoTool {
    name: "promql",
    package: "rollcall.dev/tests/cluster/promql",
    module: "promql",
    stamp: Stamp::None,
};

/// Where the built programs of one cluster are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tools {
    pub etcd: PathBuf,
    pub api_server: PathBuf,
    pub controller_manager: PathBuf,
    pub scheduler: PathBuf,
    pub kubelet: PathBuf,
    pub proxy: PathBuf,
    pub kubectl: PathBuf,
    pub coredns: PathBuf,
    pub init: PathBuf,
}

impl Tools {
    /// Builds what is not there yet.
    pub(crate) fn build(home: &Home) -> Result<Self, Error> {
        Ok(Self {
            // The largest first: what it shares with the others is then built already.
            api_server: API_SERVER.build(home)?,
            controller_manager: CONTROLLER_MANAGER.build(home)?,
            kubelet: KUBELET.build(home)?,
            scheduler: SCHEDULER.build(home)?,
            proxy: PROXY.build(home)?,
            kubectl: KUBECTL.build(home)?,
            etcd: ETCD.build(home)?,
            coredns: COREDNS.build(home)?,
            init: build_init(home)?,
        })
    }
}

impl GoTool {
    /// The built program, from the store or built now.
    pub fn build(&self, home: &Home) -> Result<PathBuf, Error> {
        let module = Path::new(SOURCES).join(self.module);
        let flags = self.linker_flags(&module)?;
        let key = self.key(&module, &flags)?;
        stored(home, self.name, &key, |target| {
            let step = Step::start(format!("building {}", self.name));
            let mut go = go();
            // Its work folder is beside the result, where it is found and cleared after a kill.
            let work = target.with_file_name("work");
            fs::create_dir_all(&work).map_err(Error::file("make", &work))?;
            go.current_dir(&module).env("CGO_ENABLED", "0").env("GOTMPDIR", &work);
            // -v names each package as it is done: a sign of life in the log.
            go.args(["build", "-v", "-trimpath", "-ldflags", &flags, "-o"]).arg(target).arg(self.package);
            logged(&step, &mut go, &home.folder("logs")?.join(format!("build-{}.log", self.name)))?;
            fs::remove_dir_all(&work).map_err(Error::file("remove", &work))?;
            step.done();
            Ok(())
        })
    }

    fn linker_flags(&self, module: &Path) -> Result<String, Error> {
        let stamps = match self.stamp {
            Stamp::None => Vec::new(),
            Stamp::Kubernetes => {
                let version = pinned_version(module, KUBERNETES)?;
                let (major, minor) = major_and_minor(&version);
                let stamp = "k8s.io/component-base/version";
                vec![
                    format!("{stamp}.gitVersion={version}"),
                    format!("{stamp}.gitMajor={major}"),
                    format!("{stamp}.gitMinor={minor}"),
                ]
            }
            Stamp::Helm => {
                let helm = "helm.sh/helm/v3";
                // The libraries of Kubernetes 1.37 are called 0.37.
                let libraries = pinned_version(module, "k8s.io/client-go")?;
                let (_, minor) = major_and_minor(&libraries);
                let mut stamps =
                    vec![format!("{helm}/internal/version.version={}", pinned_version(module, helm)?)];
                for package in ["chartutil", "lint/rules"] {
                    stamps.push(format!("{helm}/pkg/{package}.k8sVersionMajor=1"));
                    stamps.push(format!("{helm}/pkg/{package}.k8sVersionMinor={minor}"));
                }
                stamps
            }
        };
        const STRIPPED: &str = "-s -w";
        Ok(stamps.iter().fold(STRIPPED.to_owned(), |flags, stamp| format!("{flags} -X {stamp}")))
    }

    /// Everything that decides what the built program is.
    fn key(&self, module: &Path, flags: &str) -> Result<String, Error> {
        let mut hash = Sha256::new();
        for path in ["go.mod", "go.sum"].map(|file| module.join(file)).into_iter().chain(sources(module)?) {
            hash.update(fs::read(&path).map_err(Error::file("read", &path))?);
        }
        let compiler = output_of("asking Go for its version", go().arg("version")).map_err(no_go)?;
        for part in [self.package, flags, &compiler] {
            hash.update(part);
        }
        Ok(short(hash))
    }
}

/// The sources that a module has of its own, in the order of their names.
fn sources(module: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(module).map_err(Error::file("list", module))?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(Error::file("list", module))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "go"));
    paths.sort();
    Ok(paths)
}

fn major_and_minor(version: &str) -> (&str, &str) {
    let mut numbers = version.trim_start_matches('v').split('.');
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

/// The version of a module that a go.mod requires.
pub(crate) fn pinned_version(module: &Path, required: &str) -> Result<String, Error> {
    let path = module.join("go.mod");
    let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let found = text.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split_whitespace();
        (words.next() == Some(required)).then(|| words.next().unwrap_or_default().to_owned())
    });
    found.ok_or_else(|| {
        Error::unmet(format!("{} requires no {required}", path.display()), "restore the file from git")
    })
}

/// The kit's own PID 1, static so that it is a container image as well.
fn build_init(home: &Home) -> Result<PathBuf, Error> {
    let sources = Path::new(SOURCES).join("init");
    let mut hash = Sha256::new();
    let lock = crate::static_build::workspace().join("Cargo.lock");
    for path in [sources.join("Cargo.toml"), sources.join("src/main.rs"), lock] {
        hash.update(fs::read(&path).map_err(Error::file("read", &path))?);
    }
    hash.update(output_of("asking rustc for its version", Command::new("rustc").arg("-vV"))?);
    stored(home, machine::INIT, &short(hash), |target| {
        let step = Step::start(format!("building {}", machine::INIT));
        let built = crate::static_build::build(
            &step,
            &[machine::INIT],
            &[],
            &home.folder("logs")?.join("build-init.log"),
        )?;
        let built = built.join(machine::INIT);
        fs::copy(&built, target).map_err(Error::file("copy", &built))?;
        step.done();
        Ok(())
    })
}

/// The file `name` of that content key: made once by `make`, whoever asks for it at the same time.
pub(crate) fn stored(
    home: &Home,
    name: &str,
    key: &str,
    make: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    let folder = home.folder("tools")?.join(format!("{name}-{key}"));
    let file = folder.join(name);
    if file.exists() {
        return Ok(file);
    }
    let _lock = home.lock(&format!("build-{name}"), BUILD_LOCK_LIMIT)?;
    if !file.exists() {
        // Made beside its place and moved there whole, so that a half-built file is never taken for a built one. What an
        // interrupted run left there goes first.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(Error::file("clear", &folder))?;
        }
        fs::create_dir_all(&folder).map_err(Error::file("make", &folder))?;
        let unfinished = folder.join(format!("{name}.unfinished"));
        make(&unfinished)?;
        fs::rename(&unfinished, &file).map_err(Error::file("move", &unfinished))?;
    }
    Ok(file)
}

/// Fails with one sentence where there is no Go that can build the pinned modules.
pub(crate) fn check_go() -> Result<(), Error> {
    let said = output_of("asking Go for its version", Command::new("go").args(["env", "GOVERSION"]))
        .map_err(no_go)?;
    if is_new_enough(said.trim()) {
        return Ok(());
    }
    Err(Error::unmet(
        format!("{} is too old to build Kubernetes", said.trim()),
        format!(
            "install Go 1.{GO_MINOR_MIN} or newer, or use `cargo xtask test --provider existing` with a KUBECONFIG"
        ),
    ))
}

/// What the go.mod files of the kit ask for.
const GO_MINOR_MIN: u32 = 26;

fn is_new_enough(version: &str) -> bool {
    let minor = version.strip_prefix("go1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    // A Go that does not name a release is somebody's own build of a new one.
    minor.is_none_or(|minor| minor >= GO_MINOR_MIN)
}

fn go() -> Command {
    let mut go = bound_to_us("go");
    // The module's own pins decide, not what stands around the checkout.
    go.env("GOWORK", "off");
    go
}

fn no_go(error: Error) -> Error {
    match error {
        Error::Command { .. } => Error::unmet(
            "Go is needed to build Kubernetes and is not on the PATH",
            format!(
                "install Go 1.{GO_MINOR_MIN} or newer, or use `cargo xtask test --provider existing` with a KUBECONFIG"
            ),
        ),
        other => other,
    }
}

pub(crate) fn short(hash: Sha256) -> String {
    /// 64 bits: enough to tell a handful of builds apart.
    const BYTES: usize = 8;
    hash.finalize().iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_kubernetes_is_a_supported_one_and_stamped() {
        let module = Path::new(SOURCES).join("kubernetes");
        let version = pinned_version(&module, KUBERNETES).unwrap();
        let minor: u32 = version.split('.').nth(1).unwrap().parse().unwrap();
        assert!(version.starts_with("v1.") && minor >= 34, "{version}");
        let flags = KUBECTL.linker_flags(&module).unwrap();
        assert!(
            flags.contains(&format!("gitVersion={version} "))
                && flags.ends_with(&format!("gitMinor={minor}")),
            "{flags}"
        );
        assert!(pinned_version(&module, "example.org/absent").is_err());
    }

    #[test]
    fn helm_knows_its_own_version_and_one_of_kubernetes() {
        let flags = HELM.linker_flags(&Path::new(SOURCES).join("helm")).unwrap();
        assert!(flags.contains("version.version=v3."), "{flags}");
        assert!(flags.contains("chartutil.k8sVersionMinor=3"), "{flags}");
    }

    #[test]
    fn what_we_wrote_ourselves_decides_too_what_a_tool_is() {
        let module = tempfile::tempdir().unwrap();
        let key = |text: &str| {
            for (file, text) in [("go.mod", ""), ("go.sum", ""), ("main.go", text), ("notes.md", "")] {
                fs::write(module.path().join(file), text).unwrap();
            }
            PROMQL.key(module.path(), "").unwrap()
        };
        assert_eq!(key("package main"), key("package main"));
        assert_ne!(key("package main"), key("package other"));
    }

    #[test]
    fn an_old_go_is_told_from_a_new_one() {
        for (version, fits) in [
            ("go1.19.8", false),
            ("go1.25", false),
            ("go1.26.0", true),
            ("go1.30rc1", true),
            ("devel +abc", true),
        ] {
            assert_eq!(is_new_enough(version), fits, "{version}");
        }
    }

    #[test]
    fn a_tool_is_made_once_and_never_taken_half_made() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        let fail = |path: &Path| {
            fs::write(path, "half").unwrap();
            Err(Error::Interrupted)
        };
        assert!(stored(&home, "tool", "k1", fail).is_err());
        let made = stored(&home, "tool", "k1", |path| {
            fs::write(path, "whole").unwrap();
            Ok(())
        });
        assert_eq!(fs::read_to_string(made.unwrap()).unwrap(), "whole");
        stored(&home, "tool", "k1", |_| unreachable!("it is there already")).unwrap();
    }
}
