//! The certificates, keys and kubeconfigs of one cluster.

use crate::Error;
use crate::layout::{Layout, Role};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SigningKey,
};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The authority of a cluster. Its key is used while the cluster is made and kept for the controller manager's signer.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    api_url: String,
}

/// Who a client certificate speaks for.
pub(crate) struct Identity<'a> {
    pub user: &'a str,
    pub group: &'a str,
}

impl Authority {
    pub(crate) fn create(layout: &Layout) -> Result<Self, Error> {
        let folder = layout.pki();
        for folder in [&folder, &layout.folder().join("kubeconfigs")] {
            fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
        }
        let subject = format!("{}-ca", layout.name);
        let in_ca = |source| Error::Certificate { subject: subject.clone(), source };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, subject.clone());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let key = new_key().map_err(in_ca)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(in_ca)?;
        let authority = Self { folder, api_url: layout.api_url(), issuer };
        authority.save("ca.crt", &authority.issuer.pem())?;
        authority.save("ca.key", &authority.issuer.key().serialize_pem())?;
        Ok(authority)
    }

    /// Makes `NAME.crt` and `NAME.key` for a server, a client or both.
    pub(crate) fn issue(
        &self,
        name: &str,
        identity: &Identity<'_>,
        server_names: &[String],
    ) -> Result<(), Error> {
        let (certificate, key) = self.sign(identity, server_names)?;
        self.save(&format!("{name}.crt"), &certificate)?;
        self.save(&format!("{name}.key"), &key)
    }

    /// Makes the key pair that signs service accounts' tokens.
    pub(crate) fn issue_service_account_key(&self) -> Result<(), Error> {
        let key =
            new_key().map_err(|source| Error::Certificate { subject: "service accounts".into(), source })?;
        self.save("service-accounts.pub", &key.public_key_pem())?;
        self.save("service-accounts.key", &key.serialize_pem())
    }

    /// Makes a kubeconfig that needs no other file.
    pub(crate) fn kubeconfig(
        &self,
        layout: &Layout,
        file: &str,
        identity: &Identity<'_>,
    ) -> Result<(), Error> {
        let (certificate, key) = self.sign(identity, &[])?;
        let name = layout.name.to_string();
        // JSON is YAML too.
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {
                "server": self.api_url, "certificate-authority-data": BASE64.encode(self.issuer.pem()),
            }}],
            "users": [{"name": identity.user, "user": {
                "client-certificate-data": BASE64.encode(certificate), "client-key-data": BASE64.encode(key),
            }}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": identity.user}}],
            "current-context": name,
        });
        save_private(&layout.kubeconfig_of(file), &format!("{config:#}\n"))
    }

    fn sign(&self, identity: &Identity<'_>, server_names: &[String]) -> Result<(String, String), Error> {
        let failed = |source| Error::Certificate { subject: identity.user.to_owned(), source };
        let mut params = CertificateParams::new(server_names.to_vec()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, identity.user);
        params.distinguished_name.push(DnType::OrganizationName, identity.group);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = new_key().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn save(&self, name: &str, pem: &str) -> Result<(), Error> {
        save_private(&self.folder.join(name), pem)
    }
}

/// Everything that a whole cluster needs.
pub(crate) fn create_all(layout: &Layout, nodes: u8) -> Result<(), Error> {
    const MASTERS: &str = "system:masters";
    let authority = Authority::create(layout)?;
    let mut api_names: Vec<String> =
        ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", "127.0.0.1"]
            .map(str::to_owned)
            .to_vec();
    api_names.extend([layout.api_service_address(), layout.address(Role::ControlPlane)]);
    authority.issue("apiserver", &Identity { user: "kube-apiserver", group: "kubernetes" }, &api_names)?;
    authority.issue("apiserver-to-kubelet", &Identity { user: "kube-apiserver", group: MASTERS }, &[])?;
    authority.issue_service_account_key()?;
    for (file, user, group) in [
        ("admin", "kubernetes-admin", MASTERS),
        ("controller-manager", "system:kube-controller-manager", "kubernetes"),
        ("scheduler", "system:kube-scheduler", "kubernetes"),
        ("proxy", "system:kube-proxy", "kubernetes"),
    ] {
        authority.kubeconfig(layout, file, &Identity { user, group })?;
    }
    for node in (1..=nodes).map(Role::Node) {
        let identity = Identity { user: &format!("system:node:{node}"), group: "system:nodes" };
        authority.issue(&format!("kubelet-{node}"), &identity, &[node.to_string(), layout.address(node)])?;
        authority.kubeconfig(layout, &format!("kubelet-{node}"), &identity)?;
    }
    Ok(())
}

