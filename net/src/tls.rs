//! TLS between our own processes, and for the API server that calls us: version 1.3, one fixed name, no public
//! authorities.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{self, Ticketer},
    },
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject};
use thiserror::Error;

use crate::provider::of_client;

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

/// Of a server: named here instead of installed for the process, so that nothing depends on who came first.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificates(pem: &[u8], field: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let list = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Pem { field, source })?;
    if list.is_empty() { Err(TlsError::Empty { field }) } else { Ok(list) }
}

/// Holds the certificate that servers show at this moment. Another one is shown to whoever connects from then on:
/// open connections stay, and so do the tickets that were given out.
#[derive(Debug)]
pub struct ShownCertificate(ArcSwap<CertifiedKey>);

// === impl ShownCertificate ===

impl ShownCertificate {
    pub fn new(chain_pem: &[u8], key_pem: &[u8]) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self(ArcSwap::from_pointee(certified(chain_pem, key_pem)?))))
    }

    /// Shows this one from now on; where it is bad, the one before.
    pub fn show(&self, chain_pem: &[u8], key_pem: &[u8]) -> Result<(), TlsError> {
        self.0.store(Arc::new(certified(chain_pem, key_pem)?));
        Ok(())
    }
}

impl ResolvesServerCert for ShownCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified(chain_pem: &[u8], key_pem: &[u8]) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(chain_pem, "certificate chain")?;
    let key = PrivateKeyDer::from_pem_slice(key_pem)
        .map_err(|source| TlsError::Pem { field: "private key", source })?;
    CertifiedKey::from_der(chain, key, &provider())
        .map_err(|source| TlsError::Refused { field: "private key", source })
}

/// A server of HTTP/2 that shows this certificate chain, for ever.
pub fn server_config(chain_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    server_config_showing(ShownCertificate::new(chain_pem, key_pem)?)
}

/// A server of HTTP/2 that shows what stands there. Whoever comes back with its ticket costs no signature; what is in the
/// ticket is not kept here.
pub fn server_config_showing(shown: Arc<ShownCertificate>) -> Result<Arc<ServerConfig>, TlsError> {
    serving(ALPN_HTTP2, shown)
}

/// The same of HTTP/1.1, for API servers.
pub fn webhook_server_config_showing(shown: Arc<ShownCertificate>) -> Result<Arc<ServerConfig>, TlsError> {
    serving(ALPN_HTTP1, shown)
}

fn serving(protocol: &[u8], shown: Arc<ShownCertificate>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| TlsError::Refused { field: "protocol versions", source })?
        .with_no_client_auth()
        .with_cert_resolver(shown);
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
    let mut config = ClientConfig::builder_with_provider(of_client())
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

    /// A self-signed certificate for our name, and its key.
    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed([TLS_NAME.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    /// Says something over a connection that is open.
    fn says(from: &mut Connection, to: &mut Connection, word: &[u8]) {
        from.writer().write_all(word).unwrap();
        carry(from, to);
        let mut read = vec![0; word.len()];
        to.reader().read_exact(&mut read).unwrap();
        assert_eq!(read, word);
    }

    #[test]
    fn another_certificate_is_shown_to_whoever_comes_next_and_nobody_is_cut_off() {
        let ((before, before_key), (after, after_key)) = (made(), made());
        let shown = ShownCertificate::new(before.as_bytes(), before_key.as_bytes()).unwrap();
        let server = server_config_showing(shown.clone()).unwrap();
        let [old, returning, new] =
            [&before, &before, &after].map(|pem| client_config(pem.as_bytes()).unwrap());
        let mut far: Connection = ClientConnection::new(old, server_name().unwrap()).unwrap().into();
        let mut near: Connection = ServerConnection::new(server.clone()).unwrap().into();
        while far.is_handshaking() || near.is_handshaking() {
            carry(&mut far, &mut near);
            carry(&mut near, &mut far);
        }
        assert_eq!(shake(&returning, &server), HandshakeKind::Full);

        // Key and certificate that do not belong together, and no PEM: what is shown stays.
        assert!(shown.show(after.as_bytes(), before_key.as_bytes()).is_err());
        assert!(shown.show(b"no pem", after_key.as_bytes()).is_err());
        assert_eq!(shake(&client_config(before.as_bytes()).unwrap(), &server), HandshakeKind::Full);

        shown.show(after.as_bytes(), after_key.as_bytes()).unwrap();
        assert_eq!(shake(&new, &server), HandshakeKind::Full);
        says(&mut far, &mut near, b"still here");
        says(&mut near, &mut far, b"and we");
        assert_eq!(shake(&returning, &server), HandshakeKind::Resumed, "its ticket is good");
        let stranger = client_config(before.as_bytes()).unwrap();
        let mut far: Connection = ClientConnection::new(stranger, server_name().unwrap()).unwrap().into();
        let mut near: Connection = ServerConnection::new(server).unwrap().into();
        carry(&mut far, &mut near);
        let mut bytes = Vec::new();
        near.write_tls(&mut bytes).unwrap();
        far.read_tls(&mut bytes.as_slice()).unwrap();
        assert!(far.process_new_packets().is_err(), "it is no trap");
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
