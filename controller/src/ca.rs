//! The authority that signs the controller's certificate: kept in a Secret, so that sidecars go on believing the
//! controller over restarts, and every replica shows a certificate of the same authority.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Client,
    api::{ObjectMeta, PostParams},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rollcall_net::TLS_NAME;
use thiserror::Error;
use tracing::info;

use crate::{
    operate::{WriteCounts, WriteKind},
    own_objects::OwnObjects,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// As long as anyone keeps a cluster; distributing a new authority is work for later.
const AUTHORITY_FOR: Duration = Duration::from_secs(3_650 * 24 * 60 * 60);
/// Until leaves are renewed while running, a process must not outlive its own.
const LEAF_FOR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Clocks of nodes differ; a certificate must not be from the future anywhere.
const BACKDATE: Duration = DAY;
/// The type's own names for its two entries.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Holds an authority: its certificate is for everyone, its key for nobody.
pub struct Authority {
    pub certificate_pem: String,
    key_pem: String,
}

/// Holds a certificate for [`TLS_NAME`] and its key, as PEM.
pub struct Leaf {
    pub certificate_pem: String,
    pub key_pem: String,
}

/// Says why there is no authority.
#[derive(Debug, Error)]
pub enum CaError {
    #[error("certificate: cannot be made or read; delete the Secret {0} to have a new one made")]
    Certificate(String, #[source] rcgen::Error),
    #[error("secret {0}: has no {1}; delete it to have a new one made")]
    Incomplete(String, &'static str),
    #[error(
        "secret {0}: its key is not of ECDSA P-256, and sidecars believe no other; put a key and certificate of that kind there, or delete it to have new ones made"
    )]
    Kind(String),
    #[error("secret {0}: cannot be read or created; check the controller's Role")]
    Api(String, #[source] Box<kube::Error>),
}

// === impl Authority ===

impl Authority {
    /// A new authority; `place` is where it will be kept, for errors.
    pub fn generate(place: &str) -> Result<Self, CaError> {
        let make = || {
            let key = KeyPair::generate()?;
            let mut params = dated(AUTHORITY_FOR, Vec::new())?;
            params.distinguished_name.push(DnType::CommonName, "rollcall");
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let certificate = params.self_signed(&key)?;
            Ok(Self { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
        };
        make().map_err(|error| CaError::Certificate(place.to_owned(), error))
    }

    /// The authority in this Secret, made first where there is none. Replicas that start together agree: whoever
    /// comes second reads what the first one created.
    pub async fn load_or_create(
        client: Client,
        namespace: &str,
        name: &str,
        writes: &WriteCounts,
    ) -> Result<Self, CaError> {
        let api = OwnObjects::<Secret>::new(client, namespace);
        let failed = |error| CaError::Api(format!("{namespace}/{name}"), Box::new(error));
        match api.get(name).await {
            Ok(secret) => return Self::read(&secret, name),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(failed(error)),
        }
        let made = Self::generate(name)?;
        writes.count(WriteKind::Secret);
        match api.create(&PostParams::default(), &made.secret(name)).await {
            Ok(_) => {
                info!(secret = name, "a new authority is made");
                Ok(made)
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                Self::read(&api.get(name).await.map_err(failed)?, name)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A new certificate for this process.
    pub fn leaf(&self, place: &str) -> Result<Leaf, CaError> {
        self.leaf_also_for(place, &[])
    }

    /// The same for some names more, by which others than sidecars call us.
    pub fn leaf_also_for(&self, place: &str, names: &[String]) -> Result<Leaf, CaError> {
        let make = || {
            let issuer = Issuer::from_ca_cert_pem(&self.certificate_pem, KeyPair::from_pem(&self.key_pem)?)?;
            let key = KeyPair::generate()?;
            let mut all = vec![TLS_NAME.to_owned()];
            all.extend(names.iter().filter(|name| *name != TLS_NAME).cloned());
            let mut params = dated(LEAF_FOR, all)?;
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.use_authority_key_identifier_extension = true;
            let certificate = params.signed_by(&key, &issuer)?;
            Ok(Leaf { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
        };
        make().map_err(|error| CaError::Certificate(place.to_owned(), error))
    }

    /// The authority in this Secret, if it is of the kind that sidecars believe.
    pub(crate) fn read(secret: &Secret, name: &str) -> Result<Self, CaError> {
        let entry = |key: &'static str| {
            let bytes =
                secret.data.iter().flatten().find(|(held, _)| *held == key).map(|(_, value)| &value.0);
            let text = bytes.and_then(|bytes| String::from_utf8(bytes.clone()).ok());
            text.ok_or_else(|| CaError::Incomplete(name.to_owned(), key))
        };
        let read = Self { certificate_pem: entry(CERTIFICATE)?, key_pem: entry(KEY)? };
        let key =
            KeyPair::from_pem(&read.key_pem).map_err(|error| CaError::Certificate(name.to_owned(), error))?;
        match key.is_compatible(&PKCS_ECDSA_P256_SHA256) {
            true => Ok(read),
            false => Err(CaError::Kind(name.to_owned())),
        }
    }

    pub(crate) fn secret(&self, name: &str) -> Secret {
        let entry = |key: &str, text: &str| (key.to_owned(), ByteString(text.as_bytes().to_vec()));
        Secret {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(BTreeMap::from([
                entry(CERTIFICATE, &self.certificate_pem),
                entry(KEY, &self.key_pem),
            ])),
            ..Secret::default()
        }
    }
}

fn dated(valid_for: Duration, names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    let now = SystemTime::now();
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + valid_for).into();
    Ok(params)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use rollcall_net::{client_config, server_config};
    use serde_json::json;

    use super::*;
    use crate::scripted_api::{Reply, problem, scripted};

    #[test]
    fn an_authority_survives_its_secret_and_signs_for_our_name() {
        let made = Authority::generate("rollcall-ca").unwrap();
        let read = Authority::read(&made.secret("rollcall-ca"), "rollcall-ca").unwrap();
        assert_eq!(read.certificate_pem, made.certificate_pem);
        let leaf = read.leaf("rollcall-ca").unwrap();
        assert!(server_config(leaf.certificate_pem.as_bytes(), leaf.key_pem.as_bytes()).is_ok());
        assert!(client_config(read.certificate_pem.as_bytes()).is_ok());
    }

    #[tokio::test]
    async fn the_authority_that_there_is_is_taken_whoever_claims_its_fields() {
        let made = Authority::generate("rollcall-ca").unwrap();
        let mut kept = serde_json::to_value(made.secret("rollcall-ca")).unwrap();
        kept["metadata"]["managedFields"] = json!([{"manager": "prankster", "time": "9999-12-31T23:59:59Z"}]);
        // There from the beginning, or created by another replica between our look and our own try.
        for late in [false, true] {
            let (secret, looks) = (kept.clone(), std::sync::atomic::AtomicUsize::new(0));
            let there_already = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 409,
                "message": "it exists", "reason": "AlreadyExists"});
            let (client, log) = scripted(move |asked| match asked.method {
                Method::GET if late && looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => {
                    problem(404)
                }
                Method::GET => Reply::Json(200, secret.clone()),
                _ => Reply::Json(409, there_already.clone()),
            });
            let writes = WriteCounts::default();
            let read = Authority::load_or_create(client, "rollcall-system", "rollcall-ca", &writes);
            assert_eq!(read.await.unwrap().certificate_pem, made.certificate_pem);
            assert_eq!(log.all()[0].path, "/api/v1/namespaces/rollcall-system/secrets/rollcall-ca");
            assert_eq!(writes.of(WriteKind::Secret), u64::from(late));
        }
    }

    #[test]
    fn an_authority_that_no_sidecar_believes_is_refused_with_the_remedy() {
        for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let mut params = dated(AUTHORITY_FOR, Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            let certificate_pem = params.self_signed(&key).unwrap().pem();
            let secret = Authority { certificate_pem, key_pem: key.serialize_pem() }.secret("rollcall-ca");
            let error = Authority::read(&secret, "rollcall-ca").err().unwrap();
            assert!(matches!(error, CaError::Kind(_)), "{error}");
            let text = error.to_string();
            assert!(["rollcall-ca", "P-256", "delete"].iter().all(|part| text.contains(part)), "{text}");
        }
    }

    #[test]
    fn a_broken_secret_is_named_with_the_remedy() {
        let mut secret = Authority::generate("x").unwrap().secret("x");
        secret.data.as_mut().unwrap().remove(KEY);
        let error = Authority::read(&secret, "rollcall-ca").err().unwrap().to_string();
        assert!(error.contains("rollcall-ca") && error.contains(KEY) && error.contains("delete"), "{error}");
    }
}
