//! Container images without Docker: archives that containerd, kind and docker load, the same bytes for the same input.

use crate::Error;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tar::{Archive, Builder, EntryType, Header};

/// Nobody's user, as distroless images have it: Kubernetes' `runAsNonRoot` wants a number.
pub const NON_ROOT: &str = "65532:65532";

/// One image of one layer.
pub struct Image {
    /// Name and tag, as a pod spec names it.
    pub reference: String,
    /// Other names that pods may use for it.
    pub aliases: Vec<String>,
    pub user: &'static str,
    pub entrypoint: Vec<String>,
    /// What `kubectl exec` finds without a path.
    pub path: Option<&'static str>,
    pub entries: Vec<Entry>,
}

/// A file of an image. Paths have no leading slash.
pub enum Entry {
    Program { path: String, from: PathBuf },
    Text { path: String, text: String },
    Link { path: String, to: String },
    Folder { path: String, mode: u32 },
}

impl Image {
    /// An image of a single static program that runs as nobody.
    pub fn of_program(reference: String, program: &Path) -> Self {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            reference,
            aliases: Vec::new(),
            user: NON_ROOT,
            entrypoint: vec![format!("/{name}")],
            path: None,
            entries: vec![Entry::Program { path: name, from: program.to_owned() }],
        }
    }

    /// Writes the archive and gives back the digest by which registries and runtimes know the image.
    pub fn write(&self, archive: &Path) -> Result<String, Error> {
        let layer = self.layer()?;
        let config = json!({
            "architecture": architecture(),
            "config": {"Entrypoint": self.entrypoint, "User": self.user, "Env": self.path.map(|path| [format!("PATH={path}")])},
            "created": "1970-01-01T00:00:00Z",
            "os": "linux",
            "rootfs": {"diff_ids": [digest(&layer)], "type": "layers"},
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "config": descriptor("config.v1+json", &config),
            "layers": [descriptor("layer.v1.tar", &layer)],
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "schemaVersion": 2,
        });
        let manifest = manifest.to_string().into_bytes();
        let names: Vec<_> = std::iter::once(&self.reference).chain(&self.aliases).collect();
        let named = names.iter().map(|name| {
            json!({
                "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name},
                "digest": digest(&manifest),
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "size": manifest.len(),
            })
        });
        let index = json!({"manifests": named.collect::<Vec<_>>(), "schemaVersion": 2});
        // Engines before Docker 25 read this instead of the index.
        let for_docker = json!([{"Config": blob(&config), "Layers": [blob(&layer)], "RepoTags": names}]);

        let unfinished = archive.with_extension("unfinished");
        let failed = || Error::file("write", &unfinished);
        let mut tar = Builder::new(File::create(&unfinished).map_err(failed())?);
        let parts: [(&str, &[u8]); 3] = [
            ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#),
            ("index.json", &index.to_string().into_bytes()),
            ("manifest.json", &for_docker.to_string().into_bytes()),
        ];
        for (path, bytes) in parts {
            append(&mut tar, path, EntryType::Regular, 0o644, bytes).map_err(failed())?;
        }
        for bytes in [&config, &manifest, &layer] {
            append(&mut tar, &blob(bytes), EntryType::Regular, 0o644, bytes).map_err(failed())?;
        }
        tar.into_inner().and_then(|file| file.sync_all()).map_err(failed())?;
        fs::rename(&unfinished, archive).map_err(Error::file("move", &unfinished))?;
        Ok(digest(&manifest))
    }

    fn layer(&self) -> Result<Vec<u8>, Error> {
        let mut tar = Builder::new(Vec::new());
        for entry in &self.entries {
            let added = match entry {
                Entry::Program { path, from } => {
                    let bytes = fs::read(from).map_err(Error::file("read", from))?;
                    append(&mut tar, path, EntryType::Regular, 0o755, &bytes)
                }
                Entry::Text { path, text } => {
                    append(&mut tar, path, EntryType::Regular, 0o644, text.as_bytes())
                }
                Entry::Folder { path, mode } => append(&mut tar, path, EntryType::Directory, *mode, &[]),
                Entry::Link { path, to } => {
                    let mut header = header(EntryType::Symlink, 0o777, 0);
                    tar.append_link(&mut header, path, to)
                }
            };
            added.map_err(Error::file("add a file to the image", Path::new(&self.reference)))?;
        }
        tar.into_inner().map_err(Error::file("finish the image", Path::new(&self.reference)))
    }
}

