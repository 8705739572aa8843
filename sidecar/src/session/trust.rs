//! Whom we believe to be the controller: who shows a certificate of an authority that the pod was given, or that a controller
//! told us of in a session.
//!
//! ```text
//!  given (flag, file) ─────────────────────┐ until something was told
//!                                          ├─► TLS settings ─► session ─┐
//!  disk ─► told before ─► [ Authorities ] ─┘                            │ a bundle that this very session is good by
//!                              ▲                                        │
//!                              └────────────────────────────────────────┘
//! ```

use std::{io, str, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use rollcall_net::{Proof, TlsError, client_config};
use rollcall_wire::limits::CA_BYTES_MAX;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, Error,
    pki_types::{CertificateDer, pem::PemObject},
};
use tracing::{info, warn};

use super::{
    LinkError,
    authorities::{AUTHORITIES_MAX, Authorities, GivenDigest, fingerprint},
};

/// Characters of a line of PEM.
const PEM_LINE: usize = 64;

/// Holds whom we believe, and the TLS settings of it. As long as it stays the same, so do they, and with them the tickets that
/// the controller gave: to come back costs neither end a signature.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    /// With the flags, in PEM; none where it is in a file, which is read at each connect.
    given: Option<Vec<u8>>,
    /// From the first word of a controller on.
    told: Option<Authorities>,
    held: Option<Held>,
}

/// Holds the settings that were used last.
#[derive(Debug)]
struct Held {
    /// The SHA-256 of the text in which the certificates stood.
    text: GivenDigest,
    certificates: Vec<Vec<u8>>,
    /// None where the tickets in it are not to be used any more.
    config: Option<Arc<ClientConfig>>,
}

/// Says why what a controller tells is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Unfit {
    #[error("more than {CA_BYTES_MAX} bytes, or {AUTHORITIES_MAX} certificates")]
    TooLarge,
    #[error("no certificate of an authority, or something else among them")]
    Unreadable,
    /// The authority that signs is always told of, and while another one replaces it, both are. Who tells of neither the one that
    /// the session is good by nor one that it told of before is wrong; the next session begins with a new handshake.
    #[error("neither of the authority that this session is good by nor of one that was told before")]
    Stranger,
}

/// Holds what is to be known of it after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Learned {
    /// The SHA-256 of what was given meanwhile.
    pub(crate) given: GivenDigest,
    pub(crate) ca_pem: String,
}

/// What to do about a TLS handshake that failed.
pub(super) fn remedy(error: &io::Error) -> &'static str {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(reason)) = tls else {
        return "no TLS session; check that ROLLCALL_CONTROLLER is the controller's port for sessions";
    };
    match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is not of our authority; a pod made before the authority was replaced, and in no session since, must be \
             made anew"
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

/// All certificates of a text, in DER, each once; none where there is something that is none.
fn certificates(pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.ok()?;
        if !all.iter().any(|held| *held == *certificate) {
            all.push(certificate.to_vec());
        }
    }
    (!all.is_empty()).then_some(all)
}

