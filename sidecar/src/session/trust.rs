//! Whom we believe to be the controller: who shows a certificate of the authority that the pod was given.

use std::{io, sync::Arc};

use rollcall_net::{TlsError, client_config};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error};

use super::LinkError;

/// Holds the TLS settings of the authority. As long as it stays the same, so do they, and with them the tickets that the
/// controller gave: to come back costs neither end a signature.
#[derive(Debug)]
pub(crate) enum Trust {
    /// It was given with the flags, and is this one as long as the process lives.
    Given(Arc<ClientConfig>),
    /// It is in a file; here with what was read there last.
    File(Option<(Vec<u8>, Arc<ClientConfig>)>),
}

/// What to do about a TLS handshake that failed.
pub(super) fn remedy(error: &io::Error) -> &'static str {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(reason)) = tls else {
        return "no TLS session; check that ROLLCALL_CONTROLLER is the controller's port for sessions";
    };
    match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is not of our authority; a pod made before the authority was replaced must be made anew"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is another server's; check ROLLCALL_CONTROLLER"
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid now; restart the controller, or set the clock of this node"
        }
        _ => "its certificate cannot be used; restart the controller, which makes a new one",
    }
}

// === impl Trust ===

impl Trust {
    /// In the authority of this text; in that of the file where the text says nothing.
    pub(crate) fn new(ca_pem: &str) -> Result<Self, TlsError> {
        match ca_pem.trim() {
            "" => Ok(Self::default()),
            ca_pem => client_config(ca_pem.as_bytes()).map(Self::Given),
        }
    }

    /// The settings that believe the authority; the file is read where it is to be found there.
    pub(super) fn config(
        &mut self,
        file: impl FnOnce() -> Result<Vec<u8>, LinkError>,
    ) -> Result<Arc<ClientConfig>, LinkError> {
        let held = match self {
            Self::Given(config) => return Ok(config.clone()),
            Self::File(held) => held,
        };
        let ca_pem = file()?;
        if let Some((same, config)) = held
            && *same == ca_pem
        {
            return Ok(config.clone());
        }
        let config = client_config(&ca_pem)?;
        *held = Some((ca_pem, config.clone()));
        Ok(config)
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self::File(None)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rollcall_net::{TLS_NAME, server_config, server_name};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        task::JoinHandle,
    };
    use tokio_rustls::{
        TlsAcceptor, TlsConnector,
        rustls::{HandshakeKind, ServerConfig},
    };

    use super::*;

    /// A certificate that is its own authority, and a server that shows it.
    fn made(name: &str, last_year: i32) -> (Vec<u8>, Arc<ServerConfig>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(last_year, 1, 1));
        let pem = params.self_signed(&key).unwrap().pem().into_bytes();
        let config = server_config(&pem, key.serialize_pem().as_bytes()).unwrap();
        (pem, config)
    }

    /// Shakes hands so often, and tells how; each peer gets one byte.
    async fn serve(
        config: Arc<ServerConfig>,
        times: usize,
    ) -> (std::net::SocketAddr, JoinHandle<Vec<Option<HandshakeKind>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut kinds = Vec::new();
            for _ in 0..times {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = TlsAcceptor::from(config.clone()).accept(stream).await else {
                    kinds.push(None);
                    continue;
                };
                stream.write_all(b"x").await.unwrap();
                kinds.push(stream.get_ref().1.handshake_kind());
            }
            kinds
        });
        (address, server)
    }

    async fn shake(trust: &mut Trust, ca_pem: &[u8], address: std::net::SocketAddr) -> io::Result<()> {
        let connector = TlsConnector::from(trust.config(|| Ok(ca_pem.to_vec())).unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = connector.connect(server_name().unwrap(), stream).await?;
        // The tickets come before the first byte.
        stream.read_exact(&mut [0]).await.map(drop)
    }

    #[tokio::test]
    async fn who_comes_back_under_the_same_authority_needs_no_new_signature() {
        let (ca_pem, config) = made(TLS_NAME, 2900);
        let (address, server) = serve(config, 3).await;
        let mut trust = Trust::default();
        let other = made(TLS_NAME, 2900).0;
        shake(&mut trust, &ca_pem, address).await.unwrap();
        shake(&mut trust, &ca_pem, address).await.unwrap();
        trust.config(|| Ok(other)).unwrap();
        // What was believed by another authority is not believed by this one.
        shake(&mut trust, &ca_pem, address).await.unwrap();
        let [full, resumed] = [HandshakeKind::Full, HandshakeKind::Resumed].map(Some);
        assert_eq!(server.await.unwrap(), [full, resumed, full]);
    }

    #[tokio::test]
    async fn an_authority_that_is_given_wins_and_an_empty_one_says_nothing() {
        let (ca_pem, config) = made(TLS_NAME, 2900);
        let (address, server) = serve(config, 3).await;
        let mut given = Trust::new(&String::from_utf8(ca_pem.clone()).unwrap()).unwrap();
        let other = made(TLS_NAME, 2900).0;
        shake(&mut given, &other, address).await.unwrap();
        for nothing in ["", " \n"] {
            shake(&mut Trust::new(nothing).unwrap(), &other, address).await.unwrap_err();
        }
        assert_eq!(server.await.unwrap(), [Some(HandshakeKind::Full), None, None]);
        for bad in [
            "no PEM",
            "-----BEGIN CERTIFICATE-----\nAA",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        ] {
            assert!(Trust::new(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn who_is_not_the_controller_is_refused_with_a_remedy() {
        let (ours, _) = made(TLS_NAME, 2900);
        let [another, elsewhere, expired] =
            [(TLS_NAME, 2900), ("web.shop.svc", 2900), (TLS_NAME, 2001)].map(|(name, year)| made(name, year));
        let table = [
            (&ours, another.1, "authority was replaced"),
            (&elsewhere.0, elsewhere.1, "another server's"),
            (&expired.0, expired.1, "not valid now"),
        ];
        for (ca_pem, config, remedy_says) in table {
            let (address, server) = serve(config, 1).await;
            let error = shake(&mut Trust::default(), ca_pem, address).await.unwrap_err();
            assert!(remedy(&error).contains(remedy_says), "{error}: {}", remedy(&error));
            assert_eq!(server.await.unwrap(), [None], "no session");
        }
        let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = plain.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = plain.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            stream
        });
        let error = shake(&mut Trust::default(), &ours, address).await.unwrap_err();
        assert!(remedy(&error).contains("port for sessions"), "{error}");
        drop(server);
    }
}
