//! The manifest by which krew, kubectl's plugin manager, installs `kubectl rollcall`.

use super::facts::Facts;
use super::sums::sha256;

/// Where the archive is to be had, and what is in it.
pub(crate) fn manifest(facts: &Facts, repository: &str, archive: &str, bytes: &[u8]) -> String {
    let (version, architecture) = (&facts.version, &facts.architecture);
    let (folder, sha256) = (facts.folder_in_archive(), sha256(bytes));
    format!(
        "apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: rollcall
spec:
  version: v{version}
  homepage: {repository}
  shortDescription: Ask the service registry Rollcall
  description: |
    Asks Rollcall, a service registry for Kubernetes, gives manifests their
    sidecar, and prints the CRD. What it asks, it asks with your own rights.
  platforms:
    - selector:
        matchLabels:
          os: linux
          arch: {architecture}
      uri: {repository}/releases/download/v{version}/{archive}
      sha256: {sha256}
      files:
        - from: {folder}/rollcall
          to: .
        - from: {folder}/LICENSE
          to: .
      bin: rollcall
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn krew_is_told_which_archive_has_which_sum_and_what_to_take_of_it() {
        let facts = Facts::sample();
        let manifest = manifest(&facts, "https://example.org/rollcall", "rollcall.tar.gz", b"archive");
        let manifest: Value = serde_saphyr::from_str(&manifest).unwrap();
        let platform = &manifest["spec"]["platforms"][0];
        assert_eq!(manifest["spec"]["version"], format!("v{}", facts.version));
        assert_eq!(platform["sha256"], sha256(b"archive"));
        let address =
            format!("https://example.org/rollcall/releases/download/v{}/rollcall.tar.gz", facts.version);
        assert_eq!(platform["uri"], address);
        assert_eq!(platform["files"][0]["from"], format!("{}/rollcall", facts.folder_in_archive()));
        assert_eq!(platform["bin"], "rollcall");
    }
}
