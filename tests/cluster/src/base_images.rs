//! The images that every node has from the start.

use crate::Error;
use crate::debian::busybox;
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
pub(crate) const COREDNS: &str = "rollcall.test/coredns:1";

/// Changes when the way these images are made changes, so that no node gets one of an older kit.
const RECIPE: u8 = 1;

/// The archives of all base images.
pub(crate) struct BaseImages {
    pub pause: PathBuf,
    pub toolbox: PathBuf,
    pub coredns: PathBuf,
}

impl BaseImages {
    pub(crate) fn build(home: &Home, tools: &Tools) -> Result<Self, Error> {
        let busybox = busybox(home)?;
        Ok(Self {
            pause: archive(home, "pause.tar", &tools.init, || {
                Ok(Image::of_program(PAUSE.into(), &tools.init))
            })?,
            coredns: archive(home, "coredns.tar", &tools.coredns, || {
                Ok(Image::of_program(COREDNS.into(), &tools.coredns))
            })?,
            toolbox: archive(home, "toolbox.tar", &busybox, || toolbox(&busybox))?,
        })
    }
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

fn toolbox(busybox: &Path) -> Result<Image, Error> {
    let applets = output_of("asking busybox what it can do", Command::new(busybox).arg("--list"))?;
    let mut entries = vec![
        Entry::Program { path: "bin/busybox".into(), from: busybox.to_owned() },
        Entry::Folder { path: "tmp/".into(), mode: 0o1777 },
        Entry::Text {
            path: "etc/passwd".into(),
            text: "root:x:0:0::/:/bin/sh\nnobody:x:65532:65532::/:/bin/sh\n".into(),
        },
        Entry::Text { path: "www/index.html".into(), text: "hello\n".into() },
    ];
    let links = applets.lines().filter(|applet| *applet != "busybox");
    entries.extend(links.map(|applet| Entry::Link { path: format!("bin/{applet}"), to: "busybox".into() }));
    Ok(Image {
        reference: TOOLBOX.into(),
        user: NON_ROOT,
        entrypoint: vec!["/bin/sh".into()],
        path: Some("/bin"),
        entries,
    })
}
