//! A node: a machine with containerd, a kubelet and kube-proxy, on one end of a link that can be cut.

use crate::Error;
use crate::base_images::{BaseImages, PAUSE};
use crate::cgroup::Hierarchies;
use crate::control_plane::words;
use crate::layout::{Layout, Role};
use crate::machine::Machine;
use crate::run::{Poll, output_given, output_of, wait_for};
use crate::tools::Tools;
use serde_json::json;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// containerd answers within half a second of its start.
const CONTAINERD_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(25);
const SOCKET: &str = "/run/containerd/containerd.sock";

/// The host-wide settings that a kubelet insists on. Each node sees files of its own in their place, which have these
/// values already, so that the host's are left alone.
const KERNEL_SETTINGS: &[(&str, &str)] = &[
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// The node's folders that stand in for constants of the kubelet, of CNI and of containerd.
const PRIVATE_FOLDERS: &[(&str, &str)] = &[
    ("cni", "/var/lib/cni"),
    ("kubelet-constants", "/var/lib/kubelet"),
    ("pod-logs", "/var/log/pods"),
    ("container-logs", "/var/log/containers"),
];

/// What all nodes of a cluster are made from.
pub(crate) struct Parts<'a> {
    pub layout: &'a Layout,
    pub hierarchies: &'a Hierarchies,
    pub tools: &'a Tools,
    pub images: &'a BaseImages,
    pub cni: &'a Path,
    pub nodes: u8,
}

