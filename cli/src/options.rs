//! The flags that the cluster's verbs have in common, as kubectl has them.

use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum};
use rollcall_catalogue::Namespace;

use crate::failure::Failure;

/// Where `rollcall dev` has its read API.
pub(crate) const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7380);
/// Nobody waits longer for one answer; who wants to wait asks again.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// Holds which cluster is meant, and which part of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Where {
    /// The kubeconfig; without it KUBECONFIG, or ~/.kube/config, or the pod's own account.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig; without it the current one.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// The namespace; without it that of the context.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) namespace: Option<Namespace>,

    /// The namespace that Rollcall is installed in.
    #[arg(long, value_name = "NAME", default_value = "rollcall-system", env = "ROLLCALL_SYSTEM_NAMESPACE")]
    pub(crate) system_namespace: Namespace,

    /// Ask the `rollcall dev` of this machine, at 127.0.0.1:7380 or where ADDRESS says, and no cluster; what only a cluster has is refused then.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:7380",
        value_parser = local, conflicts_with_all = ["kubeconfig", "context"])]
    pub(crate) local: Option<SocketAddr>,

    /// For how long each answer is waited for: 500ms, 10s, 2m.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

// === impl Where ===

impl Where {
    /// Refuses --local, for what only a cluster has.
    pub(crate) fn of_cluster(&self, says: &str) -> Result<(), Failure> {
        if self.local.is_some() { Err(Failure::Usage(says.to_owned())) } else { Ok(()) }
    }
}

/// Says in which form the answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// As JSON; docs/cli.md has its form.
    Json,
}

/// The same, of what has more columns than a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WideForm {
    /// With more columns.
    Wide,
    /// As JSON; docs/cli.md has its form.
    Json,
}

/// An address of this machine: `rollcall dev` has no other, and asks for no credentials.
fn local(text: &str) -> Result<SocketAddr, String> {
    const REMEDY: &str = "use an address of this machine with its port, as 127.0.0.1:7380, or a port alone";
    let named = text.replacen("localhost:", "127.0.0.1:", 1);
    let address = match text.parse() {
        Ok(port) => SocketAddr::new(LOCAL.ip(), port),
        Err(_) => named.parse().map_err(|_| REMEDY.to_owned())?,
    };
    if address.ip().is_loopback() && address.port() != 0 { Ok(address) } else { Err(REMEDY.to_owned()) }
}

/// The arguments, with an address that stands behind --local joined to it. Alone it may stand before a name: only what is an
/// address belongs to it, which no name is.
pub(crate) fn joined(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    let mut is_over = false;
    for argument in arguments {
        let is_address = argument.to_str().is_some_and(|text| text.contains(':') && local(text).is_ok());
        match joined.last_mut() {
            Some(last) if !is_over && is_address && last == "--local" => {
                last.push("=");
                last.push(&argument);
            }
            _ => {
                is_over |= argument == "--";
                joined.push(argument);
            }
        }
    }
    joined
}

/// A time as the local API writes it.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const REMEDY: &str = "use a time as 500ms, 10s or 2m, up to 10m";
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(REMEDY.to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| REMEDY.to_owned())?;
    let time = Duration::from_millis(number.saturating_mul(unit_ms));
    if time.is_zero() || time > TIMEOUT_MAX { Err(REMEDY.to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_is_one_with_its_port() {
        for (text, address) in [
            ("127.0.0.1:7380", "127.0.0.1:7380"),
            ("7381", "127.0.0.1:7381"),
            ("localhost:7381", "127.0.0.1:7381"),
            ("127.0.0.2:7380", "127.0.0.2:7380"),
            ("[::1]:7380", "[::1]:7380"),
        ] {
            assert_eq!(local(text).unwrap().to_string(), address);
        }
        for bad in
            ["", "10.0.0.1:7380", "127.0.0.1", "127.0.0.1:0", "0", "70000", "orders", "http://127.0.0.1:7380"]
        {
            assert!(local(bad).unwrap_err().contains("127.0.0.1:7380"), "{bad}");
        }
    }

    #[test]
    fn an_address_behind_local_belongs_to_it_and_a_name_does_not() {
        for (given, expected) in [
            ("resolve --local orders", "resolve --local orders"),
            ("resolve --local 127.0.0.1:7381 orders", "resolve --local=127.0.0.1:7381 orders"),
            ("resolve orders --local localhost:7381", "resolve orders --local=localhost:7381"),
            (
                "resolve --local=127.0.0.1:7381 127.0.0.1:7382",
                "resolve --local=127.0.0.1:7381 127.0.0.1:7382",
            ),
            ("resolve --local 10.0.0.1:7381", "resolve --local 10.0.0.1:7381"),
            ("resolve -- --local 127.0.0.1:7381", "resolve -- --local 127.0.0.1:7381"),
        ] {
            let given = given.split(' ').map(OsString::from);
            let told: Vec<_> = joined(given).into_iter().map(|one| one.into_string().unwrap()).collect();
            assert_eq!(told.join(" "), expected);
        }
    }

    #[test]
    fn a_time_has_a_unit_and_an_end() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("2m", 120_000), ("10m", 600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "10", "s", "0s", "11m", "-1s", "1h", "1.5s", "99999999999999999999s"] {
            assert!(duration(bad).unwrap_err().contains("10s"), "{bad}");
        }
    }
}
