//! The stage that the tests share: one controller, fake nodes, and for each test namespaces of its own.

use crate::controller::{self, Among, Controller, Settings};
use crate::model::World;
use crate::observer::Observer;
use crate::proxy::Proxy;
use anyhow::{Context, Result, bail, ensure};
use rollcall_cluster::fake_nodes::FakeNodes;
use rollcall_cluster::{Home, KUBECTL, Kubectl, static_build};
use serde_json::{Value, json};
use std::env;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What takes longer does not happen, on a loaded machine either.
const EVENTUALLY: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const CRD: &str = "crd/serviceregistrations.rollcall.dev";

/// Holds what all tests use. It ends with the last of them.
#[derive(Debug)]
pub struct Stage {
    /// The first to go: pods of the fake nodes end only while somebody plays the kubelet.
    left: Left,
    pub kubectl: Kubectl,
    pub proxy: Proxy,
    controller: RwLock<Option<Controller>>,
    settings: Settings,
    pub nodes: FakeNodes,
    folder: TempDir,
}

/// What the tests would leave in the cluster.
#[derive(Debug)]
struct Left {
    kubectl: Kubectl,
    /// In the label of all namespaces.
    mark: String,
    owns_crd: bool,
}

/// One test's turn: its namespaces, gone when it ends.
#[derive(Debug)]
pub struct Scene {
    pub stage: Arc<Stage>,
    namespaces: Mutex<Vec<String>>,
    _turn: MutexGuard<'static, ()>,
}

static SHARED: Mutex<Weak<Stage>> = Mutex::new(Weak::new());
/// What one test does to the controller must not be in the way of another.
static TURN: Mutex<()> = Mutex::new(());

