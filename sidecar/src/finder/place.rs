//! Which names are asked for, and of which servers: from the flag, and from what the kubelet writes for the pod's resolvers.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use thiserror::Error;

use crate::dns::{Search, Servers, resolv_conf};

/// Where DNS is asked.
const PORT: u16 = 53;
/// Servers of the pod that are asked: as many as stock resolvers read.
const SERVERS_MAX: usize = 3;
/// The cluster's own zone, where the pod's search list has none: what nearly every cluster calls it.
const USUAL_ZONE: &str = "cluster.local";
const NAME_BYTES_MAX: usize = 253;

/// The name of the controller's Service, as a flag gives it: `rollcall-controller.rollcall-system.svc`, with its port where that
/// is another one than the address's. An empty one is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Name {
    name: String,
    port: Option<u16>,
}

/// Says that this is no name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no name; use one as rollcall-controller.rollcall-system.svc, or with a port behind a colon"
)]
pub struct BadName(String);

/// Holds what is asked of whom, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) names: Vec<String>,
    pub(super) servers: Vec<SocketAddr>,
}

/// As it is now: the kubelet may have written the file after our start.
pub(super) fn asked(name: &Name, servers: &Servers) -> Asked {
    asked_by(name, servers, &resolv_conf().unwrap_or_default())
}

fn asked_by(name: &Name, servers: &Servers, resolv_conf: &str) -> Asked {
    let search = Search::of(resolv_conf);
    let zone = search.cluster().unwrap_or(USUAL_ZONE);
    let name = name.name.trim_end_matches('.');
    let mut names = vec![format!("{name}.{zone}"), name.to_owned()];
    if name.ends_with(&format!(".{zone}")) {
        names.swap_remove(0);
    }
    let mut servers: Vec<_> = servers.addresses().to_vec();
    if servers.is_empty() {
        let all = resolv_conf.lines().filter_map(nameserver).take(SERVERS_MAX);
        servers = all.map(|ip| SocketAddr::new(ip, PORT)).collect();
        // On loopback are we ourselves, who ask one of the others.
        servers.sort_by_key(|server| server.ip().is_loopback());
    }
    Asked { names, servers }
}

fn nameserver(line: &str) -> Option<IpAddr> {
    let mut words = line.split_ascii_whitespace();
    (words.next()? == "nameserver").then_some(())?;
    words.next()?.parse().ok()
}

// === impl Name ===

impl Name {
    pub(super) fn is_empty(&self) -> bool {
        self.name.is_empty()
    }

    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName(text.chars().take(NAME_BYTES_MAX).collect());
        let (name, port) = match text.split_once(':') {
            None => (text, None),
            Some((name, port)) => {
                let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(bad)?;
                (name, Some(port))
            }
        };
        let is_good = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let labels = name.trim_end_matches('.');
        let good = labels.len() <= NAME_BYTES_MAX && labels.split('.').all(is_good);
        if good || text.is_empty() { Ok(Self { name: name.to_owned(), port }) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "rollcall-controller.rollcall-system.svc";
    const OF_A_POD: &str = "search shop.svc.corp.example svc.corp.example corp.example ec2.internal\n\
        nameserver 127.0.0.1\nnameserver 10.96.0.10\nnameserver nobody\noptions ndots:5\n";

    #[test]
    fn a_name_may_have_a_port() {
        let longest = format!("{}a", "a.".repeat(126));
        for (text, port) in
            [(NAME, None), ("registry.example:443", Some(443)), ("", None), ("a.", None), (&*longest, None)]
        {
            assert_eq!(text.parse::<Name>().unwrap().port(), port, "{text}");
        }
        let long = format!("{}a", "a.".repeat(127));
        for bad in [":7310", "a:0", "a:x", "a:70000", "a..b", "http://a", "a b", ".", "fd00::7", &long] {
            assert!(bad.parse::<Name>().unwrap_err().to_string().contains("use one as"), "{bad}");
        }
        assert!("".parse::<Name>().unwrap().is_empty());
    }

    #[test]
    fn the_clusters_servers_are_asked_for_the_name_in_the_clusters_zone() {
        let (flag, none): (Servers, _) = ("10.0.0.9:5353".parse().unwrap(), Servers::default());
        let of_pod = ["10.96.0.10:53", "127.0.0.1:53"];
        for (name, servers, file, names, asked) in [
            (NAME, &none, OF_A_POD, vec![format!("{NAME}.corp.example"), NAME.to_owned()], &of_pod[..]),
            (
                NAME,
                &flag,
                OF_A_POD,
                vec![format!("{NAME}.corp.example"), NAME.to_owned()],
                &["10.0.0.9:5353"],
            ),
            (
                NAME,
                &none,
                "nameserver fd00::a",
                vec![format!("{NAME}.cluster.local"), NAME.to_owned()],
                &["[fd00::a]:53"],
            ),
            ("a.corp.example.", &none, OF_A_POD, vec!["a.corp.example".to_owned()], &of_pod),
            (NAME, &none, "", vec![format!("{NAME}.cluster.local"), NAME.to_owned()], &[]),
        ] {
            let servers_asked = asked.iter().map(|server| server.parse().unwrap()).collect();
            let expected = Asked { names, servers: servers_asked };
            assert_eq!(asked_by(&name.parse().unwrap(), servers, file), expected, "{name}");
        }
    }
}
