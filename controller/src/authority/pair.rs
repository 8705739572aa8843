//! An authority: a certificate that everyone may have, and its key.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rollcall_net::Proof;
use rollcall_wire::limits::CA_BYTES_MAX;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use thiserror::Error;
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

use super::{
    leaf::{Leaf, LeafWish},
    terms::Terms,
};

/// Clocks of nodes differ; a certificate must not be from the future anywhere.
pub(super) const BACKDATE: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of an authority's certificate as PEM: two are told together while one replaces another.
const CERTIFICATE_BYTES_MAX: usize = CA_BYTES_MAX / 2;
/// The time of the certificate by which an authority is tried. Any would do: nobody asks an authority how old it is.
const TRIED_AT: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// Bytes of base64 in a line of PEM.
const LINE: usize = 64;

/// Holds an authority: its certificate is for everyone, its key for nobody. Two are the same where their certificates are.
#[derive(Clone)]
pub struct Authority {
    /// This certificate alone, written as we write it, whatever stood around it.
    pub certificate_pem: String,
    pub(super) key_pem: String,
    pub(super) begins: SystemTime,
    pub(super) ends: SystemTime,
}

/// Says why there is no authority.
#[derive(Debug, Error)]
pub enum CaError {
    #[error("{0}: cannot be made or read; give a certificate and its key as PEM")]
    Certificate(String, #[source] rcgen::Error),
    #[error("{0}: has no {1}; give a certificate as tls.crt and its key as tls.key")]
    Incomplete(String, &'static str),
    #[error("{0}: {1} is no certificate as PEM; give one")]
    NoCertificate(String, &'static str),
    #[error("{0}: {1} is the certificate of no authority; give one with `CA:TRUE` that may sign others")]
    NoAuthority(String, &'static str),
    #[error(
        "{0}: its key is not of ECDSA P-256, and sidecars believe no other; give a key and a certificate of that kind"
    )]
    Kind(String),
    #[error("{0}: its key and its certificate do not belong together; give the two that do")]
    Apart(String),
    #[error(
        "{0}: nobody believes what {1} signs, for the names that it allows, an extension, or its subject; give one without name constraints and with a plain subject, as /CN=rollcall"
    )]
    Unbelievable(String, &'static str),
    #[error(
        "{0}: {1} is longer than {CERTIFICATE_BYTES_MAX} bytes, and sidecars take no more; give a shorter certificate"
    )]
    Large(String, &'static str),
    #[error("{0}: {1} has ended; give a certificate that is good")]
    Ended(String, &'static str),
    #[error("{0}: the annotation {1} is no time that makes sense; remove it")]
    Date(String, &'static str),
}

// === impl Authority ===

impl Authority {
    /// A new one for as long as we make them; `place` is where it will be kept, for errors.
    pub fn generate(place: &str) -> Result<Self, CaError> {
        Self::made(place, Terms::default().authority, SystemTime::now())
    }

    /// A new one that is good for so long from now on.
    pub(super) fn made(place: &str, valid_for: Duration, now: SystemTime) -> Result<Self, CaError> {
        let make = || {
            let key = KeyPair::generate()?;
            let mut params = dated(valid_for, now, Vec::new())?;
            params.distinguished_name.push(DnType::CommonName, "rollcall");
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
        };
        let (certificate, key) = make().map_err(|error| CaError::Certificate(place.to_owned(), error))?;
        Self::read(&certificate, &key, place, "tls.crt")
    }

    /// These two, if they are an authority of the kind that sidecars believe. Of a chain the first certificate counts.
    pub(super) fn read(
        certificate_pem: &str,
        key_pem: &str,
        place: &str,
        entry: &'static str,
    ) -> Result<Self, CaError> {
        let none = || CaError::NoCertificate(place.to_owned(), entry);
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|_| none())?;
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| none())?;
        if !certificate.is_ca() || signs_nothing(&certificate) {
            return Err(CaError::NoAuthority(place.to_owned(), entry));
        }
        let key =
            KeyPair::from_pem(key_pem).map_err(|error| CaError::Certificate(place.to_owned(), error))?;
        if !key.is_compatible(&PKCS_ECDSA_P256_SHA256) {
            return Err(CaError::Kind(place.to_owned()));
        }
        if key.subject_public_key_info() != certificate.public_key().raw {
            return Err(CaError::Apart(place.to_owned()));
        }
        let certificate_pem = pem(&der);
        if certificate_pem.len() > CERTIFICATE_BYTES_MAX {
            return Err(CaError::Large(place.to_owned(), entry));
        }
        if !is_believed(&der, &key) {
            return Err(CaError::Unbelievable(place.to_owned(), entry));
        }
        let validity = certificate.validity();
        Ok(Self {
            begins: moment(validity.not_before),
            ends: moment(validity.not_after),
            certificate_pem,
            key_pem: key_pem.to_owned(),
        })
    }

    /// A new certificate for a process, for sidecars alone.
    pub fn leaf(&self, place: &str) -> Result<Leaf, CaError> {
        self.leaf_also_for(place, &[])
    }

    /// The same for some names more, by which others than sidecars call us.
    pub fn leaf_also_for(&self, place: &str, names: &[String]) -> Result<Leaf, CaError> {
        let lifetime = Terms::default().leaf;
        self.leaf_for(place, &LeafWish { names, lifetime, now: SystemTime::now() })
    }

    /// A certificate as it is wished for.
    pub(super) fn leaf_for(&self, place: &str, wish: &LeafWish<'_>) -> Result<Leaf, CaError> {
        let make = || {
            let key = KeyPair::from_pem(&self.key_pem)?;
            wish.signed_by(&Issuer::from_ca_cert_pem(&self.certificate_pem, key)?)
        };
        make().map_err(|error| CaError::Certificate(place.to_owned(), error))
    }

    /// It is of this time, by a clock that may differ from its maker's as much as we allow for.
    pub(super) fn is_of(&self, now: SystemTime) -> bool {
        now < self.ends && self.begins <= now + 2 * BACKDATE
    }

    /// How long it is still good.
    pub(super) fn left(&self, now: SystemTime) -> Duration {
        self.ends.duration_since(now).unwrap_or_default()
    }
}

impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        self.certificate_pem == other.certificate_pem
    }
}

impl Eq for Authority {}

/// Never its key.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authority").field(&self.certificate_pem).finish()
    }
}

/// It says what its key is for, and that is not signing; or what those are for that it signs, and they are no servers, which
/// API servers look at.
fn signs_nothing(certificate: &X509Certificate<'_>) -> bool {
    let usage = certificate.key_usage().ok().flatten();
    let extended = certificate.extended_key_usage().ok().flatten();
    usage.is_some_and(|usage| !usage.value.key_cert_sign())
        || extended.is_some_and(|extended| !extended.value.any && !extended.value.server_auth)
}

/// Whether whoever believes this authority would believe what it signs, tried as sidecars do it: what they refuse of it is
/// theirs to say, and must be heard before it signs for all of them.
fn is_believed(der: &CertificateDer<'_>, key: &KeyPair) -> bool {
    let at = SystemTime::UNIX_EPOCH + TRIED_AT;
    let wish = LeafWish { names: &[], lifetime: BACKDATE, now: at };
    let made = || wish.params()?.signed_by(key, &Issuer::from_ca_cert_der(der, key)?);
    // Its own key is as good as another one, and need not be made.
    made().is_ok_and(|made| Proof::of_certificate(made.der().clone(), at).convinces([&**der]))
}

/// A certificate's time; those before 1970 are all the same to us.
fn moment(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn pem(der: &CertificateDer<'_>) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, further) = rest.split_at(rest.len().min(LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = further;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

pub(super) fn dated(
    valid_for: Duration,
    now: SystemTime,
    names: Vec<String>,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + valid_for).into();
    Ok(params)
}
