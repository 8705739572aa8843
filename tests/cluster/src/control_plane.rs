//! The machine that holds etcd, the API server, the controller manager and the scheduler, and the cluster's bridge.

use crate::Error;
use crate::cgroup::Hierarchies;
use crate::cluster::Collects;
use crate::layout::{Layout, Role};
use crate::machine::Machine;
use crate::run::{Poll, output_of, wait_for};
use crate::state::Record;
use crate::tools::Tools;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// An API server is there in two seconds; on a loaded machine it has been seen to need twenty.
const READY_LIMIT: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// As its process is called.
pub(crate) const API_SERVER: &str = "kube-apiserver";
/// By how many percent the API server's memory grows before it is cleared up, and how much it may be. As Go has it, by 100 %,
/// one with 20,000 pods and 20 changes a second did so each nine seconds, and took two processors for most of one: whoever was
/// measured on the same two waited. Eight times as seldom fits into a third of a machine with 24 GiB.
const SELDOM: [&str; 2] = ["GOGC=800", "GOMEMLIMIT=8GiB"];

/// Boots the machine, joins it with the host by one link, and starts its daemons.
pub(crate) fn start(layout: &Layout, hierarchies: &Hierarchies, record: &Record) -> Result<Machine, Error> {
    let tools = &record.tools;
    let set_up = "mount --make-rshared /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 run /run
hostname control-plane
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward";
    let machine = Machine::boot(layout, hierarchies, Role::ControlPlane, &tools.init, set_up)?;
    connect(layout, &machine, record.nodes)?;
    machine.start("etcd", &tools.etcd, &etcd(layout))?;
    start_api_server(layout, &machine, record)?;
    machine.start("kube-controller-manager", &tools.controller_manager, &controller_manager(layout))?;
    machine.start("kube-scheduler", &tools.scheduler, &scheduler(layout))?;
    Ok(machine)
}

pub(crate) fn start_api_server(layout: &Layout, machine: &Machine, record: &Record) -> Result<(), Error> {
    let (program, arguments) = (&record.tools.api_server, api_server(layout));
    match record.collects {
        Collects::AsShipped => machine.start(API_SERVER, program, &arguments),
        Collects::Seldom => {
            let environment = SELDOM.into_iter().map(str::to_owned);
            let program = [program.display().to_string()];
            let all: Vec<_> = environment.chain(program).chain(arguments).collect();
            machine.start(API_SERVER, Path::new("env"), &all)
        }
    }
}

/// Waits until the API server says that it is ready.
pub(crate) fn wait_until_ready(layout: &Layout, tools: &Tools, machine: &Machine) -> Result<(), Error> {
    let address = format!("{}:6443", layout.address(Role::ControlPlane));
    wait_for("the API server", READY_LIMIT, LOOK_EVERY, machine.logs(), || {
        machine.check_daemons()?;
        // The port first: asking kubectl costs far more than trying to connect.
        if let Err(error) = connect_to(&address) {
            return Ok(Poll::NotYet(error.to_string()));
        }
        let answer =
            output_of("asking the API server", kubectl(layout, tools).args(["get", "--raw", "/readyz"]));
        Ok(answer.map_or_else(|error| Poll::NotYet(error.to_string()), |_| Poll::Ready(())))
    })
}

/// Connects, or fails soon: where packets vanish, the kernel alone would try for minutes.
pub(crate) fn connect_to(address: &str) -> std::io::Result<TcpStream> {
    const LIMIT: Duration = Duration::from_secs(2);
    let address: SocketAddr = address.parse().map_err(std::io::Error::other)?;
    TcpStream::connect_timeout(&address, LIMIT)
}

/// kubectl as the cluster's admin.
pub(crate) fn kubectl(layout: &Layout, tools: &Tools) -> Command {
    let mut kubectl = Command::new(&tools.kubectl);
    // Its cache of API groups would otherwise outlive the cluster in the user's home.
    kubectl.env("KUBECONFIG", layout.kubeconfig()).env("KUBECACHEDIR", layout.folder().join("kubectl-cache"));
    kubectl.arg("--request-timeout=10s");
    kubectl
}

