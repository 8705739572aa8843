//! The flags of the process; each can be given by its environment variable.

use std::net::SocketAddr;

use clap::Parser;

/// The controller of Rollcall: watches Kubernetes and serves the catalogue to sidecars.
#[derive(Debug, Clone, Parser)]
#[command(name = "rollcall-controller", version)]
pub struct Args {
    /// Where sidecars open their sessions (TLS); `[::]` is every address, IPv4's too.
    #[arg(long, env = "ROLLCALL_SESSIONS_LISTEN", default_value = "[::]:7310")]
    pub sessions_listen: SocketAddr,

    /// Where /healthz and /readyz answer; `[::]` is every address, IPv4's too.
    #[arg(long, env = "ROLLCALL_HEALTH_LISTEN", default_value = "[::]:7391")]
    pub health_listen: SocketAddr,

    /// The controller's own namespace, which holds its Secret and its Lease.
    #[arg(long, env = "ROLLCALL_NAMESPACE", default_value = "rollcall-system")]
    pub namespace: String,

    /// The Secret that holds the authority of the sessions' certificates.
    #[arg(long, env = "ROLLCALL_CA_SECRET", default_value = "rollcall-ca")]
    pub ca_secret: String,

    /// The Lease in the controller's own namespace whose holder writes to Kubernetes; all replicas name the same.
    #[arg(long, env = "ROLLCALL_LEASE_NAME", default_value = "rollcall-controller")]
    pub lease_name: String,

    /// The name of this replica in logs and in `welcome`.
    #[arg(long, env = "ROLLCALL_REPLICA", default_value = "rollcall-controller")]
    pub replica: String,
}
