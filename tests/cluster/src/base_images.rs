//! The images that every node has from the start.

use crate::Error;
use crate::debian::unpacked;
use crate::home::Home;
use crate::image::{Entry, Image, NON_ROOT};
use crate::run::output_of;
use crate::tools::{Tools, short, stored};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What holds a pod's namespaces.
pub(crate) const PAUSE: &str = "rollcall.test/pause:1";
/// A shell, wget, httpd, nc, nslookup and the like: an app container for tests and for a look around.
pub const TOOLBOX: &str = "rollcall.test/toolbox:1";
/// The toolbox under the name of an image that other clusters can pull, so that an example runs on theirs and on ours. It is
/// Debian's busybox, of whichever version: what is only in 1.37 must not be asked of it.
pub const PUBLIC_NAME_OF_TOOLBOX: &str = "docker.io/library/busybox:1.37";
pub(crate) const COREDNS: &str = "rollcall.test/coredns:1";

/// Changes when the way these images are made changes, so that no node gets one of an older kit.
const RECIPE: u8 = 4;

/// The archives of all base images.
pub(crate) struct BaseImages {
    pub pause: PathBuf,
    pub toolbox: PathBuf,
    pub coredns: PathBuf,
}

impl BaseImages {
    pub(crate) fn build(home: &Home, tools: &Tools) -> Result<Self, Error> {
        Ok(Self {
            pause: archive(home, "pause.tar", &tools.init, || {
                Ok(Image::of_program(PAUSE.into(), &tools.init))
            })?,
            coredns: archive(home, "coredns.tar", &tools.coredns, || {
                Ok(Image::of_program(COREDNS.into(), &tools.coredns))
            })?,
            toolbox: toolbox_archive(home)?,
        })
    }
}

/// The archive of the toolbox image.
pub(crate) fn toolbox_archive(home: &Home) -> Result<PathBuf, Error> {
    let (busybox, c_library) = (unpacked(home, "busybox")?, unpacked(home, "libc6")?);
    archive(home, "toolbox.tar", &busybox, || toolbox(&busybox, &c_library))
}

/// The archive made from a stored program, which has its content's key in its path.
fn archive(
    home: &Home,
    name: &str,
    program: &Path,
    image: impl FnOnce() -> Result<Image, Error>,
) -> Result<PathBuf, Error> {
    let mut hash = Sha256::new();
    hash.update([RECIPE]);
    hash.update(program.as_os_str().as_encoded_bytes());
    stored(home, name, &short(hash), |target| image()?.write(target).map(drop))
}

/// Debian's busybox with the C library that it was made for, so that names are resolved as in any glibc program.
fn toolbox(busybox: &Path, c_library: &Path) -> Result<Image, Error> {
    let program = one_of(busybox, &["bin/busybox", "usr/bin/busybox"])?;
    let applets = output_of("asking busybox what it can do", Command::new(&program).arg("--list"))?;
    let mut entries = vec![
        Entry::Program { path: "bin/busybox".into(), from: program },
        Entry::Folder { path: "tmp/".into(), mode: 0o1777 },
        Entry::Text {
            path: "etc/passwd".into(),
            text: "root:x:0:0::/:/bin/sh\nnobody:x:65532:65532::/:/bin/sh\n".into(),
        },
        Entry::Text { path: "etc/nsswitch.conf".into(), text: "hosts: files dns\n".into() },
        Entry::Text { path: "www/index.html".into(), text: "hello\n".into() },
    ];
    let links = applets.lines().filter(|applet| *applet != "busybox");
    entries.extend(links.map(|applet| Entry::Link { path: format!("bin/{applet}"), to: "busybox".into() }));
    let arch = std::env::consts::ARCH;
    // Where programs expect the loader; in the package that is a link, which on this machine would lead to its own.
    let (loader, loader_name) = match arch {
        "aarch64" => ("lib/ld-linux-aarch64.so.1", "ld-linux-aarch64.so.1"),
        _ => ("lib64/ld-linux-x86-64.so.2", "ld-linux-x86-64.so.2"),
    };
    for (name, path) in [("libc.so.6", None), ("libresolv.so.2", None), (loader_name, Some(loader))] {
        let own = format!("lib/{arch}-linux-gnu/{name}");
        let from = one_of(c_library, &[&own, &format!("usr/{own}")])?;
        entries.push(Entry::Program { path: path.map_or(own, str::to_owned), from });
    }
    Ok(Image {
        reference: TOOLBOX.into(),
        aliases: vec![PUBLIC_NAME_OF_TOOLBOX.into()],
        user: NON_ROOT,
        entrypoint: vec!["/bin/sh".into()],
        path: Some("/bin"),
        entries,
    })
}

/// The first of some paths that a package's folder has: distributions move files between / and /usr.
fn one_of(folder: &Path, paths: &[&str]) -> Result<PathBuf, Error> {
    let found = paths.iter().map(|path| folder.join(path)).find(|path| path.exists());
    found.ok_or_else(|| {
        Error::unmet(
            format!("{} has none of {}", folder.display(), paths.join(", ")),
            "remove the folder and try again",
        )
    })
}