/// The reference of the image in an archive, to name it to the user.
pub fn reference_in(archive: &Path) -> Result<String, Error> {
    let not_an_image = || {
        Error::unmet(
            format!("{} is no image archive with a name in it", archive.display()),
            "make it with `cargo xtask image` or `docker save NAME:TAG`",
        )
    };
    let file = File::open(archive).map_err(Error::file("read", archive))?;
    let mut tar = Archive::new(file);
    for entry in tar.entries().map_err(|_| not_an_image())? {
        let entry = entry.map_err(|_| not_an_image())?;
        if entry.path().is_ok_and(|path| path == Path::new("manifest.json")) {
            let value: serde_json::Value = serde_json::from_reader(entry).map_err(|_| not_an_image())?;
            let reference = value.pointer("/0/RepoTags/0").and_then(serde_json::Value::as_str);
            return reference.map(str::to_owned).ok_or_else(not_an_image);
        }
    }
    Err(not_an_image())
}

fn append(
    tar: &mut Builder<impl io::Write>,
    path: &str,
    kind: EntryType,
    mode: u32,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = header(kind, mode, bytes.len() as u64);
    tar.append_data(&mut header, path, bytes)
}

/// No time, no owner: nothing in an archive tells where or when it was made.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn descriptor(kind: &str, bytes: &[u8]) -> serde_json::Value {
    json!({"digest": digest(bytes), "mediaType": format!("application/vnd.oci.image.{kind}"), "size": bytes.len()})
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(bytes))
}

fn blob(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", hexadecimal(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// This machine's, as images and Kubernetes name it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Read;

    fn sample(folder: &Path) -> Image {
        let program = folder.join("hello");
        fs::write(&program, "program").unwrap();
        let mut image = Image::of_program("rollcall.test/hello:1".into(), &program);
        image.entries.push(Entry::Link { path: "bin/hi".into(), to: "/hello".into() });
        image.entries.push(Entry::Folder { path: "tmp/".into(), mode: 0o1777 });
        image
    }

    fn unpack(archive: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in Archive::new(File::open(archive).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 0);
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        files
    }

    #[test]
    fn every_blob_is_where_its_digest_says() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("hello.tar");
        let announced = sample(folder.path()).write(&archive).unwrap();
        let files = unpack(&archive);
        let blobs: Vec<_> = files.iter().filter(|(path, _)| path.starts_with("blobs/")).collect();
        assert_eq!(blobs.len(), 3);
        for (path, bytes) in blobs {
            assert_eq!(path, &blob(bytes));
        }
        let index: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
        assert_eq!(index["manifests"][0]["digest"], announced);
        let manifest: serde_json::Value =
            serde_json::from_slice(&files[&announced.replace("sha256:", "blobs/sha256/")]).unwrap();
        let for_docker: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        let config = manifest["config"]["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
        assert_eq!(for_docker[0]["Config"], config);
        let config: serde_json::Value = serde_json::from_slice(&files[&config]).unwrap();
        assert_eq!(config["config"]["User"], NON_ROOT);
        assert_eq!(config["config"]["Entrypoint"][0], "/hello");
    }

    #[test]
    fn every_name_means_the_same_image_and_the_first_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("hello.tar");
        let mut image = sample(folder.path());
        image.aliases.push("example.org/hi:2".into());
        let announced = image.write(&archive).unwrap();
        let files = unpack(&archive);
        let index: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let names = ["rollcall.test/hello:1", "example.org/hi:2"];
        for (number, name) in names.iter().enumerate() {
            let named = &index["manifests"][number];
            assert_eq!(named["digest"], announced);
            assert_eq!(named["annotations"]["io.containerd.image.name"], *name);
        }
        let for_docker: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(for_docker[0]["RepoTags"], json!(names));
        assert_eq!(reference_in(&archive).unwrap(), names[0]);
    }

    #[test]
    fn the_same_input_gives_the_same_bytes_and_another_input_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let archive = folder.path().join(name);
            let digest = sample(folder.path()).write(&archive).unwrap();
            (digest, fs::read(archive).unwrap())
        };
        assert!(write("a.tar") == write("b.tar"));
        let mut other = sample(folder.path());
        other.entries.push(Entry::Text { path: "etc/more".into(), text: "more".into() });
        assert_ne!(other.write(&folder.path().join("c.tar")).unwrap(), write("a.tar").0);
    }

    #[test]
    fn an_archive_tells_its_name_and_other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("hello.tar");
        sample(folder.path()).write(&archive).unwrap();
        assert_eq!(reference_in(&archive).unwrap(), "rollcall.test/hello:1");
        let other = folder.path().join("other");
        fs::write(&other, "not a tar").unwrap();
        assert!(reference_in(&other).unwrap_err().to_string().contains("cargo xtask image"));
    }
}
