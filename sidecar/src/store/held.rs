//! A service as it is held, and the answers about it: each is written once, when it is asked for by who asks more than once.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::HeaderValue;
use rollcall_catalogue::{Query, Service, ServiceKey};
use rollcall_dns::{Choice, Records};
use rollcall_wire::api::service_body;

use super::records::Written;

/// Answers to questions with filters that are kept beside the plain one. An app asks for a version or a port or two; who
/// asks for more than this has each of the others written anew.
const FILTERED_MAX: usize = 8;
/// Bytes of them for each instance, which is about what one takes in the plain answer, and for the service itself: what is
/// written of a service never takes more than a few times what the service does.
const FILTERED_INSTANCE_BYTES: usize = 400;
const FILTERED_SERVICE_BYTES: usize = 4 * 1024;

/// Holds one content of a service, and what was written of it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) key: ServiceKey,
    pub(crate) service: Arc<Service>,
    pub(crate) etag: HeaderValue,
    pub(crate) revision: HeaderValue,
    /// It was read from the disk, and no session of this process has told anything else.
    pub(crate) from_disk: bool,
    plain: OnceLock<Bytes>,
    /// None until one is, since most services are asked for as they are.
    filtered: ArcSwapOption<Vec<(Box<str>, Bytes)>>,
    records: Written,
}

// === impl Held ===

impl Held {
    pub(crate) fn new(key: ServiceKey, service: Arc<Service>, from_disk: bool) -> Self {
        let (revision, hash) = (service.revision, service.hash);
        // The revision alone would do; with the hash, not even a controller that lost its clock can mislead.
        let etag = HeaderValue::from_str(&format!("\"{revision}-{hash}\""));
        Self {
            key,
            etag: etag.unwrap_or(HeaderValue::from_static("\"\"")),
            revision: HeaderValue::from(revision),
            from_disk,
            service,
            plain: OnceLock::new(),
            filtered: ArcSwapOption::empty(),
            records: Written::default(),
        }
    }

    /// The answer to who asks for all that serve. What is written takes as much memory as what it tells of, so that it is to
    /// be kept for who asks again.
    pub(crate) fn plain(&self, keep: bool) -> Bytes {
        let write = || self.written(&Query::default());
        match self.plain.get() {
            Some(plain) => plain.clone(),
            None if keep => self.plain.get_or_init(write).clone(),
            None => write(),
        }
    }

    /// The answer to this question, which is the one that `text` puts.
    pub(crate) fn filtered(&self, text: &str, query: &Query) -> Bytes {
        let filtered = self.filtered.load();
        let kept = filtered.as_deref().map_or(&[][..], Vec::as_slice);
        if let Some((_, body)) = kept.iter().find(|(of, _)| **of == *text) {
            return body.clone();
        }
        let body = self.written(query);
        let bytes: usize = kept.iter().map(|(_, body)| body.len()).sum();
        let room = FILTERED_SERVICE_BYTES + self.service.instances.len() * FILTERED_INSTANCE_BYTES;
        if kept.len() < FILTERED_MAX && bytes + body.len() <= room {
            // Of two that write at once, one is kept: the other is written anew when it is asked for again.
            let mut more = kept.to_vec();
            more.push((text.into(), body.clone()));
            self.filtered.store(Some(Arc::new(more)));
        }
        body
    }

    /// What DNS tells of the instances that serve and that this choice takes.
    pub(crate) fn records(&self, choice: Choice<'_>, seed: u64) -> Arc<Records> {
        self.records.of(&self.key, &self.service, choice, seed)
    }

    /// In no more memory than it needs: it stays.
    fn written(&self, query: &Query) -> Bytes {
        service_body(&self.key, &self.service, query).into_boxed_slice().into()
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalogue::{ContentHash, Policy, changes::Head};

    use super::*;

    #[test]
    fn each_answer_is_written_once_and_few_are_kept() {
        let head = Head { revision: 7, hash: ContentHash(1), policy: Policy::default(), truncated: false };
        let held = Held::new("orders.shop".parse().unwrap(), Arc::new(Service::of(head, Vec::new())), false);
        let once = held.plain(false);
        assert_ne!(once.as_ptr(), held.plain(true).as_ptr(), "it was not kept");
        assert_eq!(held.plain(true).as_ptr(), held.plain(false).as_ptr());
        assert_eq!(once, held.plain(false));
        let query = Query { zone: Some("a".into()), ..Query::default() };
        let ask = |number: usize| held.filtered(&format!("zone=a&n={number}"), &query).as_ptr();
        let kept: Vec<_> = (0..FILTERED_MAX).map(ask).collect();
        ask(FILTERED_MAX);
        assert_eq!((0..FILTERED_MAX).map(ask).collect::<Vec<_>>(), kept);
        assert_eq!(held.filtered.load().as_ref().unwrap().len(), FILTERED_MAX);
    }
}