fn pem_of<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut pem = String::new();
    for certificate in certificates {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(certificate).as_bytes().chunks(PEM_LINE) {
            pem.push_str(str::from_utf8(line).unwrap_or_default());
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

fn digest(given: &[u8]) -> GivenDigest {
    Sha256::digest(given).into()
}

// === impl Trust ===

impl Trust {
    /// In the authority of this text; in that of the file where the text says nothing.
    pub(crate) fn new(ca_pem: &str) -> Result<Self, TlsError> {
        let mut trust = Self::default();
        if !ca_pem.trim().is_empty() {
            let given = ca_pem.trim().as_bytes().to_vec();
            trust.settings(&given)?;
            trust.given = Some(given);
        }
        Ok(trust)
    }

    /// Takes over what the process before this one was told.
    pub(crate) fn restore(&mut self, learned: &Learned) {
        let pem = learned.ca_pem.as_bytes();
        match certificates(pem).filter(|_| client_config(pem).is_ok()) {
            Some(certificates) => {
                let told = Authorities::new(&certificates, learned.given);
                info!(believed = ?shown(&told), "what a controller told before counts, and not what the pod was given");
                self.told = Some(told);
            }
            None => warn!(
                "the authorities that were kept cannot be read; only those that the pod was given are believed"
            ),
        }
    }

    /// What is to be kept; none before something was told.
    pub(crate) fn learned(&self) -> Option<Learned> {
        let told = self.told.as_ref()?;
        Some(Learned { given: told.given(), ca_pem: pem_of(told.certificates()) })
    }

    /// The fingerprints of all that were believed last; none before anything was.
    pub(crate) fn believed(&self) -> Vec<String> {
        match (&self.told, &self.held) {
            (Some(told), _) => shown(told),
            (None, Some(held)) => held.certificates.iter().map(|one| fingerprint(one)).collect(),
            (None, None) => Vec::new(),
        }
    }

    /// The settings that believe them; the file is read where it is to be found there.
    pub(super) fn config(
        &mut self,
        file: impl FnOnce() -> Result<Vec<u8>, LinkError>,
        now_ms: u64,
    ) -> Result<Arc<ClientConfig>, LinkError> {
        let given = match &self.given {
            Some(given) => Ok(given.clone()),
            None => file(),
        };
        let Some(told) = &mut self.told else { return Ok(self.settings(&given?)?) };
        // What was told is enough: who has mounted nothing, or nothing that can be read, has said nothing.
        let given = given.ok().filter(|given| digest(given) != told.given());
        if let Some(given) = given
            && let Some(certificates) = certificates(&given).filter(|_| client_config(&given).is_ok())
            && told.give(&certificates, digest(&given), now_ms)
        {
            info!(believed = ?shown(told), "the pod was given another authority, which counts beside what was told");
        }
        let pem = pem_of(told.certificates());
        Ok(self.settings(pem.as_bytes())?)
    }

    /// A controller tells these, in a session that this has opened; whether others are believed from now on.
    pub(crate) fn hear(&mut self, ca_pem: &str, proof: &Proof, now_ms: u64) -> Result<bool, Unfit> {
        if ca_pem.len() > CA_BYTES_MAX {
            return Err(Unfit::TooLarge);
        }
        let new = certificates(ca_pem.as_bytes()).ok_or(Unfit::Unreadable)?;
        if new.len() > AUTHORITIES_MAX {
            return Err(Unfit::TooLarge);
        }
        client_config(ca_pem.as_bytes()).map_err(|_| Unfit::Unreadable)?;
        if !proof.convinces(new.iter().map(Vec::as_slice)) {
            // A ticket would open the next session by the same old proof.
            self.held.iter_mut().for_each(|held| held.config = None);
            // A session may outlive the authority that it is good by, and the one after that must be heard of in it.
            if !self.told.as_ref().is_some_and(|told| told.tells_of(&new)) {
                return Err(Unfit::Stranger);
            }
        }
        let begin = || match &self.held {
            Some(held) => Authorities::new(&held.certificates, held.text),
            None => Authorities::new(&[], GivenDigest::default()),
        };
        let told = self.told.get_or_insert_with(begin);
        let changed = told.tell(&new, now_ms);
        if changed {
            info!(believed = ?shown(told), "the controller tells whom to believe");
        }
        Ok(changed)
    }

    /// Those that nobody has told of for long are believed no more, where this session is good without them; whether there were
    /// any.
    pub(crate) fn forget_untold(&mut self, proof: &Proof, now_ms: u64) -> bool {
        let Some(told) = &mut self.told else { return false };
        let Some(fewer) = told.without_untold(now_ms).filter(|fewer| proof.convinces(fewer.certificates()))
        else {
            return false;
        };
        info!(believed = ?shown(&fewer), "an authority that no controller tells of any more is not believed");
        *told = fewer;
        true
    }

    /// Made anew where they are of others than before.
    fn settings(&mut self, pem: &[u8]) -> Result<Arc<ClientConfig>, TlsError> {
        let certificates = certificates(pem).unwrap_or_default();
        if let Some(held) = &mut self.held
            && held.certificates == certificates
            && let Some(config) = held.config.clone()
        {
            held.text = digest(pem);
            return Ok(config);
        }
        let config = client_config(pem)?;
        self.held = Some(Held { text: digest(pem), certificates, config: Some(config.clone()) });
        Ok(config)
    }
}

fn shown(told: &Authorities) -> Vec<String> {
    told.certificates().map(fingerprint).collect()
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