impl Stage {
    fn shared() -> Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stage) = shared.upgrade() {
            return Ok(stage);
        }
        let stage = Arc::new(Self::set_up()?);
        *shared = Arc::downgrade(&stage);
        Ok(stage)
    }

    fn set_up() -> Result<Self> {
        ensure!(env::var_os("KUBECONFIG").is_some(), "KUBECONFIG is not set; this test needs a cluster");
        let home = Home::of_this_user()?;
        let program = match env::var_os("ROLLCALL_KUBECTL") {
            Some(kubectl) => PathBuf::from(kubectl),
            None => KUBECTL.build(&home)?,
        };
        let controller_program = controller::program()?;
        let folder = tempfile::Builder::new().prefix("rollcall-controller-tests-").tempdir()?;
        let mark = format!("ct-{:08x}", RandomState::new().build_hasher().finish() & 0xffff_ffff);
        // One file with one context, whatever KUBECONFIG names: all programs read the same.
        let kubeconfig = folder.path().join("kubeconfig");
        let own = Kubectl { program: program.clone(), kubeconfig: env::var_os("KUBECONFIG").unwrap().into() };
        fs::write(&kubeconfig, own.call(&["config", "view", "--flatten", "--raw", "--minify"])?)?;
        let kubectl = Kubectl { program, kubeconfig: kubeconfig.clone() };

        let owns_crd = install_crd(&kubectl)?;
        let left = Left { kubectl: kubectl.clone(), mark: mark.clone(), owns_crd };
        let namespace = format!("{mark}-system");
        kubectl.apply(&left.namespace(&namespace))?;
        let settings = Settings {
            program: controller_program,
            kubeconfig: kubeconfig.clone(),
            namespace,
            sessions: controller::free_port()?,
            webhook: None,
            log: folder.path().join("controller.log"),
            replica: None,
        };
        let nodes = FakeNodes::start(&home, &kubectl, &mark)?;
        let controller = RwLock::new(Some(Controller::start(&settings)?));
        let proxy = Proxy::start(&kubectl)?;
        Ok(Self { left, kubectl, proxy, controller, settings, nodes, folder })
    }

    pub fn controller(&self) -> Running<'_> {
        Running(self.controller.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Pulls the controller's plug, lets something happen meanwhile, and starts it again.
    pub fn restart(&self, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut held: RwLockWriteGuard<'_, _> =
            self.controller.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(controller) = held.as_mut() {
            controller.kill();
        }
        let happened = meanwhile();
        // Whatever came of it: other tests need the controller.
        *held = Some(Controller::start(&self.settings)?);
        happened
    }

    /// One more replica, which the API server asks by this configuration.
    pub fn admitting(&self, admission: SocketAddr, webhook: &str) -> Result<Controller> {
        Controller::start(&Settings {
            sessions: controller::free_port()?,
            webhook: Some((admission, webhook.to_owned())),
            log: self.folder.path().join(format!("{webhook}.log")),
            ..self.settings.clone()
        })
    }

    /// The controller's own namespace.
    pub fn namespace(&self) -> &str {
        &self.settings.namespace
    }

    /// Starts one of several replicas, of this name and with its sessions there, which knows where the others are: in the
    /// place of the stage's own controller, while that is away.
    pub fn replica(&self, name: &str, sessions: SocketAddr, others: &[SocketAddr]) -> Result<Controller> {
        self.replica_with(name, sessions, others, &[])
    }

    /// The same with these flags beside all others.
    pub fn replica_with(
        &self,
        name: &str,
        sessions: SocketAddr,
        others: &[SocketAddr],
        flags: &[&str],
    ) -> Result<Controller> {
        let log = self.folder.path().join(format!("{name}.log"));
        let token_file = self.folder.path().join("replica-token");
        let token = ["create", "token", "default", "--duration", "2h", "--audience", "rollcall-replica"];
        let token = self.kubectl.call(&[&["-n", &self.settings.namespace], token.as_slice()].concat())?;
        fs::write(&token_file, token)?;
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let replica = Some(Among { name: name.to_owned(), others: others.to_vec(), token_file, flags });
        Controller::start(&Settings { sessions, log, replica, ..self.settings.clone() })
    }

    /// Where this machine is, by the API server's word.
    pub fn host(&self) -> Result<IpAddr> {
        let server =
            self.kubectl.call(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"])?;
        let server = server.strip_prefix("https://").context("no https")?;
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        // Nothing is sent: the kernel only says from where it would be.
        socket.connect(server)?;
        Ok(socket.local_addr()?.ip())
    }

    /// Where files of the tests may lie.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificates of all authorities that are to be believed, in PEM.
    pub fn authority(&self) -> Result<String> {
        let secret = ["-n", &self.settings.namespace, "get", "secret", "rollcall-ca", "-o"];
        let decoded = "go-template={{index .data `ca.crt` | base64decode}}";
        Ok(self.kubectl.call(&[secret.as_slice(), &[decoded]].concat())?)
    }

    /// Who holds the controller's Lease; empty where nobody does.
    pub fn lease_holder(&self) -> Result<String> {
        let namespace = &self.settings.namespace;
        let query = ["-n", namespace, "get", "lease/rollcall-controller", "--ignore-not-found"];
        let path = ["-o", "jsonpath={.spec.holderIdentity}"];
        Ok(self.kubectl.call(&[query.as_slice(), &path].concat())?)
    }
}

/// The controller while it is not being restarted.
pub struct Running<'a>(RwLockReadGuard<'a, Option<Controller>>);

impl std::ops::Deref for Running<'_> {
    type Target = Controller;

    fn deref(&self) -> &Controller {
        self.0.as_ref().expect("the controller did not start again")
    }
}

/// Says whether it was not there before.
fn install_crd(kubectl: &Kubectl) -> Result<bool> {
    // Another test may have deleted its own just now.
    let deleted = ["get", CRD, "--ignore-not-found", "-o", "jsonpath={.metadata.deletionTimestamp}"];
    eventually("a deleted CRD is gone", || Ok(kubectl.call(&deleted)?.is_empty()))?;
    let owns = kubectl.call(&["get", CRD, "--ignore-not-found", "-o", "name"])?.is_empty();
    let file = static_build::workspace().join("crds/generated/serviceregistrations.yaml");
    kubectl.call(&["apply", "--server-side", "--force-conflicts", "-f", &file.display().to_string()])?;
    kubectl.call(&["wait", "--for=condition=Established", CRD, "--timeout=60s"])?;
    Ok(owns)
}

