//! What a replica is cut off from: rules of a firewall in its pod's own network, which is gone with the pod.

use std::net::IpAddr;

use anyhow::Result;
use rollcall_cluster::{Process, output_of};

/// Where replicas and sidecars call a replica.
const SESSIONS: &str = "7310";

/// Says from whom. What is sent is lost in both directions, and nobody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// From all at these addresses.
    From(Vec<IpAddr>),
    /// From whoever calls its port for sessions, but these: its peers.
    FromSidecars { peers: Vec<IpAddr> },
    /// From all but itself.
    FromEverything,
}

// === impl Cut ===

impl Cut {
    /// Breaks what holds now, and nothing that was broken before is whole by it.
    pub(crate) fn apply(&self, process: &Process) -> Result<()> {
        self.rules().iter().try_for_each(|rule| iptables(process, rule))
    }

    /// Heals all that was cut there.
    pub(crate) fn heal(process: &Process) -> Result<()> {
        iptables(process, "-F")
    }

    /// As iptables takes them, in the order in which they count.
    fn rules(&self) -> Vec<String> {
        match self {
            Self::From(addresses) => {
                addresses.iter().flat_map(|address| both_ways("", *address, "DROP")).collect()
            }
            Self::FromSidecars { peers } => {
                let allowed = peers.iter().flat_map(|peer| {
                    let [heard, said] = both_ways("-p tcp", *peer, "ACCEPT");
                    [format!("{heard} --dport {SESSIONS}"), format!("{said} --sport {SESSIONS}")]
                });
                let lost = [
                    format!("-A INPUT -p tcp --dport {SESSIONS} -j DROP"),
                    format!("-A OUTPUT -p tcp --sport {SESSIONS} -j DROP"),
                ];
                allowed.chain(lost).collect()
            }
            Self::FromEverything => {
                vec!["-A INPUT ! -i lo -j DROP".to_owned(), "-A OUTPUT ! -o lo -j DROP".to_owned()]
            }
        }
    }
}

fn both_ways(what: &str, address: IpAddr, then: &str) -> [String; 2] {
    let rule = |chain, side| format!("-A {chain} {what} {side} {address} -j {then}").replace("  ", " ");
    [rule("INPUT", "-s"), rule("OUTPUT", "-d")]
}

fn iptables(process: &Process, rule: &str) -> Result<()> {
    let mut command = process.command_in_its_network("iptables");
    command.arg("-w").args(rule.split_whitespace());
    output_of("cutting a pod off, or healing it", &mut command)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cut_loses_what_it_says_and_nothing_else() {
        let one: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(
            Cut::From(vec![one]).rules(),
            ["-A INPUT -s 10.0.0.1 -j DROP", "-A OUTPUT -d 10.0.0.1 -j DROP"]
        );
        assert_eq!(
            Cut::FromSidecars { peers: vec![one] }.rules(),
            [
                "-A INPUT -p tcp -s 10.0.0.1 -j ACCEPT --dport 7310",
                "-A OUTPUT -p tcp -d 10.0.0.1 -j ACCEPT --sport 7310",
                "-A INPUT -p tcp --dport 7310 -j DROP",
                "-A OUTPUT -p tcp --sport 7310 -j DROP",
            ]
        );
        assert_eq!(Cut::FromEverything.rules(), ["-A INPUT ! -i lo -j DROP", "-A OUTPUT ! -o lo -j DROP"]);
        assert!(Cut::From(Vec::new()).rules().is_empty());
    }
}
