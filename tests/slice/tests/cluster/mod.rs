//! A pair of random namespaces of a real cluster with a controller of their own, gone again when dropped.

use std::{
    env, fs,
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
    process::{ChildStdout, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rollcall_cluster::{Kubectl, companion::Companion};

/// A slow machine pulls nothing and starts a pod in seconds; what takes a minute does not happen.
const EVENTUALLY: Duration = Duration::from_secs(60);
/// Each poll is a process; more often would slow down what is waited for.
const POLL_EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Cluster {
    kubectl: Kubectl,
    system: String,
    shop: String,
    /// The CRD was not there before, and goes with us.
    owns_crd: bool,
}

impl Cluster {
    /// The CRD, a controller that is ready, and a namespace that knows where it is.
    pub(crate) fn prepare() -> Result<Self> {
        let kubeconfig =
            env::var_os("KUBECONFIG").context("KUBECONFIG is not set; this test needs a cluster")?;
        let kubectl = Kubectl {
            program: env::var_os("ROLLCALL_KUBECTL").unwrap_or_else(|| "kubectl".into()).into(),
            kubeconfig: kubeconfig.into(),
        };
        let mark = RandomState::new().build_hasher().finish() & 0xffff_ffff;
        let (system, shop) = (format!("rollcall-{mark:08x}"), format!("shop-{mark:08x}"));
        let mut cluster = Self { kubectl, system, shop, owns_crd: false };
        let crd = root().join("crds/generated/serviceregistrations.yaml");
        let crd_name = "crd/serviceregistrations.rollcall.dev";
        cluster.owns_crd = cluster.call(&["get", crd_name, "--ignore-not-found", "-o", "name"])?.is_empty();
        cluster.call(&["apply", "--server-side", "--force-conflicts", "-f", path(&crd)?])?;
        cluster.call(&["wait", "--for=condition=Established", crd_name, "--timeout=60s"])?;

        let controller = manifest("controller.yaml")?.replace("rollcall-system", &cluster.system);
        cluster.kubectl.given(&["apply", "-f", "-"], &controller)?;
        let system = cluster.system.clone();
        cluster.eventually("the controller is ready", || {
            let query = [
                "-n",
                &system,
                "get",
                "deployment/rollcall-controller",
                "-o",
                "jsonpath={.status.readyReplicas}",
            ];
            Ok(cluster.call(&query)? == "1")
        })?;

        let address =
            ["-n", &system, "get", "service/rollcall-controller", "-o", "jsonpath={.spec.clusterIP}"];
        let address = cluster.call(&address)?;
        let ca = [
            "-n",
            &system,
            "get",
            "secret/rollcall-ca",
            "-o",
            r"go-template={{index .data `tls.crt` | base64decode}}",
        ];
        let ca = cluster.call(&ca)?;
        cluster.call(&["create", "namespace", &cluster.shop])?;
        let labels = ["label", "namespace", &cluster.shop, "pod-security.kubernetes.io/enforce=restricted"];
        cluster.call(&labels)?;
        cluster.kubectl(&[
            "create",
            "configmap",
            "rollcall",
            &format!("--from-literal=controller={address}:7310"),
            &format!("--from-literal=ca.crt={ca}"),
        ])?;
        // Pods are refused until the namespace's own ServiceAccount is there.
        cluster.eventually("the namespace has its ServiceAccount", || {
            Ok(!cluster
                .kubectl(&["get", "serviceaccount/default", "--ignore-not-found", "-o", "name"])?
                .is_empty())
        })?;
        Ok(cluster)
    }

    /// kubectl in the app's namespace.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Result<String> {
        let scoped: Vec<_> = ["-n", &self.shop].into_iter().chain(args.iter().copied()).collect();
        self.call(&scoped)
    }

    /// As `kubectl`, for what goes on for as long as its value lives, and what it prints meanwhile.
    pub(crate) fn streaming(&self, args: &[&str]) -> Result<(Companion, ChildStdout)> {
        let args: Vec<_> =
            ["-n", &self.shop].into_iter().chain(args.iter().copied()).map(str::to_owned).collect();
        let kubeconfig = self.kubectl.kubeconfig.clone();
        let mut process = Companion::start("starting kubectl", &self.kubectl.program, move |kubectl| {
            kubectl.args(args).env("KUBECONFIG", kubeconfig).stdin(Stdio::null()).stdout(Stdio::piped());
        })?;
        let output = process.take_stdout().context("kubectl without output")?;
        Ok((process, output))
    }

    /// The app's namespace.
    pub(crate) fn shop(&self) -> &str {
        &self.shop
    }

    pub(crate) fn apply(&self, name: &str, change: impl FnOnce(String) -> String) -> Result<()> {
        self.kubectl.given(&["-n", &self.shop, "apply", "-f", "-"], &change(manifest(name)?))?;
        Ok(())
    }

    /// Whether the API server would take this into the app's namespace; nothing is kept.
    pub(crate) fn dry_run(&self, yaml: &str) -> Result<()> {
        self.kubectl.given(&["-n", &self.shop, "apply", "--dry-run=server", "-f", "-"], yaml)?;
        Ok(())
    }

    pub(crate) fn ready(&self, pod: &str) -> Result<()> {
        let query = ["get", "pod", pod, "-o", r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#];
        self.eventually(&format!("{pod} is ready"), || Ok(self.kubectl(&query)? == "True"))
    }

    pub(crate) fn pod_ip(&self, pod: &str) -> Result<String> {
        self.kubectl(&["get", "pod", pod, "-o", "jsonpath={.status.podIP}"])
    }

    /// Who holds the controller's Lease; an error where there is none.
    pub(crate) fn lease_holder(&self) -> Result<String> {
        let lease = ["get", "lease/rollcall-controller", "-o", "jsonpath={.spec.holderIdentity}"];
        let scoped: Vec<_> = ["-n", &self.system].into_iter().chain(lease).collect();
        self.call(&scoped)
    }

    /// So many controllers, none or one; returns when they are there, or gone.
    pub(crate) fn scale_controller(&self, replicas: u8) -> Result<()> {
        let count = format!("--replicas={replicas}");
        let controller = "deployment/rollcall-controller";
        self.call(&["-n", &self.system, "scale", controller, &count])?;
        self.eventually(&format!("there are {replicas} controllers"), || {
            let pods = self.call(&["-n", &self.system, "get", "pods", "-o", "name"])?;
            let ready = self.call(&[
                "-n",
                &self.system,
                "get",
                controller,
                "-o",
                "jsonpath={.status.readyReplicas}",
            ])?;
            Ok(pods.lines().count() == usize::from(replicas)
                && (replicas == 0 || ready == replicas.to_string()))
        })
    }

    /// Waits until this holds. Errors on the way are kept for the end: much fails while a pod starts.
    pub(crate) fn eventually(&self, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
        let begin = Instant::now();
        let mut last = None;
        while begin.elapsed() < EVENTUALLY {
            match holds() {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => last = Some(error),
            }
            sleep(POLL_EVERY);
        }
        let last = last.map(|error| format!("; last error: {error:#}")).unwrap_or_default();
        bail!("never happened: {what}{last}\n{}", self.scene())
    }

    /// What a person would look at first.
    fn scene(&self) -> String {
        let looks: [&[&str]; 7] = [
            &["-n", &self.system, "get", "pods", "-o", "wide"],
            &["-n", &self.system, "logs", "deployment/rollcall-controller", "--tail=50"],
            &["-n", &self.shop, "get", "pods,serviceregistrations", "-o", "wide"],
            &["-n", &self.shop, "get", "events", "--sort-by=.lastTimestamp"],
            &["-n", &self.shop, "logs", "orders-1", "-c", "rollcall-sidecar", "--tail=30"],
            &["-n", &self.shop, "logs", "storefront-1", "-c", "rollcall-sidecar", "--tail=30"],
            &["-n", &self.shop, "logs", "checkout-1", "-c", "rollcall-sidecar", "--tail=30"],
        ];
        let look = |args: &[&str]| match self.call(args) {
            Ok(text) => format!("--- kubectl {}\n{text}\n", args.join(" ")),
            Err(error) => format!("--- {error:#}\n"),
        };
        looks.into_iter().map(look).collect()
    }

    fn call(&self, args: &[&str]) -> Result<String> {
        Ok(self.kubectl.call(args)?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let role = format!("{}-controller", self.system);
        let (system, shop) = (self.system.as_str(), self.shop.as_str());
        let mut deletions: Vec<Vec<&str>> = vec![
            vec!["namespace", shop, system],
            vec!["clusterrolebinding", &role],
            vec!["clusterrole", &role],
        ];
        if self.owns_crd {
            deletions.push(vec!["crd", "serviceregistrations.rollcall.dev"]);
        }
        for deletion in deletions {
            let args: Vec<_> =
                ["delete", "--wait=false", "--ignore-not-found"].into_iter().chain(deletion).collect();
            if let Err(error) = self.call(&args) {
                eprintln!("left behind: {error:#}");
            }
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/")).to_owned()
}

/// The samples of `ServiceRegistration`s by file name, bound to no namespace.
pub(crate) fn samples() -> Result<Vec<(String, String)>> {
    let place = root().join("crds/samples");
    let mut samples = Vec::new();
    for entry in fs::read_dir(&place).with_context(|| place.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).with_context(|| name.clone())?;
        let unbound = |line: &&str| line.trim() != "namespace: shop";
        samples.push((name, text.lines().filter(unbound).collect::<Vec<_>>().join("\n")));
    }
    samples.sort();
    Ok(samples)
}

fn manifest(name: &str) -> Result<String> {
    let path = root().join("tests/slice/manifests").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}