/// A service account's token with these claims, signed as the API server signs its own.
pub(crate) fn sign_token(layout: &Layout, claims: &serde_json::Value) -> Result<String, Error> {
    let file = layout.pki().join("service-accounts.key");
    let failed = |source| Error::Certificate { subject: "service accounts".into(), source };
    let pem = fs::read_to_string(&file).map_err(Error::file("read", &file))?;
    let key = KeyPair::from_pem(&pem).map_err(failed)?;
    let header = BASE64_URL.encode(r#"{"alg":"ES256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", BASE64_URL.encode(claims.to_string()));
    let signature = key.sign(signed.as_bytes()).map_err(failed)?;
    let bare = bare_signature(&signature)
        .ok_or_else(|| Error::unmet("a signature of another shape", "the key must be one of P-256"))?;
    Ok(format!("{signed}.{}", BASE64_URL.encode(bare)))
}

/// JOSE wants the two numbers of a signature of P-256 bare, of 32 bytes each; here they come as DER's.
fn bare_signature(der: &[u8]) -> Option<[u8; 64]> {
    let (mut bare, mut rest) = ([0; 64], der.get(2..)?);
    for half in bare.chunks_exact_mut(32) {
        let number = rest.get(2..2 + usize::from(*rest.get(1)?))?;
        rest = rest.get(2 + number.len()..)?;
        // Its first byte is 0 where it would look negative, and those that begin with zeros are shorter.
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        half.get_mut(32usize.checked_sub(number.len())?..)?.copy_from_slice(number);
    }
    Some(bare)
}

fn new_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
}

fn save_private(path: &Path, text: &str) -> Result<(), Error> {
    let mut options = fs::File::options();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::file("write", path))?;
    file.write_all(text.as_bytes()).map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Name;

    #[test]
    fn a_signatures_numbers_are_bare_whatever_their_length() {
        let der = |one: &[u8], other: &[u8]| {
            let number = |bytes: &[u8]| [&[2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
            let both = [number(one), number(other)].concat();
            [&[0x30, u8::try_from(both.len()).unwrap()], &both[..]].concat()
        };
        let (full, short) = ([0x91; 32], [7; 30]);
        let bare = bare_signature(&der(&[&[0], &full[..]].concat(), &short)).unwrap();
        assert_eq!((&bare[..32], &bare[32..34], &bare[34..]), (&full[..], &[0, 0][..], &short[..]));
        for broken in [&[][..], &[0x30, 2, 2], &der(&full, &short)[..40]] {
            assert_eq!(bare_signature(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_cluster_gets_all_that_its_daemons_name_and_keeps_it_private() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let layout = Layout::new(home.path(), Name::parse("pki").unwrap(), 3);
        create_all(&layout, 2).unwrap();
        for file in ["ca.crt", "ca.key", "apiserver.crt", "service-accounts.pub", "kubelet-node2.key"] {
            let path = layout.pki().join(file);
            assert!(fs::read_to_string(&path).unwrap().starts_with("-----BEGIN"), "{file}");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        }
        assert!(!layout.pki().join("kubelet-node3.crt").exists());
        let kubeconfig: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(layout.kubeconfig()).unwrap()).unwrap();
        assert_eq!(kubeconfig["clusters"][0]["cluster"]["server"], "https://10.250.3.2:6443");
        let data = kubeconfig["users"][0]["user"]["client-certificate-data"].as_str().unwrap();
        assert!(BASE64.decode(data).unwrap().starts_with(b"-----BEGIN CERTIFICATE"));
    }
}
