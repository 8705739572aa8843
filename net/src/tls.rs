//! TLS between our own processes, and for the API server that calls us: version 1.3, one fixed name, no public
//! authorities.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{self, Ticketer},
    },
    server::NoServerSessionStorage,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject};
use thiserror::Error;

/// The name in every controller's certificate, whatever address a sidecar dials: the CA signs nothing else, so the
/// name need not be resolved and never changes.
pub const TLS_NAME: &str = "rollcall-controller.rollcall-system.svc";

/// What both ends agree on after the handshake.
const ALPN_HTTP2: &[u8] = b"h2";
/// What API servers ask webhooks for, and nothing else: over HTTP/2, all their calls would go to one replica.
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Each connection holds one session, and comes back once.
const TICKETS: usize = 1;

/// Says which part of the TLS material is bad.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{field}: no PEM; give the {field} as PEM text")]
    Pem { field: &'static str, source: pem::Error },
    #[error("{field}: holds nothing; give at least one")]
    Empty { field: &'static str },
    #[error("{field}: refused by TLS; check that certificate and key belong together")]
    Refused { field: &'static str, source: rustls::Error },
}

/// Named here instead of installed for the process, so that nothing depends on who came first.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificates(pem: &[u8], field: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let list = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Pem { field, source })?;
    if list.is_empty() { Err(TlsError::Empty { field }) } else { Ok(list) }
}

/// A server of HTTP/2 that shows this certificate chain. Whoever comes back with its ticket costs no signature; what is
/// in the ticket is not kept here.
pub fn server_config(chain_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    serving(ALPN_HTTP2, chain_pem, key_pem)
}

/// The same of HTTP/1.1, for API servers.
pub fn webhook_server_config(chain_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    serving(ALPN_HTTP1, chain_pem, key_pem)
}

fn serving(protocol: &[u8], chain_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(chain_pem, "certificate chain")?;
    let key = PrivateKeyDer::from_pem_slice(key_pem)
        .map_err(|source| TlsError::Pem { field: "private key", source })?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| TlsError::Refused { field: "protocol versions", source })?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|source| TlsError::Refused { field: "private key", source })?;
    config.alpn_protocols = vec![protocol.to_vec()];
    config.ticketer =
        Ticketer::new().map_err(|source| TlsError::Refused { field: "session tickets", source })?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = TICKETS;
    Ok(Arc::new(config))
}

/// A client that believes these authorities and nobody else.
pub fn client_config(ca_pem: &[u8]) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_pem, "CA bundle")? {
        roots.add(certificate).map_err(|source| TlsError::Refused { field: "CA bundle", source })?;
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| TlsError::Refused { field: "protocol versions", source })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    Ok(Arc::new(config))
}

/// [`TLS_NAME`] as rustls wants it.
pub fn server_name() -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(TLS_NAME).map_err(|_| TlsError::Empty { field: "TLS name" })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use rustls::{ClientConnection, Connection, HandshakeKind, ServerConnection};

    use super::*;

    /// A handshake in memory, and how the server saw it.
    fn shake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> HandshakeKind {
        let mut client: Connection =
            ClientConnection::new(client.clone(), server_name().unwrap()).unwrap().into();
        let mut server: Connection = ServerConnection::new(server.clone()).unwrap().into();
        server.writer().write_all(b"x").unwrap();
        let mut read = [0];
        // The ticket comes before the first byte of what the server says.
        while client.reader().read(&mut read).is_err() {
            carry(&mut client, &mut server);
            carry(&mut server, &mut client);
        }
        server.handshake_kind().unwrap()
    }

    fn carry(from: &mut Connection, to: &mut Connection) {
        let mut bytes = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut bytes).unwrap();
        }
        let mut bytes = bytes.as_slice();
        while !bytes.is_empty() {
            to.read_tls(&mut bytes).unwrap();
            to.process_new_packets().unwrap();
        }
    }

    #[test]
    fn whoever_comes_back_costs_no_signature_however_many_came_between() {
        let made = rcgen::generate_simple_self_signed([TLS_NAME.to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let server = server_config(certificate.as_bytes(), key.as_bytes()).unwrap();
        let clients: Vec<_> = (0..300).map(|_| client_config(certificate.as_bytes()).unwrap()).collect();
        for client in &clients {
            assert_eq!(shake(client, &server), HandshakeKind::Full);
        }
        for client in &clients {
            assert_eq!(shake(client, &server), HandshakeKind::Resumed);
        }
        let restarted = server_config(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(shake(&clients[0], &restarted), HandshakeKind::Full, "its tickets are its own");
    }

    #[test]
    fn good_material_is_taken_and_bad_material_is_named() {
        let made = rcgen::generate_simple_self_signed([TLS_NAME.to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        assert!(server_config(certificate.as_bytes(), key.as_bytes()).is_ok());
        assert!(client_config(certificate.as_bytes()).is_ok());
        assert!(server_name().is_ok());

        let other =
            rcgen::generate_simple_self_signed([TLS_NAME.to_owned()]).unwrap().signing_key.serialize_pem();
        assert!(matches!(
            server_config(certificate.as_bytes(), other.as_bytes()),
            Err(TlsError::Refused { field: "private key", .. })
        ));
        assert!(matches!(client_config(b"no pem"), Err(TlsError::Empty { field: "CA bundle" })));
        assert!(matches!(
            server_config(certificate.as_bytes(), b""),
            Err(TlsError::Pem { field: "private key", .. })
        ));
    }
}
