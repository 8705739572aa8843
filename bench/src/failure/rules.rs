//! What of a network that is our own is broken. Nobody is told that it is: what is sent is lost on its way in, and not where it
//! is sent, since a sender would hear of that.

use std::{net::Ipv4Addr, process::Command};

use anyhow::{Context, ensure};

/// The network has nothing in it but us.
pub(super) fn begin() -> anyhow::Result<()> {
    told("ip", &["link", "set", "lo", "up"])
}

/// What goes to this address, and what comes from there.
pub(super) fn cut(address: Ipv4Addr) -> anyhow::Result<()> {
    both(&address.to_string(), &[])
}

/// Each packet to one of these addresses (`127.9.0.0/16`), or from there, with this probability.
pub(super) fn lose(addresses: &str, probability: &str) -> anyhow::Result<()> {
    both(addresses, &["-m", "statistic", "--mode", "random", "--probability", probability])
}

pub(super) fn heal(address: Ipv4Addr) -> anyhow::Result<()> {
    let address = address.to_string();
    ["-s", "-d"]
        .into_iter()
        .try_for_each(|side| told("iptables", &["-w", "-D", "INPUT", side, &address, "-j", "DROP"]))
}

fn both(addresses: &str, when: &[&str]) -> anyhow::Result<()> {
    ["-s", "-d"].into_iter().try_for_each(|side| {
        told("iptables", &[&["-w", "-A", "INPUT", side, addresses], when, &["-j", "DROP"]].concat())
    })
}

fn told(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("`{program}` is needed, and root"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), said.trim());
    Ok(())
}
