//! The flags of the process; each can be given by its environment variable.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::{CommandFactory, FromArgMatches, Parser};
use rollcall_catalogue::{Namespace, limits::SIDECAR_MEMORY_MIB};
use rollcall_net::{TLS_NAME, loopback};

use crate::{dns::Servers, finder::Name, own::Declared, requires::Requires};

/// Says what the process is to do.
#[derive(Debug, Clone)]
pub enum Task {
    /// To be the sidecar.
    Serve(Box<Args>),
    /// To wait beside it: `requires`.
    Wait(Requires),
}

/// The sidecar of Rollcall: answers lookups on localhost.
#[derive(Debug, Clone, Parser)]
#[command(name = "rollcall-sidecar", version)]
pub struct Args {
    /// The controller's address; an IP, since a static binary resolves no names. `tcp://` before it, as Kubernetes tells a
    /// Service's address to the pods beside it, is taken too.
    #[arg(long, env = "ROLLCALL_CONTROLLER", value_parser = address)]
    pub controller: SocketAddr,

    /// The name of the controller's Service. The cluster's DNS is asked for it once nobody has answered for half a minute; with a
    /// port where that is not the address's. An empty one is not asked for.
    #[arg(long, env = "ROLLCALL_CONTROLLER_NAME", default_value = TLS_NAME)]
    pub controller_name: Name,

    /// The authority of the controller's certificate, as PEM text; wins over the file. An empty one says nothing.
    #[arg(
        long,
        env = "ROLLCALL_CA_PEM",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true
    )]
    pub ca_pem: String,

    /// The authority of the controller's certificate; read at each connect.
    #[arg(long, env = "ROLLCALL_CA_FILE", default_value = "/var/run/secrets/rollcall/ca.crt")]
    pub ca_file: PathBuf,

    /// The pod-bound token; read at each connect, since the kubelet renews it.
    #[arg(long, env = "ROLLCALL_TOKEN_FILE", default_value = "/var/run/secrets/rollcall/token")]
    pub token_file: PathBuf,

    /// Where lookups are answered; loopback only.
    #[arg(long, env = "ROLLCALL_API_LISTEN", value_parser = loopback, default_value = "127.0.0.1:7300")]
    pub api_listen: SocketAddr,

    /// Where lookups are answered over IPv6; a machine without ::1 goes without.
    #[arg(long, env = "ROLLCALL_API_LISTEN_V6", value_parser = loopback, default_value = "[::1]:7300")]
    pub api_listen_v6: SocketAddr,

    /// The pod's namespace, which names without one are of; the controller says it too.
    #[arg(long, env = "ROLLCALL_NAMESPACE")]
    pub namespace: Option<Namespace>,

    /// Where the last good state is kept: a volume that lives as long as the pod, with 16 MiB. Lookups need none.
    #[arg(long, env = "ROLLCALL_STATE_DIR", default_value = "/var/lib/rollcall")]
    pub state_dir: PathBuf,

    /// The memory limit of this container. Services that do not fit are answered with an error, before the limit ends us.
    /// Below 24 and above 4096 it is taken for those: a limit that others set keeps no pod from starting.
    #[arg(long, env = "ROLLCALL_MEMORY_MAX_MIB", default_value_t = 48)]
    pub memory_max_mib: u32,

    /// Where /healthz, /readyz and /metrics answer the cluster; nothing of the catalogue is here. `[::]` is every address, IPv4's too.
    #[arg(long, env = "ROLLCALL_HEALTH_LISTEN", default_value = "[::]:7390")]
    pub health_listen: SocketAddr,

    /// Where DNS answers, over UDP and TCP; loopback only. A machine without IPv6 goes without [::1].
    #[arg(long, env = "ROLLCALL_DNS_LISTEN", value_parser = loopback, value_delimiter = ',', default_value = "127.0.0.1:7353,[::1]:7353")]
    pub dns_listen: Vec<SocketAddr>,

    /// Who is asked for names of other zones: the cluster's DNS, up to three, as 10.96.0.10 or 10.96.0.10:53; nobody by default.
    #[arg(long, env = "ROLLCALL_DNS_FORWARD", default_value = "", hide_default_value = true)]
    pub dns_forward: Servers,

    /// Where files are mounted that register what the app is, each the body of a PUT /v1/self.
    #[arg(long, env = "ROLLCALL_REGISTRATIONS_DIR", default_value = "/etc/rollcall")]
    pub registrations_dir: PathBuf,

    #[command(flatten)]
    pub declared: Declared,
}

/// What the process takes without any service, in MiB: itself, its connections, and buffers for a session and for answers.
const ITSELF_MIB: usize = 16;

// === impl Task ===

