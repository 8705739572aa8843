//! The flags of the process; each can be given by its environment variable.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

/// The sidecar of Rollcall: answers lookups on localhost.
#[derive(Debug, Clone, Parser)]
#[command(name = "rollcall-sidecar", version)]
pub struct Args {
    /// The controller's address; an IP, since a static binary resolves no names.
    #[arg(long, env = "ROLLCALL_CONTROLLER")]
    pub controller: SocketAddr,

    /// The authority of the controller's certificate; read at each connect.
    #[arg(long, env = "ROLLCALL_CA_FILE", default_value = "/var/run/secrets/rollcall/ca.crt")]
    pub ca_file: PathBuf,

    /// The pod-bound token; read at each connect, since the kubelet renews it.
    #[arg(long, env = "ROLLCALL_TOKEN_FILE", default_value = "/var/run/secrets/rollcall/token")]
    pub token_file: PathBuf,

    /// Where lookups are answered.
    #[arg(long, env = "ROLLCALL_API_LISTEN", default_value = "127.0.0.1:7300")]
    pub api_listen: SocketAddr,

    /// Where lookups are answered over IPv6; a machine without ::1 goes without.
    #[arg(long, env = "ROLLCALL_API_LISTEN_V6", default_value = "[::1]:7300")]
    pub api_listen_v6: SocketAddr,

    /// Where /healthz and /readyz answer the kubelet; nothing of the catalogue is here. `[::]` is every address, IPv4's too.
    #[arg(long, env = "ROLLCALL_HEALTH_LISTEN", default_value = "[::]:7390")]
    pub health_listen: SocketAddr,
}