impl Parts<'_> {
    /// Boots a node and starts its daemons. The control plane need not be ready, but its machine must be there.
    pub(crate) fn start(&self, number: u8, control_plane: &Machine) -> Result<Machine, Error> {
        let node = Role::Node(number);
        self.write_configuration(number)?;
        let machine =
            Machine::boot(self.layout, self.hierarchies, node, &self.tools.init, &self.set_up(number))?;
        self.connect(number, control_plane, &machine)?;
        let folder = self.layout.folder_of(node);
        let temporary = format!("TMPDIR={}", folder.join("tmp").display());
        let containerd = [
            temporary,
            "containerd".into(),
            "-c".into(),
            folder.join("containerd.toml").display().to_string(),
        ];
        machine.start("containerd", Path::new("env"), &containerd)?;
        wait_for(&format!("containerd of {node}"), CONTAINERD_LIMIT, LOOK_EVERY, machine.logs(), || {
            machine.check_daemons()?;
            let answer = output_of("asking containerd", ctr(&machine).arg("version"));
            Ok(answer.map_or_else(|error| Poll::NotYet(error.to_string()), |_| Poll::Ready(())))
        })?;
        load(&machine, &self.images.pause)?;
        machine.start("kubelet", &self.tools.kubelet, &self.kubelet(node))?;
        machine.start("kube-proxy", &self.tools.proxy, &self.proxy(node))?;
        for image in [&self.images.toolbox, &self.images.coredns] {
            load(&machine, image)?;
        }
        Ok(machine)
    }

    fn set_up(&self, number: u8) -> String {
        let node = Role::Node(number);
        let folder = self.layout.folder_of(node);
        let mut script = "mount --make-rshared /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/netns /run/settings
mount -t tmpfs -o mode=755 lib /var/lib
mount -t tmpfs -o mode=755 log /var/log
"
        .to_owned();
        for (own, constant) in PRIVATE_FOLDERS {
            script += &format!("mkdir -p {constant}\nmount --bind {}/{own} {constant}\n", folder.display());
        }
        for (setting, value) in KERNEL_SETTINGS {
            let own = format!("/run/settings/{}", setting.replace('/', "."));
            script += &format!(
                "[ ! -e /proc/sys/{setting} ] || {{ echo {value} > {own}; mount --bind {own} /proc/sys/{setting}; }}\n"
            );
        }
        script + &format!("hostname {node}\nip link set lo up\necho 1 > /proc/sys/net/ipv4/ip_forward\n")
    }

    /// One end of the link is the node's eth0, the other, named like the node, is a port of the bridge.
    fn connect(&self, number: u8, control_plane: &Machine, machine: &Machine) -> Result<(), Error> {
        let node = Role::Node(number);
        // Both ends are made from the host, which alone knows both pids.
        let (bridge_side, own_side) = (control_plane.init_pid().to_string(), machine.init_pid().to_string());
        output_of(
            "linking a node with the bridge",
            Command::new("ip")
                .args(["link", "add", "dev", &node.to_string(), "netns", &bridge_side, "type", "veth"])
                .args(["peer", "name", "eth0", "netns", &own_side]),
        )?;
        control_plane.script(
            "plugging a node into the bridge",
            &format!("ip link set {node} master bridge\nip link set {node} up"),
        )?;
        let others: String = (1..=self.nodes)
            .filter(|other| *other != number)
            .map(|other| {
                format!(
                    "ip route add {} via {} onlink dev eth0\n",
                    self.layout.pods_of_node(other),
                    self.layout.address(Role::Node(other))
                )
            })
            .collect();
        // No default route: what is neither a node, a pod nor a Service has no way out of the cluster.
        machine.script(
            "giving a node its address",
            &format!(
                "ip address add {own}/24 dev eth0
                 ip link set eth0 up
                 ip route add {services} dev eth0
                 {others}",
                own = self.layout.address(node),
                services = self.layout.services()
            ),
        )?;
        Ok(())
    }

    fn write_configuration(&self, number: u8) -> Result<(), Error> {
        let node = Role::Node(number);
        let folder = self.layout.folder_of(node);
        let folders = PRIVATE_FOLDERS.iter().map(|(own, _)| *own);
        for name in
            folders.chain(["cni-configuration", "containerd", "kubelet", "volume-plugins", "opt", "tmp"])
        {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(Error::file("make", &path))?;
        }
        let files = [
            ("cni-configuration/10-bridge.conflist", self.cni_configuration(number)),
            ("containerd.toml", self.containerd_configuration(&folder)),
            ("resolv.conf", String::new()),
            ("kubelet.json", self.kubelet_configuration(number, &folder)),
        ];
        for (name, text) in files {
            let path = folder.join(name);
            fs::write(&path, text).map_err(Error::file("write", &path))?;
        }
        Ok(())
    }

    fn cni_configuration(&self, number: u8) -> String {
        let subnet = self.layout.pods_of_node(number);
        // Without masquerading, pods see each other's own addresses across nodes.
        json!({"cniVersion": "0.4.0", "name": "rollcall", "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true, "ipam": {
                "type": "host-local", "ranges": [[{"subnet": subnet}]], "routes": [{"dst": "0.0.0.0/0"}],
            }},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ]})
        .to_string()
    }

    fn containerd_configuration(&self, folder: &Path) -> String {
        let folder = folder.display();
        // restrict_oom_score_adj: not every root may lower an OOM score, and then no sandbox would start.
        // disable_apparmor: a profile would be loaded into the host's kernel and stay there.
        format!(
            r#"version = 2
root = "{folder}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{folder}/cni-configuration"
"#,
            cni = self.cni.display(),
        )
    }

    fn kubelet_configuration(&self, number: u8, folder: &Path) -> String {
        let (node, pki) = (Role::Node(number), self.layout.pki());
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": pki.join("ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": Path::new("/").join(self.layout.cgroup_of(node)),
            "cgroupsPerQOS": true,
            "clusterDNS": [self.layout.dns_address()],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
            "enforceNodeAllocatable": ["pods"],
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "failSwapOn": false,
            // Images are loaded by hand and cannot be fetched again.
            "imageGCHighThresholdPercent": 100,
            "localStorageCapacityIsolation": false,
            "oomScoreAdj": 0,
            "registerWithTaints": [],
            "resolvConf": folder.join("resolv.conf"),
            "tlsCertFile": pki.join(format!("kubelet-{node}.crt")),
            "tlsPrivateKeyFile": pki.join(format!("kubelet-{node}.key")),
            "volumePluginDir": folder.join("volume-plugins"),
        })
        .to_string()
    }

    fn kubelet(&self, node: Role) -> Vec<String> {
        let folder = self.layout.folder_of(node);
        // One zone a node, so that what is done by zone can be seen.
        words(&format!(
            "--config={folder}/kubelet.json --kubeconfig={kubeconfig} --hostname-override={node} --root-dir={folder}/kubelet \
             --node-ip={address} --node-labels=topology.kubernetes.io/zone=zone-{node}",
            folder = folder.display(),
            kubeconfig = self.layout.kubeconfig_of(&format!("kubelet-{node}")).display(),
            address = self.layout.address(node),
        ))
    }

    fn proxy(&self, node: Role) -> Vec<String> {
        words(&format!(
            "--kubeconfig={} --hostname-override={node} --proxy-mode=iptables --cluster-cidr={} \
             --conntrack-max-per-core=0 --oom-score-adj=0",
            self.layout.kubeconfig_of("proxy").display(),
            self.layout.pods(),
        ))
    }
}

/// Loads an image archive into a node. It is read here: not every folder of the host is seen by a node.
pub(crate) fn load(machine: &Machine, archive: &Path) -> Result<(), Error> {
    let step = format!("loading {}", archive.display());
    let file = File::open(archive).map_err(Error::file("read", archive))?;
    let mut import = ctr(machine);
    import.args(["--namespace", "k8s.io", "images", "import", "-"]);
    output_given(&step, file.into(), &mut import).map(drop)
}

fn ctr(machine: &Machine) -> Command {
    let mut ctr = machine.command("ctr");
    ctr.args(["--address", SOCKET]);
    ctr
}