impl Left {
    /// A namespace that goes with all the others.
    fn namespace(&self, name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"rollcall.test/stage": self.mark}}})
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let clean = |arguments: &[&str]| {
            if let Err(error) = self.kubectl.call(arguments) {
                eprintln!("left behind: {error:#}");
            }
        };
        clean(&["delete", "namespace", "-l", &format!("rollcall.test/stage={}", self.mark), "--timeout=60s"]);
        if self.owns_crd {
            clean(&["delete", CRD, "--ignore-not-found", "--timeout=60s"]);
        }
    }
}

impl Scene {
    /// Waits for this test's turn.
    pub fn begin() -> Result<Self> {
        let stage = Stage::shared()?;
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Self { stage, namespaces: Mutex::default(), _turn: turn })
    }

    /// A namespace with a random name and these labels.
    pub fn namespace(&self, labels: &Value) -> Result<String> {
        let mark = RandomState::new().build_hasher().finish() & 0xffff_ffff;
        let name = format!("shop-{mark:08x}");
        let namespace =
            crate::objects::with(self.stage.left.namespace(&name), &json!({"metadata": {"labels": labels}}));
        self.stage.kubectl.apply(&namespace)?;
        self.namespaces.lock().unwrap().push(name.clone());
        // Pods are refused until the namespace's own ServiceAccount is there.
        let account = ["-n", &name, "get", "serviceaccount/default", "--ignore-not-found", "-o", "name"];
        eventually("the namespace has its ServiceAccount", || {
            Ok(!self.stage.kubectl.call(&account)?.is_empty())
        })?;
        Ok(name)
    }

    pub fn namespaces(&self) -> Vec<String> {
        self.namespaces.lock().unwrap().clone()
    }

    /// kubectl in a namespace.
    pub fn kubectl(&self, namespace: &str, arguments: &[&str]) -> Result<String> {
        Ok(self.stage.kubectl.call(&[&["-n", namespace], arguments].concat())?)
    }

    pub fn apply(&self, namespace: &str, object: &Value) -> Result<()> {
        let text = object.to_string();
        self.stage.kubectl.given(&["-n", namespace, "apply", "-f", "-"], &text)?;
        Ok(())
    }

    /// Many at once.
    pub fn apply_all(&self, namespace: &str, objects: &[Value]) -> Result<()> {
        self.apply(namespace, &json!({"apiVersion": "v1", "kind": "List", "items": objects}))
    }

    /// What is there by kubectl's word.
    pub fn world(&self) -> Result<World> {
        let mut world = World::default();
        for namespace in self.namespaces() {
            world.see(&self.stage.kubectl.json(&["get", "namespace", &namespace])?);
            let kinds = "pods,services,endpointslices,serviceregistrations";
            world.add_list(&self.stage.kubectl.json(&["-n", &namespace, "get", kinds])?);
        }
        Ok(world)
    }

    /// Waits until the controller's catalogue is what it must be.
    pub fn agrees(&self) -> Result<()> {
        self.eventually("the catalogue is what kubectl says", || {
            let world = self.world()?;
            let is = world.judged(self.stage.controller().catalogue(&self.namespaces())?);
            match is.difference(&world.catalogue()) {
                None => Ok(true),
                Some(difference) => bail!(difference),
            }
        })
    }

    /// Holds the catalogue against the truth until it is ended.
    pub fn observe(&self) -> Result<Observer> {
        let (stage, namespaces) = (Arc::downgrade(&self.stage), self.namespaces());
        let read_of = namespaces.clone();
        Observer::start(&self.stage.kubectl, &namespaces, move || {
            let stage = stage.upgrade().context("the stage is gone")?;
            stage.controller().catalogue(&read_of)
        })
    }

    /// The status of a registration.
    pub fn status(&self, namespace: &str, name: &str) -> Result<Value> {
        let object = self.stage.kubectl.json(&["-n", namespace, "get", "serviceregistration", name])?;
        Ok(object["status"].clone())
    }

    /// Waits until a condition of a registration has this status and reason, and its message these words.
    pub fn condition(
        &self,
        of: (&str, &str),
        kind: &str,
        status: &str,
        reason: &str,
        words: &[&str],
    ) -> Result<()> {
        self.eventually(&format!("{of:?} {kind}={status} {reason} {words:?}"), || {
            let said = self.status(of.0, of.1)?;
            let condition =
                said["conditions"].as_array().into_iter().flatten().find(|one| one["type"] == kind);
            let condition = condition.with_context(|| format!("no {kind} in {said}"))?;
            let message = condition["message"].as_str().unwrap_or_default();
            let fits = condition["status"] == status
                && condition["reason"] == reason
                && words.iter().all(|word| message.contains(word));
            if fits { Ok(true) } else { bail!("{condition}") }
        })
    }

    /// Waits for an Event with this reason about an object, and these words in it.
    pub fn event(&self, namespace: &str, about: &str, reason: &str, words: &[&str]) -> Result<()> {
        self.eventually(&format!("an Event {reason} about {about}"), || {
            let events = self.stage.kubectl.json(&["-n", namespace, "get", "events.events.k8s.io"])?;
            let mut events = events["items"].as_array().into_iter().flatten();
            Ok(events.any(|event| {
                let note = event["note"].as_str().unwrap_or_default();
                event["regarding"]["name"] == about
                    && event["reason"] == reason
                    && words.iter().all(|word| note.contains(word))
            }))
        })
    }

    /// Writes a pod's status in the place of its kubelet.
    pub fn pod_status(&self, namespace: &str, pod: &str, status: &Value) -> Result<()> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/status");
        self.stage.proxy.patch(&path, status).map(drop)
    }

    /// Makes a pod that is the test's own, and runs at these addresses.
    pub fn pod_by_hand(
        &self,
        namespace: &str,
        name: &str,
        annotations: &Value,
        addresses: &[&str],
    ) -> Result<String> {
        let more = json!({"metadata": {"annotations": annotations}});
        self.pod_like(namespace, name, &more, addresses)
    }

    /// The same, with more to say.
    pub fn pod_like(&self, namespace: &str, name: &str, more: &Value, addresses: &[&str]) -> Result<String> {
        let (node, placement) = (self.stage.nodes.name(1), self.stage.nodes.placement());
        let pod = crate::objects::pod_by_hand(name, &node, &json!({}), &placement);
        let pod = crate::objects::with(pod, more);
        let made = self.stage.proxy.create(&format!("/api/v1/namespaces/{namespace}/pods"), &pod)?;
        self.pod_status(namespace, name, &crate::objects::pod_status(true, addresses))?;
        Ok(made["metadata"]["uid"].as_str().context("no uid")?.to_owned())
    }

    pub fn eventually(&self, what: &str, holds: impl FnMut() -> Result<bool>) -> Result<()> {
        eventually(what, holds).with_context(|| {
            let mut scene = format!("the controller said:\n{}", self.stage.controller().last_words());
            for namespace in self.namespaces() {
                let look = self.kubectl(&namespace, &["get", "serviceregistrations,pods", "-o", "wide"]);
                scene += &format!("\n--- {namespace}\n{}", look.unwrap_or_else(|error| format!("{error:#}")));
            }
            scene
        })
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for namespace in self.namespaces() {
            // Those without a kubelet would keep the namespace for ever.
            let own = ["-n", &namespace, "delete", "pods", "--all"];
            let pods = [&own[..], &["--force", "--grace-period=0", "--wait=false"]].concat();
            let delete = ["delete", "namespace", &namespace, "--wait=false", "--ignore-not-found"];
            for arguments in [&pods[..], &delete] {
                if let Err(error) = self.stage.kubectl.call(arguments) {
                    eprintln!("left behind: {error:#}");
                }
            }
        }
    }
}

/// Waits until this holds. Errors on the way are kept for the end: much fails while things start.
pub fn eventually(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    let mut last = None;
    while begin.elapsed() < EVENTUALLY {
        match holds() {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => last = Some(error),
        }
        sleep(LOOK_EVERY);
    }
    let last = last.map(|error| format!("; last seen: {error:#}")).unwrap_or_default();
    bail!("never happened: {what}{last}")
}
