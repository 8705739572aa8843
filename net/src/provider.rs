//! The cryptography of a sidecar's sessions, and no more of it: both ends are ours, so one way of each kind is enough. What a
//! library has for all the servers of the world would be half a megabyte in every pod.

use std::sync::Arc;

use rustix::rand::{GetRandomFlags, getrandom};
use rustls::{
    Error, SignatureScheme,
    crypto::{
        CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
        aws_lc_rs::{cipher_suite::TLS13_AES_128_GCM_SHA256, kx_group::X25519},
    },
    sign::SigningKey,
};
use rustls_pki_types::PrivateKeyDer;
use webpki::aws_lc_rs::ECDSA_P256_SHA256;

/// What the authority signs with, and the controller too.
static SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[ECDSA_P256_SHA256],
    mapping: &[(SignatureScheme::ECDSA_NISTP256_SHA256, &[ECDSA_P256_SHA256])],
};

/// Random bytes from the kernel.
#[derive(Debug)]
struct Kernel;

/// A client that shows no certificate needs no key.
#[derive(Debug)]
struct NoKeys;

/// Of whoever calls the controller.
pub(crate) fn of_client() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![X25519],
        signature_verification_algorithms: SIGNATURES,
        secure_random: &Kernel,
        key_provider: &NoKeys,
    })
}

// === impl Kernel ===

impl SecureRandom for Kernel {
    fn fill(&self, mut buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        while !buffer.is_empty() {
            // So few bytes come at once, unless a signal was faster.
            let filled = match getrandom(&mut *buffer, GetRandomFlags::empty()) {
                Ok(filled) => filled,
                Err(rustix::io::Errno::INTR) => 0,
                Err(_) => return Err(GetRandomFailed),
            };
            buffer = buffer.get_mut(filled..).ok_or(GetRandomFailed)?;
        }
        Ok(())
    }
}

// === impl NoKeys ===

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("a sidecar shows no certificate".to_owned()))
    }
}