/// The bridge is in this machine's network namespace, so the host sees one link and no frame between nodes crosses the
/// host's firewall. What is not routed to a node is refused here: nothing of a cluster ever leaves the computer.
fn connect(layout: &Layout, machine: &Machine, nodes: u8) -> Result<(), Error> {
    let (host_link, own) = (layout.host_link(), layout.address(Role::ControlPlane));
    let (pods, services) = (layout.pods(), layout.services());
    let host = layout.host_address();
    output_of(
        "linking the cluster with the host",
        Command::new("sh").args([
            "-ec",
            &format!(
                "ip link add {host_link} type veth peer name uplink netns {pid}
                 ip link set {host_link} alias {owner}
                 ip address add {host}/24 dev {host_link}
                 ip link set {host_link} up",
                pid = machine.init_pid(),
                owner = layout.owner(),
            ),
        ]),
    )?;
    let to_nodes: String = (1..=nodes)
        .map(|number| {
            format!(
                "ip route add {} via {} dev bridge onlink\n",
                layout.pods_of_node(number),
                layout.address(Role::Node(number))
            )
        })
        .collect();
    machine.script(
        "making the cluster's bridge",
        &format!(
            "ip link add bridge type bridge
             ip address add {own}/24 dev bridge
             ip link set uplink master bridge
             ip link set uplink up
             ip link set bridge up
             ip route add unreachable default metric 4000
             {to_nodes}"
        ),
    )?;
    output_of(
        "routing the cluster's addresses",
        Command::new("sh").args([
            "-ec",
            &format!(
                "ip route add {pods} via {own} dev {host_link}
                 ip route add {services} via {own} dev {host_link}"
            ),
        ]),
    )?;
    Ok(())
}

fn etcd(layout: &Layout) -> Vec<String> {
    let data = layout.folder_of(Role::ControlPlane).join("etcd");
    words(&format!(
        "--name {name} --data-dir {data} --log-level warn \
         --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
         --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
         --initial-cluster {name}=http://127.0.0.1:2380 --unsafe-no-fsync",
        name = layout.name,
        data = data.display(),
    ))
}

pub(crate) fn api_server(layout: &Layout) -> Vec<String> {
    let own = layout.address(Role::ControlPlane);
    // With aggregator routing it dials the pods of webhooks itself: no kube-proxy is needed beside it.
    words(&format!(
        "--etcd-servers=http://127.0.0.1:2379 --bind-address={own} --advertise-address={own} --secure-port=6443 \
         --service-cluster-ip-range={services} --client-ca-file={pki}/ca.crt \
         --tls-cert-file={pki}/apiserver.crt --tls-private-key-file={pki}/apiserver.key \
         --service-account-issuer=https://kubernetes.default.svc.cluster.local \
         --service-account-key-file={pki}/service-accounts.pub --service-account-signing-key-file={pki}/service-accounts.key \
         --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
         --kubelet-client-certificate={pki}/apiserver-to-kubelet.crt --kubelet-client-key={pki}/apiserver-to-kubelet.key \
         --kubelet-certificate-authority={pki}/ca.crt --kubelet-preferred-address-types=InternalIP \
         --enable-aggregator-routing=true --profiling=false",
        services = layout.services(),
        pki = layout.pki().display(),
    ))
}

fn controller_manager(layout: &Layout) -> Vec<String> {
    // Its default of 20 requests a second delays endpoints and the first ServiceAccount by seconds.
    words(&format!(
        "--kubeconfig={kubeconfig} --bind-address=127.0.0.1 --leader-elect=false --allocate-node-cidrs=false \
         --service-account-private-key-file={pki}/service-accounts.key --root-ca-file={pki}/ca.crt \
         --use-service-account-credentials=true --cluster-signing-cert-file={pki}/ca.crt \
         --cluster-signing-key-file={pki}/ca.key --kube-api-qps=300 --kube-api-burst=600",
        kubeconfig = layout.kubeconfig_of("controller-manager").display(),
        pki = layout.pki().display(),
    ))
}

fn scheduler(layout: &Layout) -> Vec<String> {
    words(&format!(
        "--kubeconfig={} --bind-address=127.0.0.1 --leader-elect=false --kube-api-qps=300 --kube-api-burst=600",
        layout.kubeconfig_of("scheduler").display(),
    ))
}

/// Splits a command line in which no word has a space; the kit's home is checked for that.
pub(crate) fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}
