//! What a server has shown of itself in a handshake, to be looked at again: whether others would have believed it too.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    ClientConnection, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::{provider::of_client, tls::server_name};

/// Holds the certificates of a server that was believed, and when that was.
#[derive(Debug, Clone)]
pub struct Proof {
    chain: Vec<CertificateDer<'static>>,
    at: UnixTime,
}

// === impl Proof ===

impl Proof {
    /// Of the server at the other end, once the handshake is over.
    pub fn of(connection: &ClientConnection) -> Option<Self> {
        let chain = connection.peer_certificates()?.iter().cloned().map(CertificateDer::into_owned).collect();
        Some(Self { chain, at: UnixTime::now() })
    }

    /// Of a server that shows this certificate at this time, before anybody has seen it.
    pub fn of_certificate(own: CertificateDer<'static>, at: SystemTime) -> Self {
        let since: Duration = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { chain: vec![own], at: UnixTime::since_unix_epoch(since) }
    }

    /// Whether whoever believes these authorities alone would have believed it, then.
    pub fn convinces<'a>(&self, authorities: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            if roots.add(CertificateDer::from_slice(authority).into_owned()).is_err() {
                return false;
            }
        }
        let Some((own, between)) = self.chain.split_first() else { return false };
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), of_client()).build()
        else {
            return false;
        };
        server_name().is_ok_and(|name| verifier.verify_server_cert(own, between, &name, &[], self.at).is_ok())
    }
}
