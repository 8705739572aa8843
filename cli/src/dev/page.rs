//! The page that is printed at the start: lines that work when they are pasted, one after the other.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use rollcall_catalogue::Namespace;

/// Holds what the page says.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) namespace: Namespace,
    pub(super) folder: PathBuf,
    pub(super) api: SocketAddr,
    pub(super) dns: Option<SocketAddr>,
    pub(super) read: SocketAddr,
    pub(super) health: SocketAddr,
}

// === impl Page ===

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, folder, api, dns, read, health } = self;
        // It is pasted in another terminal, which is in another folder.
        let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        let (folder, whole) = (folder.display(), quoted(&whole));
        // Something that listens is needed for the first try, and this very process does.
        let port = api.port();
        writeln!(
            f,
            "Rollcall is ready on this machine: namespace {namespace}, manifests in {folder}. Ctrl-C ends it.\n"
        )?;
        writeln!(f, "# register, as any app can (this one is rollcall itself), and look it up")?;
        writeln!(
            f,
            "curl -X PUT -H 'Content-Type: application/json' -d '{{\"service\":\"hello\",\"version\":\"1.0.0\",\"ports\":{{\"http\":{port}}}}}' {api}/v1/self"
        )?;
        writeln!(f, "curl '{api}/v1/services/hello?version=^1'")?;
        writeln!(f, "curl {api}/v1/services/hello/pick")?;
        if let Some(dns) = dns {
            writeln!(f, "dig @{} -p {} hello.rollcall +short", dns.ip(), dns.port())?;
        }
        writeln!(f, "curl -N {api}/v1/services/hello/watch   # what changes, as it does")?;
        writeln!(f, "\n# the same by a manifest, as `kubectl apply` takes it")?;
        writeln!(f, "cat > {whole}/hello-too.yaml <<'YAML'")?;
        writeln!(f, "apiVersion: rollcall.dev/v1alpha1")?;
        writeln!(f, "kind: ServiceRegistration")?;
        writeln!(f, "metadata: {{name: hello-too}}")?;
        writeln!(f, "spec:")?;
        writeln!(f, "  target: {{addresses: [{{address: 127.0.0.1}}]}}")?;
        writeln!(f, "  ports: [{{name: http, port: {port}}}]")?;
        writeln!(f, "YAML")?;
        writeln!(f, "curl '{api}/v1/services/hello-too?index=0&wait=5s'   # once it is there")?;
        writeln!(f, "\n# why is it (not) there?")?;
        writeln!(f, "curl {api}/v1/explain/hello-too\n")?;
        writeln!(f, "More: {api} (all calls), {read} (the whole catalogue), {health}/metrics\n")
    }
}

/// As a shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_the_ports_that_are_open() {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let mut page = Page {
            namespace: "shop".parse().unwrap(),
            folder: "here".into(),
            api: at(1),
            dns: Some(at(2)),
            read: at(3),
            health: at(4),
        };
        let text = page.to_string();
        for part in [
            "127.0.0.1:1/v1/self",
            "-p 2 hello",
            "\"http\":1}",
            "127.0.0.1:4/metrics",
            "here/hello-too.yaml",
            "namespace shop",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(quoted(Path::new("/a b/it's $x")), r"'/a b/it'\''s $x'");
        page.dns = None;
        assert!(!page.to_string().contains("dig"));
    }
}
