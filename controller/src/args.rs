//! The flags of the process; each can be given by its environment variable.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use ipnet::IpNet;
use rollcall_net::loopback;

use crate::authority::{Terms, TermsError, term};

/// The controller of Rollcall: watches Kubernetes and serves the catalogue to sidecars.
#[derive(Debug, Clone, Parser)]
#[command(name = "rollcall-controller", version)]
pub struct Args {
    /// Where sidecars open their sessions (TLS); `[::]` is every address, IPv4's too.
    #[arg(long, env = "ROLLCALL_SESSIONS_LISTEN", default_value = "[::]:7310")]
    pub sessions_listen: SocketAddr,

    /// Where /healthz, /readyz and /metrics answer; `[::]` is every address, IPv4's too.
    #[arg(long, env = "ROLLCALL_HEALTH_LISTEN", default_value = "[::]:7391")]
    pub health_listen: SocketAddr,

    /// Where the catalogue is read by people; loopback only, they come by `kubectl port-forward`.
    #[arg(long, env = "ROLLCALL_READ_LISTEN", value_parser = loopback, default_value = "127.0.0.1:7380")]
    pub read_listen: SocketAddr,

    /// The same over IPv6; a machine without ::1 goes without.
    #[arg(long, env = "ROLLCALL_READ_LISTEN_V6", value_parser = loopback, default_value = "[::1]:7380")]
    pub read_listen_v6: SocketAddr,

    /// Where the API server asks what pods get (TLS); `[::]` is every address, IPv4's too.
    #[arg(long, env = "ROLLCALL_ADMISSION_LISTEN", default_value = "[::]:7343")]
    pub admission_listen: SocketAddr,

    /// The MutatingWebhookConfiguration through which the API server asks; without one no pod is given a sidecar.
    #[arg(long, env = "ROLLCALL_WEBHOOK")]
    pub webhook: Option<String>,

    /// A file that says what injected sidecars are (YAML), as the chart writes it.
    #[arg(long, env = "ROLLCALL_INJECTION_FILE")]
    pub injection_file: Option<PathBuf>,

    /// The Service in the controller's own namespace through which sidecars reach it, and the API server its webhook.
    #[arg(long, env = "ROLLCALL_SERVICE_NAME", default_value = "rollcall-controller")]
    pub service_name: String,

    /// The controller's own namespace, which holds its Secret and its Lease.
    #[arg(long, env = "ROLLCALL_NAMESPACE", default_value = "rollcall-system")]
    pub namespace: String,

    /// The Secret that holds the authority of the sessions' certificates.
    #[arg(long, env = "ROLLCALL_CA_SECRET", default_value = "rollcall-ca")]
    pub ca_secret: String,

    /// A Secret in the controller's own namespace with an authority that somebody else maintains (`tls.crt` and `tls.key` of
    /// ECDSA P-256): whenever it holds another one, that is announced and taken over. Without, the controller makes its own.
    #[arg(long, env = "ROLLCALL_AUTHORITY_SECRET_FROM")]
    pub authority_secret_from: Option<String>,

    /// For how long an authority is good that the controller makes, as 3650d.
    #[arg(long, env = "ROLLCALL_AUTHORITY_LIFETIME", value_parser = term, default_value = "3650d")]
    pub authority_lifetime: Duration,

    /// For how long a new authority is announced before it signs, and the one before it is believed afterwards, as 30d.
    #[arg(long, env = "ROLLCALL_AUTHORITY_OVERLAP", value_parser = term, default_value = "30d")]
    pub authority_overlap: Duration,

    /// For how long a certificate of the controller is good, as 30d; it is renewed after two thirds.
    #[arg(long, env = "ROLLCALL_LEAF_LIFETIME", value_parser = term, default_value = "30d")]
    pub leaf_lifetime: Duration,

    /// Ranges, as 10.20.0.0/16, that registrations may name although the cluster gave them out.
    #[arg(long, env = "ROLLCALL_ALLOWED_ADDRESSES", value_delimiter = ',')]
    pub allowed_addresses: Vec<IpNet>,

    /// `observe`: Kubernetes' facts decide alone, and what sidecars tell is only counted.
    #[arg(long, env = "ROLLCALL_LIVENESS_MODE", value_enum, default_value = "enforce")]
    pub liveness_mode: LivenessMode,

    /// The Lease in the controller's own namespace whose holder writes to Kubernetes; all replicas name the same.
    #[arg(long, env = "ROLLCALL_LEASE_NAME", default_value = "rollcall-controller")]
    pub lease_name: String,

    /// Replicas that Kubernetes does not know, as 192.0.2.7:7310: processes outside the cluster. Those behind `--service-name`
    /// find each other without.
    #[arg(long, env = "ROLLCALL_PEERS", value_delimiter = ',')]
    pub peers: Vec<SocketAddr>,

    /// The service account that all replicas run under: nobody else is one.
    #[arg(long, env = "ROLLCALL_SERVICE_ACCOUNT", default_value = "rollcall-controller")]
    pub service_account: String,

    /// A token of this service account and of audience `rollcall-replica`, which is shown to other replicas.
    #[arg(
        long,
        env = "ROLLCALL_REPLICA_TOKEN_FILE",
        default_value = "/var/run/secrets/rollcall-replica/token"
    )]
    pub replica_token_file: PathBuf,

    /// The name of this replica in logs and in `welcome`.
    #[arg(long, env = "ROLLCALL_REPLICA", default_value = "rollcall-controller")]
    pub replica: String,
}

// === impl Args ===

impl Args {
    /// For how long certificates are good, if that fits together.
    pub(crate) fn terms(&self) -> Result<Terms, TermsError> {
        let Self { authority_lifetime: authority, authority_overlap: overlap, leaf_lifetime: leaf, .. } =
            *self;
        Terms { authority, overlap, leaf }.checked()
    }
}

/// Says what the sidecars' word is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LivenessMode {
    Enforce,
    Observe,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_are_the_designs_unless_flags_say_otherwise() {
        let terms = |flags: &[&str]| Args::try_parse_from([&["controller"], flags].concat()).unwrap().terms();
        assert_eq!(terms(&[]), Ok(Terms::default()));
        let short = ["--authority-lifetime=40s", "--authority-overlap=10s", "--leaf-lifetime=6s"];
        assert_eq!(terms(&short).unwrap().authority, Duration::from_secs(40));
        assert_eq!(terms(&short[..1]), Err(TermsError::Authority));
        assert!(Args::try_parse_from(["controller", "--leaf-lifetime=30"]).is_err());
    }

    #[test]
    fn the_catalogue_is_read_on_loopback_only() {
        let parse = |flag: &str| Args::try_parse_from(["controller", flag]);
        for good in ["--read-listen=127.0.0.2:0", "--read-listen-v6=[::1]:0", "--health-listen=0.0.0.0:7391"]
        {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["--read-listen=0.0.0.0:7380", "--read-listen-v6=[::]:7380"] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains("use 127.0.0.1 or [::1]"), "{error}");
        }
    }
}
