//! Networks of their own for processes, of which the one to the machine can be broken in every way there is.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where networks are tried out, and nobody lives: a /30 for each hermit.
const RANGE: [u8; 2] = [198, 18];

/// Says what of the network between a sidecar and the controller is broken. Nobody is told that it is: what is sent is
/// lost.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    Cut,
    /// What the sidecar says.
    Deaf,
    /// What the controller says.
    Blind,
    /// Each packet, in both directions, with this probability.
    Lossy(f64),
}

/// Holds a network with one link, to the network of who made it; both are gone with this value.
#[derive(Debug)]
pub struct Network {
    name: String,
    link: String,
    /// The host's end, and ours.
    addresses: [Ipv4Addr; 2],
}

impl Network {
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        clear_those_of_the_dead()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rollcall-{}-{number}", std::process::id());
        // A link's name has 15 characters at most.
        let link = format!("rc{:x}h{number:x}", std::process::id());
        // Two test programs at a time must not meet.
        let third = u8::try_from(std::process::id() % 256)?;
        let address =
            |last: u8| Ipv4Addr::new(RANGE[0], RANGE[1], third, number.wrapping_mul(4).wrapping_add(last));
        let network = Self { name, link, addresses: [address(1), address(2)] };
        ip(&["netns", "add", &network.name])?;
        let (name, link) = (network.name.as_str(), network.link.as_str());
        ip(&["link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name])?;
        let [host, own] = network.addresses.map(|address| format!("{address}/30"));
        ip(&["address", "add", &host, "dev", link])?;
        ip(&["link", "set", link, "up"])?;
        ip(&["-n", name, "address", "add", &own, "dev", "eth0"])?;
        ip(&["-n", name, "link", "set", "eth0", "up"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        // The other ends of the others' networks.
        ip(&[
            "-n",
            name,
            "route",
            "add",
            &format!("{}.{}.0.0/16", RANGE[0], RANGE[1]),
            "via",
            &network.addresses[0].to_string(),
        ])?;
        Ok(network)
    }

    /// By which `ip netns exec` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// By which a thread moves there.
    pub fn file(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// The address of the machine's end.
    pub fn host(&self) -> Ipv4Addr {
        self.addresses[0]
    }

    /// The address of its own end.
    pub fn own(&self) -> Ipv4Addr {
        self.addresses[1]
    }

    /// It breaks in this way, and in no other.
    pub fn suffer(&self, fault: Fault) -> Result<()> {
        self.heal()?;
        let probability = |p: f64| format!("-m statistic --mode random --probability {p}");
        let (said, heard) = match fault {
            Fault::Cut => (Some(String::new()), Some(String::new())),
            Fault::Deaf => (Some(String::new()), None),
            Fault::Blind => (None, Some(String::new())),
            Fault::Lossy(p) => (Some(probability(p)), Some(probability(p))),
        };
        for (chain, direction, lost) in [("OUTPUT", "-o", said), ("INPUT", "-i", heard)] {
            let Some(lost) = lost else { continue };
            let rule = format!("-w -A {chain} {direction} eth0 {lost} -j DROP");
            self.iptables(&rule.split_whitespace().collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Each packet that comes is lost with this probability, and in no other way. Its sender does not hear of it, as it would of
    /// what is lost where it is sent.
    pub fn lose_what_comes(&self, probability: f64) -> Result<()> {
        self.heal()?;
        let rule =
            format!("-w -A INPUT -i eth0 -m statistic --mode random --probability {probability} -j DROP");
        self.iptables(&rule.split_whitespace().collect::<Vec<_>>())
    }

    pub fn heal(&self) -> Result<()> {
        self.iptables(&["-w", "-F"])
    }

    fn iptables(&self, arguments: &[&str]) -> Result<()> {
        ip(&[&["netns", "exec", &self.name, "iptables"], arguments].concat())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The other end goes with it, at once and not with the last of the namespace's sockets.
        for gone in [["link", "delete", &self.link], ["netns", "delete", &self.name]] {
            if let Err(error) = ip(&gone) {
                eprintln!("left behind: {error:#}");
            }
        }
    }
}

/// Test programs that were killed leave their networks behind.
fn clear_those_of_the_dead() -> Result<()> {
    static CLEARED: OnceLock<()> = OnceLock::new();
    if CLEARED.set(()).is_err() {
        return Ok(());
    }
    let Ok(all) = fs::read_dir("/run/netns") else { return Ok(()) };
    for name in all.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        let pid = name.strip_prefix("rollcall-").and_then(|rest| rest.split_once('-')?.0.parse::<u32>().ok());
        if pid.is_some_and(|pid| !std::path::Path::new("/proc").join(pid.to_string()).exists()) {
            ip(&["netns", "delete", &name])?;
        }
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("`ip` is needed, and root")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), said.trim());
    Ok(())
}
