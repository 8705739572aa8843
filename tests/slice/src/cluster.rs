//! An installation in random namespaces of a real cluster, gone again when dropped.

use std::{
    env,
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use rollcall_chart::chart;
use rollcall_cluster::{HELM, Home, Kubectl, output_of};

use crate::{Space, apps, eventually};

/// Controllers of an installation, as the chart has it by default.
pub const REPLICAS: usize = 2;
const RELEASE: &str = "rollcall";
const CONTROLLER: &str = "deployment/rollcall-controller";
const CRD: &str = "crd/serviceregistrations.rollcall.dev";
/// For how long helm waits: a slow machine starts a controller in seconds, and helm itself is ended after 120 s.
const HELM_WAITS: &str = "--timeout=100s";

/// Holds an installation, and namespaces whose pods can get a sidecar from it and from no other.
#[derive(Debug)]
pub struct Cluster {
    kubectl: Kubectl,
    helm: PathBuf,
    /// Where helm keeps what it keeps, so that nothing of the user's own has a say.
    helm_home: PathBuf,
    /// The controller's namespace.
    pub system: Space,
    /// All pods ask for a sidecar, and Pod Security is enforced as strictly as it can be.
    pub shop: Space,
    /// Pods ask for themselves, and may do what they like.
    pub yard: Space,
    /// The CRD was not there before, and goes with us.
    owns_crd: bool,
}

impl Cluster {
    /// Runs a test in an installation with these values of the chart (`key=value`); if it fails, the scene is told too.
    pub fn try_with(values: &[&str], test: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let cluster = Self::begin(values)?;
        let tried = test(&cluster);
        if tried.is_err() {
            eprintln!("{}", cluster.scene());
        }
        tried
    }

    /// An installation with these values of the chart, for more than one test; if it fails, the scene is told too.
    pub fn begin(values: &[&str]) -> Result<Self> {
        Self::begin_with(&chart(), values)
    }

    /// The same with another chart than this checkout's.
    pub fn begin_with(chart: &Path, values: &[&str]) -> Result<Self> {
        let cluster = Self::new()?;
        cluster.prepare(chart, values).inspect_err(|_| eprintln!("{}", cluster.scene()))?;
        Ok(cluster)
    }

    /// What a person would look at first.
    pub fn scene(&self) -> String {
        [&self.system, &self.shop, &self.yard].into_iter().map(Space::scene).collect()
    }

    fn new() -> Result<Self> {
        let kubeconfig =
            env::var_os("KUBECONFIG").context("KUBECONFIG is not set; this test needs a cluster")?;
        let program = env::var_os("ROLLCALL_KUBECTL").unwrap_or_else(|| "kubectl".into()).into();
        let kubectl = Kubectl { program, kubeconfig: kubeconfig.into() };
        let home = Home::of_this_user()?;
        let mark = RandomState::new().build_hasher().finish() & 0xffff_ffff;
        let space = |name: &str| Space::new(kubectl.clone(), format!("{name}-{mark:08x}"));
        let owns_crd = kubectl.call(&["get", CRD, "--ignore-not-found", "-o", "name"])?.is_empty();
        Ok(Self {
            helm: HELM.build(&home)?,
            helm_home: env::temp_dir().join(format!("rollcall-helm-{mark:08x}")),
            system: space("rollcall"),
            shop: space("shop"),
            yard: space("yard"),
            kubectl,
            owns_crd,
        })
    }

    fn prepare(&self, chart: &Path, values: &[&str]) -> Result<()> {
        const RESTRICTED: &str = "pod-security.kubernetes.io/enforce=restricted";
        for space in [&self.system, &self.shop, &self.yard] {
            self.kubectl.call(&["create", "namespace", space.name()])?;
        }
        for space in [&self.system, &self.shop] {
            self.kubectl.call(&["label", "namespace", space.name(), RESTRICTED])?;
        }
        self.kubectl.call(&["label", "namespace", self.shop.name(), "rollcall.dev/inject=enabled"])?;
        self.helm_with("install", chart, values)?;
        for space in [&self.shop, &self.yard] {
            // Pods are refused until the namespace's own ServiceAccount is there.
            eventually("the namespace has its ServiceAccount", || {
                let account = ["get", "serviceaccount/default", "--ignore-not-found", "-o", "name"];
                Ok(!space.kubectl(&account)?.is_empty())
            })?;
        }
        self.injects()
    }

    /// As a person installs; returns when helm says that all is there.
    pub fn install(&self, values: &[&str]) -> Result<()> {
        self.helm_with("install", &chart(), values)
    }

    /// As a person upgrades, with these values and no others.
    pub fn upgrade(&self, values: &[&str]) -> Result<()> {
        self.helm_with("upgrade", &chart(), values)
    }

    fn helm_with(&self, action: &str, chart: &Path, values: &[&str]) -> Result<()> {
        let only = format!("injection.namespaces.only=[{:?},{:?}]", self.shop.name(), self.yard.name());
        let crds = format!("crds.enabled={}", self.owns_crd);
        let chart = chart.to_str().context("a path that is no text")?;
        let mut args =
            vec![action, RELEASE, chart, "--wait", HELM_WAITS, "--set-json", &only, "--set", &crds];
        args.extend(values.iter().flat_map(|value| ["--set", *value]));
        self.helm(&args).map(drop)
    }

    /// helm in the controller's namespace.
    pub fn helm(&self, args: &[&str]) -> Result<String> {
        let mut helm = Command::new(&self.helm);
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(variable, &self.helm_home);
        }
        helm.env("KUBECONFIG", &self.kubectl.kubeconfig).args(["--namespace", self.system.name()]).args(args);
        Ok(output_of("helm", &mut helm)?)
    }

    pub fn rollback(&self, revision: &str) -> Result<()> {
        self.helm(&["rollback", RELEASE, revision, "--wait", HELM_WAITS]).map(drop)
    }

    pub fn uninstall(&self) -> Result<()> {
        self.helm(&["uninstall", RELEASE, "--wait", HELM_WAITS]).map(drop)
    }

    /// `helm test`.
    pub fn helm_test(&self) -> Result<String> {
        self.helm(&["test", RELEASE, HELM_WAITS])
    }

    /// kubectl for what has no namespace.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        Ok(self.kubectl.call(args)?)
    }

    /// Waits until a pod of the shop would get a sidecar: each API server hears of the webhook in its own time.
    pub fn injects(&self) -> Result<()> {
        let plain = apps::pod("asks", apps::WAITS);
        eventually("pods get a sidecar", || {
            Ok(self.shop.dry_run(&plain)?["metadata"]["annotations"]["rollcall.dev/status"] == "injected")
        })
    }

    /// Who holds the controller's Lease; an error where there is none.
    pub fn lease_holder(&self) -> Result<String> {
        self.system.kubectl(&["get", "lease/rollcall-controller", "-o", "jsonpath={.spec.holderIdentity}"])
    }

    /// So many controllers; returns when they are there, and no others.
    pub fn scale_controller(&self, replicas: usize) -> Result<()> {
        self.system.kubectl(&["scale", CONTROLLER, &format!("--replicas={replicas}")])?;
        eventually(&format!("there are {replicas} controllers"), || {
            let all = ["get", "pods", "-l", "app.kubernetes.io/component=controller", "-o", "name"];
            // Those that end are counted too: nobody is to hear from them any more.
            let all = self.system.kubectl(&all)?.lines().count();
            let ready =
                self.system.kubectl(&["get", CONTROLLER, "-o", "jsonpath={.status.readyReplicas}"])?;
            Ok(all == replicas && (replicas == 0 || ready == replicas.to_string()))
        })
    }

    /// What is there of ours that has no namespace, besides the CRD.
    pub fn left_behind(&self) -> Result<Vec<String>> {
        const KINDS: &str = "clusterroles,clusterrolebindings,mutatingwebhookconfigurations";
        let names = self.kubectl(&["get", KINDS, "-o", "name"])?;
        let ours = |name: &&str| name.contains(self.system.name());
        Ok(names.lines().filter(ours).map(str::to_owned).collect())
    }

    fn clear(&self) -> Result<()> {
        let away = ["delete", "--ignore-not-found", "--wait=false"];
        // Without the webhook first, so that nobody waits for it.
        self.helm(&["uninstall", RELEASE, "--ignore-not-found"])?;
        for left in self.left_behind()? {
            self.kubectl(&[&away[..], &[&left]].concat())?;
        }
        let namespaces = [self.shop.name(), self.yard.name(), self.system.name()];
        self.kubectl(&[&away[..], &["namespace"], &namespaces].concat())?;
        if self.owns_crd {
            // The next test asks whether it is there.
            self.kubectl(&["delete", "--ignore-not-found", CRD])?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            eprintln!("left behind: {error:#}");
        }
        // Not there where helm kept nothing.
        let _ = std::fs::remove_dir_all(&self.helm_home);
    }
}
