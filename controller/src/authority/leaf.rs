//! What this process shows: a certificate that is good for weeks, and made anew long before it ends.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, SigningKey};
use rollcall_net::TLS_NAME;

use super::pair::{Authority, BACKDATE, dated};

/// Holds a certificate for [`TLS_NAME`] and its key, as PEM.
#[derive(Clone)]
pub struct Leaf {
    pub certificate_pem: String,
    pub key_pem: String,
    pub(super) made: SystemTime,
    pub(super) ends: SystemTime,
}

/// Says what a certificate is to be.
pub(super) struct LeafWish<'a> {
    /// Names beside [`TLS_NAME`], by which others than sidecars call us.
    pub(super) names: &'a [String],
    pub(super) lifetime: Duration,
    pub(super) now: SystemTime,
}

/// Holds the certificate that is shown, and who signed it.
pub(super) struct Held {
    pub(super) leaf: Leaf,
    pub(super) signer: Authority,
}

// === impl LeafWish ===

impl LeafWish<'_> {
    /// It may outlive its authority: an authority that has ended goes on signing until another one is known to everyone, and
    /// sidecars ask of an authority whose key it is, not how old.
    pub(super) fn signed_by<K: SigningKey>(&self, issuer: &Issuer<'_, K>) -> Result<Leaf, rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificate_pem = self.params()?.signed_by(&key, issuer)?.pem();
        let (made, ends) = (self.now, self.now + self.lifetime);
        Ok(Leaf { certificate_pem, key_pem: key.serialize_pem(), made, ends })
    }

    /// What stands in it.
    pub(super) fn params(&self) -> Result<CertificateParams, rcgen::Error> {
        let mut names = vec![TLS_NAME.to_owned()];
        names.extend(self.names.iter().filter(|name| *name != TLS_NAME).cloned());
        let mut params = dated(self.lifetime, self.now, names)?;
        params.distinguished_name.push(DnType::CommonName, TLS_NAME);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }
}

// === impl Held ===

impl Held {
    /// Whether another one is to be made: another authority signs, two thirds of its time are over, or it is of a time that
    /// the clock says is still to come.
    pub(super) fn is_due(&self, signer: &Authority, now: SystemTime) -> bool {
        let Leaf { made, ends, .. } = self.leaf;
        let lifetime = ends.duration_since(made).unwrap_or_default();
        self.signer != *signer || now >= made + lifetime * 2 / 3 || now + BACKDATE < made
    }
}