impl Task {
    /// As the command line and the environment have it. What makes no sense is said, and ends the process.
    pub fn parse() -> Self {
        Self::try_parse_from(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn try_parse_from(
        words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        // The sidecar's own flags are not asked for beside a subcommand, nor read from the environment then.
        let mut command = Args::command()
            .subcommand(Requires::command())
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true);
        let mut matches = command.try_get_matches_from_mut(words)?;
        let task = match matches.remove_subcommand() {
            Some((_, mut matches)) => Requires::from_arg_matches_mut(&mut matches).map(Self::Wait),
            None => Args::from_arg_matches_mut(&mut matches).map(|args| Self::Serve(Box::new(args))),
        };
        task.map_err(|error| error.format(&mut command))
    }
}

/// The memory that the sidecar of a whole machine may go by, in MiB: some thousands of services, and a small part of what a
/// machine has on which people develop.
const MACHINE_MIB: u32 = 512;

// === impl Args ===

impl Args {
    /// Of one that is a part of another program: its ports are that program's affair, it is told whom to believe, and neither
    /// the command line nor the environment is asked for anything.
    pub(crate) fn of_machine(
        controller: SocketAddr,
        namespace: Namespace,
        state_dir: PathBuf,
        token_file: PathBuf,
    ) -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            controller,
            controller_name: Name::default(),
            ca_pem: String::new(),
            ca_file: PathBuf::new(),
            token_file,
            api_listen: nowhere,
            api_listen_v6: nowhere,
            namespace: Some(namespace),
            state_dir,
            memory_max_mib: MACHINE_MIB,
            health_listen: nowhere,
            dns_listen: Vec::new(),
            dns_forward: Servers::default(),
            // Nothing is mounted: no folder has this name.
            registrations_dir: PathBuf::new(),
            declared: Declared::default(),
        }
    }

    /// The memory that we go by.
    pub(crate) fn memory_mib(&self) -> u32 {
        self.memory_max_mib.clamp(*SIDECAR_MEMORY_MIB.start(), *SIDECAR_MEMORY_MIB.end())
    }

    /// What all services held may take: two parts in five of the rest. As much again is taken by the answers that were
    /// written of them, and while one of them is replaced; and half as much by what DNS tells of them: of an instance, which
    /// takes some 700 bytes, all addresses and ports in 64 bytes (133 with IPv6), allocations aside, and the choices that are
    /// kept in 100.
    pub(crate) fn held_bytes_max(&self) -> usize {
        let mib = usize::try_from(self.memory_mib()).unwrap_or(usize::MAX).saturating_sub(ITSELF_MIB);
        mib.saturating_mul(1024 * 1024) / 5 * 2
    }
}

/// An address with its port.
fn address(text: &str) -> Result<SocketAddr, String> {
    let told = text.strip_prefix("tcp://").unwrap_or(text);
    told.parse().map_err(|_| "no IP with a port; use one as 10.96.7.10:7310 or [fd00::7]:7310".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_leaves_room_for_what_is_written_of_it() {
        let parse = |mib: &str| {
            let args = ["sidecar", "--controller=10.0.0.1:7310", "--memory-max-mib", mib];
            Args::try_parse_from(args).unwrap().held_bytes_max()
        };
        let mib = 1024 * 1024;
        for (memory, total) in [("24", 8), ("48", 32), ("4096", 4_080), ("20", 8), ("0", 8), ("8192", 4_080)]
        {
            let held = parse(memory);
            // The answers over HTTP, and DNS.
            assert!(held + held + held / 2 <= total * mib && held > total * mib / 3, "{memory}: {held}");
        }
        // 1,000 services of 10 instances.
        assert!(parse("48") > 10_000 * 1_000);
    }

    #[test]
    fn a_subcommand_needs_no_flag_of_the_sidecar_and_takes_none() {
        let parse = |words: &[&str]| Task::try_parse_from([&["rollcall-sidecar"], words].concat());
        let [controller, deps] = ["--controller=10.0.0.1:7310", "--deps=orders"];
        assert!(matches!(parse(&["requires", deps]), Ok(Task::Wait(requires)) if requires.deps == "orders"));
        assert!(matches!(parse(&[controller]), Ok(Task::Serve(args)) if args.controller.port() == 7310));
        for (words, says) in [
            (&[][..], "--controller"),
            (&["requires"], "--deps"),
            (&[controller, "requires", deps], "cannot be used with"),
            (&["require"], "require"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(says), "{words:?}: {error}");
        }
    }

    #[test]
    fn lookups_stay_on_loopback() {
        let parse = |flag: &str| Args::try_parse_from(["sidecar", "--controller=10.0.0.1:7310", flag]);
        for good in [
            "--api-listen=127.0.0.2:0",
            "--api-listen-v6=[::1]:7301",
            "--health-listen=0.0.0.0:7390",
            "--dns-listen=127.0.0.1:53,[::1]:53",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "--api-listen=0.0.0.0:7300",
            "--api-listen=10.1.2.3:7300",
            "--api-listen-v6=[::]:7300",
            "--dns-listen=127.0.0.1:53,0.0.0.0:53",
        ] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains("use 127.0.0.1 or [::1]"), "{error}");
        }
        let default = parse("--namespace=shop").unwrap().dns_listen;
        assert_eq!(default, ["127.0.0.1:7353".parse().unwrap(), "[::1]:7353".parse().unwrap()]);
        assert!(parse("--api-listen=localhost").unwrap_err().to_string().contains("127.0.0.1:7300"));
    }

    #[test]
    fn the_controller_is_an_address_as_people_or_kubernetes_write_it() {
        let parse = |controller: &str| Args::try_parse_from(["sidecar", "--controller", controller]);
        for (text, address) in [
            ("10.96.7.10:7310", "10.96.7.10:7310"),
            ("tcp://10.96.7.10:7310", "10.96.7.10:7310"),
            ("tcp://[fd00::7]:7310", "[fd00::7]:7310"),
        ] {
            assert_eq!(parse(text).unwrap().controller.to_string(), address);
        }
        for bad in ["10.96.7.10", "rollcall-controller:7310", "http://10.96.7.10:7310", "fd00::7:7310"] {
            assert!(parse(bad).unwrap_err().to_string().contains("10.96.7.10:7310"), "{bad}");
        }
    }
}
