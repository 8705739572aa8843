//! The bare lists: the pages that the controller asks for, at the same time as it does, and nothing done with them.

use anyhow::{Context, Result, ensure};
use http_body_util::BodyExt;
use kube::{
    Client,
    api::{ListParams, Request},
    client::Body,
};
use tokio::task::JoinSet;

/// As the controller has it.
const PAGE_OBJECTS: u32 = 500;

/// The lists of all kinds, and whether their metadata alone is asked for.
const KINDS: [(&str, bool); 6] = [
    ("/api/v1/pods", false),
    ("/apis/rollcall.dev/v1alpha1/serviceregistrations", false),
    ("/api/v1/services", false),
    ("/apis/discovery.k8s.io/v1/endpointslices", false),
    ("/api/v1/namespaces", true),
    ("/api/v1/nodes", false),
];

/// Holds what was listed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Listed {
    pub(crate) pages: u32,
    pub(crate) bytes: usize,
}

/// Lists all kinds at the same time.
pub(super) async fn list_all(client: &Client) -> Result<Listed> {
    let mut lists = JoinSet::new();
    for (path, metadata_only) in KINDS {
        lists.spawn(list(client.clone(), path, metadata_only));
    }
    let mut all = Listed::default();
    while let Some(listed) = lists.join_next().await {
        let Listed { pages, bytes } = listed??;
        all = Listed { pages: all.pages + pages, bytes: all.bytes + bytes };
    }
    Ok(all)
}

/// Page after page.
async fn list(client: Client, path: &'static str, metadata_only: bool) -> Result<Listed> {
    let request = Request::new(path);
    let (mut listed, mut further) = (Listed::default(), None);
    loop {
        let params =
            ListParams { limit: Some(PAGE_OBJECTS), continue_token: further, ..ListParams::default() };
        let wanted = if metadata_only { request.list_metadata(&params) } else { request.list(&params) };
        let response = client.send(wanted?.map(Body::from)).await?;
        let status = response.status();
        ensure!(status.is_success(), "{path}: {status}");
        let page = response.into_body().collect().await?.to_bytes();
        listed = Listed { pages: listed.pages + 1, bytes: listed.bytes + page.len() };
        further = token(&page).with_context(|| path)?;
        if further.is_none() {
            return Ok(listed);
        }
    }
}

/// What the next page is asked by, found without reading the page: it is beside the objects and not in one of them.
/// Kinds of Kubernetes' own have it before them, and others behind.
fn token(page: &[u8]) -> Result<Option<String>> {
    /// The list's metadata are shorter.
    const ENDS: usize = 2_048;
    const NAME: &[u8] = br#""continue":""#;
    let (first, last) = (page.get(..ENDS).unwrap_or(page), page.len().saturating_sub(ENDS));
    for end in [first, page.get(last..).unwrap_or_default()] {
        let Some(at) = end.windows(NAME.len()).position(|window| window == NAME) else { continue };
        let token = end.get(at + NAME.len()..).unwrap_or_default().split(|byte| *byte == b'"').next();
        let token = token.unwrap_or_default();
        return Ok(Some(String::from_utf8(token.to_vec())?).filter(|token| !token.is_empty()));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;

    #[test]
    fn the_token_is_found_on_either_side_of_the_objects() {
        let items = format!(r#""items":[{}]"#, vec!["{}"; 5_000].join(","));
        let list = |token: &str| format!(r#""metadata":{{"resourceVersion":"7","continue":"{token}"}}"#);
        for (page, expected) in [
            (format!("{{{},{items}}}", list("eyJ2")), Some("eyJ2")),
            (format!("{{{items},{}}}", list("eyJ2")), Some("eyJ2")),
            (format!("{{{},{items}}}", list("")), None),
            (format!("{{{items}}}"), None),
            ("{}".to_owned(), None),
        ] {
            assert_eq!(token(page.as_bytes()).unwrap().as_deref(), expected);
        }
    }
}
