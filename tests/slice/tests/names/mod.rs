//! What the programs of a pod make of plain names where its sidecar is its first nameserver: the C library's resolver with
//! the search list that every pod has (wget), and queries without one (nslookup).

mod watch;

use std::{collections::BTreeSet, net::IpAddr};

pub(crate) use self::watch::{OURS, Watch};
use anyhow::{Context, Result, ensure};
use rollcall_slice::{Cluster, eventually};

/// The pod that asks.
const ASKER: &str = "checkout-1";
/// The same pods as Kubernetes names them, for those in their namespace.
const HEADLESS: &str = "orders-pods";

/// A client with names and nothing else: services by theirs, and all else as ever.
pub(crate) fn an_app_finds_services_by_plain_names(cluster: &Cluster) -> Result<()> {
    cluster.shop.apply_manifest("resolver.yaml", |yaml| yaml)?;
    cluster.shop.ready(ASKER)?;
    let orders: BTreeSet<IpAddr> =
        [pod_address(cluster, "orders-1")?, pod_address(cluster, "orders-2")?].into();
    let api: BTreeSet<IpAddr> = [api_server(cluster)?].into();
    let namespaced = format!("orders.{}.rollcall", cluster.shop.name());
    for (name, port, expected) in [
        ("orders.rollcall", 8080, &orders),
        (namespaced.as_str(), 8080, &orders),
        (HEADLESS, 8080, &orders),
        ("kubernetes.default", 443, &api),
    ] {
        eventually(&format!("{ASKER} connects to {name}"), || {
            Ok(expected.contains(&connected(cluster, name, port)?))
        })?;
    }
    eventually("a name has all instances", || Ok(addresses(cluster, "orders.rollcall")? == orders))?;
    ensure!(addresses(cluster, "no-such.rollcall").is_err(), "a name that nobody has was found");

    let ports = nslookup(cluster, "srv", "_http._tcp.orders.rollcall")?;
    let targets = ports.lines().filter_map(|line| line.split_once("service = 0 ").map(|(_, record)| record));
    let mut found = BTreeSet::new();
    for record in targets {
        let [_, "8080", target] = record.split(' ').collect::<Vec<_>>()[..] else {
            anyhow::bail!("{record}: not port 8080 of a target")
        };
        found.append(&mut addresses(cluster, target)?);
    }
    ensure!(found == orders, "{ports}: leads to {found:?}, not to {orders:?}");
    for address in &orders {
        let name = shell(cluster, &format!("/bin/busybox nslookup {address}"))?;
        ensure!(name.contains(&namespaced), "{address}: {name}");
    }
    a_dead_sidecar_takes_no_other_name_with_it(cluster, &orders, &api)
}

/// The nameserver behind it answers, and at once, for as long as nobody listens.
fn a_dead_sidecar_takes_no_other_name_with_it(
    cluster: &Cluster,
    orders: &BTreeSet<IpAddr>,
    api: &BTreeSet<IpAddr>,
) -> Result<()> {
    let asked = [(HEADLESS, 8080, orders), ("kubernetes.default", 443, api)];
    let asks: String = asked.iter().map(|(name, port, _)| format!("{}; ", connecting(name, *port))).collect();
    let script = format!(
        "pid=$(/bin/busybox pidof rollcall-sidecar); [ -z \"$pid\" ] || kill -KILL $pid; {asks} \
         [ -z \"$(/bin/busybox pidof rollcall-sidecar)\" ] && echo still dead"
    );
    eventually("names of the cluster are found without the sidecar", || {
        let said = shell(cluster, &script)?;
        let mut found = said.lines().filter_map(connected_to);
        let right =
            asked.iter().all(|(_, _, right)| found.next().is_some_and(|found| right.contains(&found)));
        // It was started again while we asked: that says nothing.
        Ok(right && said.ends_with("still dead"))
    })?;
    eventually("it is back", || Ok(&addresses(cluster, "orders.rollcall")? == orders))
}

/// What a program that connects by name has connected to, or tried to.
fn connected(cluster: &Cluster, name: &str, port: u16) -> Result<IpAddr> {
    let said = shell(cluster, &connecting(name, port))?;
    said.lines().find_map(connected_to).with_context(|| said.clone())
}

/// wget says whom it connects to; what that one has to say is nothing to us.
fn connecting(name: &str, port: u16) -> String {
    // Its own limit is no use: with it Debian's build dies.
    format!(
        "/bin/busybox timeout 5 /bin/busybox wget -O /dev/null http://{name}:{port}/www/index.html 2>&1 || true"
    )
}

/// `Connecting to orders.rollcall:8080 (10.1.2.3:8080)`
fn connected_to(line: &str) -> Option<IpAddr> {
    let (_, address) = line.strip_prefix("Connecting to ")?.split_once(" (")?;
    let address: std::net::SocketAddr = address.strip_suffix(')')?.parse().ok()?;
    Some(address.ip())
}

/// All addresses of a name; an error where there is no such name.
fn addresses(cluster: &Cluster, name: &str) -> Result<BTreeSet<IpAddr>> {
    let said = nslookup(cluster, "a", name)?;
    // The nameserver's own has a tab in front.
    Ok(said.lines().filter_map(|line| line.strip_prefix("Address: ")?.parse().ok()).collect())
}

fn nslookup(cluster: &Cluster, kind: &str, name: &str) -> Result<String> {
    shell(cluster, &format!("/bin/busybox nslookup -type={kind} {name}"))
}

fn shell(cluster: &Cluster, script: &str) -> Result<String> {
    cluster.shop.run(ASKER, script)
}

fn pod_address(cluster: &Cluster, pod: &str) -> Result<IpAddr> {
    Ok(cluster.shop.pod_ip(pod)?.parse()?)
}

/// What every cluster has: the Service of its API server.
fn api_server(cluster: &Cluster) -> Result<IpAddr> {
    let query = ["get", "service/kubernetes", "-n", "default", "-o", "jsonpath={.spec.clusterIP}"];
    Ok(cluster.shop.kubectl(&query)?.parse()?)
}
