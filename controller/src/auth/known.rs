//! Which tokens are good, by their digests: a token is reviewed once, by one of the replicas.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use rollcall_catalogue::PodUid;
use rollcall_net::time_of_day;
use rollcall_wire::peer::Frame;
use tokio::{sync::watch, time::Instant};

/// Tokens remembered, those of all replicas' sessions: 3 replicas of 4,096 sessions, each with its token and the one before,
/// which is good for some 12 minutes more when it is renewed, are 24,576; and a third more for pods that have just ended.
/// Some 250 bytes each, so 8 MiB at most.
pub(super) const TOKENS_MAX: usize = 32_768;

/// So long after a review that nobody answered the API server counts as away, unless it answers another one: longer than its
/// watches take to be called stale, which say so from then on.
const FAILED_FOR: Duration = Duration::from_secs(300);

/// Tokens that another replica is told of at once.
pub(crate) const TOLD_MAX: usize = 64;

/// The longest that the word of another replica is believed: longer than any token of a sidecar is valid, and no sum of
/// times runs over.
const HEARD_FOR_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The SHA-256 of a token.
pub(super) type TokenDigest = [u8; 32];

/// Names a token that a pod has shown, and that was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(super) digest: TokenDigest,
    pub(super) pod: PodUid,
}

/// Holds which tokens were found good, by their digests, until they end; so a sidecar that comes back is known even while
/// the API server is away, and so is one that was another replica's. The tokens themselves are nowhere.
#[derive(Debug)]
pub struct KnownTokens {
    inner: Mutex<Inner>,
    /// The number of the newest that was reviewed here.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<TokenDigest, Known>,
    /// Those that were reviewed here, in their order.
    reviewed: BTreeMap<u64, TokenDigest>,
    given: u64,
    /// When the API server gave no answer, where it has given none since.
    failed_at: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Known {
    pod: PodUid,
    until: SystemTime,
    /// Where it was reviewed here.
    number: Option<u64>,
}

// === impl KnownTokens ===

impl Default for KnownTokens {
    fn default() -> Self {
        Self { inner: Mutex::default(), newest: watch::Sender::new(0) }
    }
}

impl KnownTokens {
    /// The pod of this token, where it is known to be good.
    pub(super) fn recall(&self, digest: &TokenDigest) -> Option<PodUid> {
        let inner = self.inner();
        inner.known.get(digest).filter(|known| known.until > time_of_day()).map(|known| known.pod.clone())
    }

    /// Whether its pod would be let in by it, whatever the API server does.
    pub(crate) fn knows(&self, shown: &Shown) -> bool {
        self.recall(&shown.digest).is_some_and(|pod| pod == shown.pod)
    }

    /// The API server was asked about some token.
    pub(super) fn asked(&self, is_answered: bool) {
        self.inner().failed_at = (!is_answered).then(Instant::now);
    }

    /// Whether the last review was not answered, a while ago at most.
    pub(crate) fn reviews_fail(&self) -> bool {
        self.inner().failed_at.is_some_and(|then| then.elapsed() < FAILED_FOR)
    }

    /// The API server has found it good; the other replicas are told.
    pub(super) fn reviewed(&self, digest: TokenDigest, pod: &PodUid, until: SystemTime) {
        let number = {
            let mut inner = self.inner();
            inner.given += 1;
            let number = inner.given;
            inner.keep(digest, Known { pod: pod.clone(), until, number: Some(number) });
            number
        };
        self.newest.send_replace(number);
    }

    /// Its pod is not known: it is good for so long at most.
    pub(super) fn doubt(&self, digest: &TokenDigest, until: SystemTime) {
        if let Some(known) = self.inner().known.get_mut(digest) {
            known.until = known.until.min(until);
        }
    }

    /// Another replica had it reviewed. What is no digest is no word on any token.
    pub(crate) fn hear(&self, digest: &str, pod: &PodUid, good_for_seconds: u64) {
        let Some(digest) = read_digest(digest) else { return };
        let until = time_of_day() + Duration::from_secs(good_for_seconds).min(HEARD_FOR_MAX);
        let mut inner = self.inner();
        // What the API server has told ourselves counts more.
        let is_ours = |known: &Known| known.number.is_some() && known.until > time_of_day();
        if !inner.known.get(&digest).is_some_and(is_ours) {
            inner.keep(digest, Known { pod: pod.clone(), until, number: None });
        }
    }

    /// Some of the tokens that were reviewed here after this number, as other replicas are told of them.
    pub(crate) fn told_after(&self, number: u64) -> Vec<(u64, Frame)> {
        let (inner, now) = (self.inner(), time_of_day());
        let later = inner.reviewed.range(number.saturating_add(1)..).take(TOLD_MAX);
        let told = later.filter_map(|(number, digest)| {
            let known = inner.known.get(digest)?;
            let good_for_seconds = known.until.duration_since(now).unwrap_or_default().as_secs();
            let digest = write_digest(digest);
            Some((*number, Frame::Token { digest, pod: known.pod.clone(), good_for_seconds }))
        });
        told.collect()
    }

    /// Changes whenever there is more to tell.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Maps stay whole whoever panicked while holding them.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn latest_end(&self) -> Option<SystemTime> {
        self.inner().known.values().map(|known| known.until).max()
    }
}

// === impl Inner ===

impl Inner {
    fn keep(&mut self, digest: TokenDigest, known: Known) {
        if self.known.len() >= TOKENS_MAX && !self.known.contains_key(&digest) {
            let now = SystemTime::now();
            let over = self.known.iter().filter(|(_, known)| known.until <= now);
            let over: Vec<TokenDigest> = over.map(|(digest, _)| *digest).collect();
            over.iter().for_each(|digest| self.forget(digest));
        }
        if self.known.len() >= TOKENS_MAX
            && !self.known.contains_key(&digest)
            && let Some(soonest) =
                self.known.iter().min_by_key(|(_, known)| known.until).map(|(digest, _)| *digest)
        {
            self.forget(&soonest);
        }
        self.forget(&digest);
        if let Some(number) = known.number {
            self.reviewed.insert(number, digest);
        }
        self.known.insert(digest, known);
    }

    fn forget(&mut self, digest: &TokenDigest) {
        if let Some(Known { number: Some(number), .. }) = self.known.remove(digest) {
            self.reviewed.remove(&number);
        }
    }
}

fn write_digest(digest: &TokenDigest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_digest(text: &str) -> Option<TokenDigest> {
    let mut digest = TokenDigest::default();
    if text.len() != 2 * digest.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, two) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far() -> SystemTime {
        SystemTime::now() + Duration::from_secs(1_000)
    }

    fn digest(number: usize) -> TokenDigest {
        let mut digest = TokenDigest::default();
        digest[..8].copy_from_slice(&number.to_be_bytes());
        digest
    }

    /// What one tells comes to the other.
    fn tell(from: &KnownTokens, to: &KnownTokens) -> usize {
        let (mut number, mut told) = (0, 0);
        loop {
            let part = from.told_after(number);
            let Some((last, _)) = part.last() else { return told };
            number = *last;
            for (_, frame) in part {
                let Frame::Token { digest, pod, good_for_seconds } = frame else { panic!("{frame:?}") };
                to.hear(&digest, &pod, good_for_seconds);
                told += 1;
            }
        }
    }

    #[test]
    fn what_one_replica_had_reviewed_the_others_know_and_do_not_tell_on() {
        let (one, two, three) = <(KnownTokens, KnownTokens, KnownTokens)>::default();
        let changes = one.changes();
        for number in 0..3 * TOLD_MAX {
            one.reviewed(digest(number), &format!("u{number}").as_str().into(), far());
        }
        assert!(changes.has_changed().unwrap());
        assert_eq!(tell(&one, &two), 3 * TOLD_MAX);
        assert_eq!(two.recall(&digest(7)), Some("u7".into()));
        assert_eq!(two.recall(&digest(3 * TOLD_MAX)), None);
        assert_eq!(tell(&two, &three), 0, "it was not reviewed there");
        // Reviewed anew, it is told again.
        one.reviewed(digest(7), &"u7".into(), far());
        assert_eq!(tell(&one, &three), 3 * TOLD_MAX);
    }

    #[test]
    fn what_was_reviewed_here_stands_and_what_is_no_digest_is_nothing() {
        let tokens = KnownTokens::default();
        tokens.reviewed(digest(1), &"ours".into(), far());
        tokens.hear(&write_digest(&digest(1)), &"theirs".into(), 60);
        assert_eq!(tokens.recall(&digest(1)), Some("ours".into()));
        for bad in ["", "zz", &"+1".repeat(32), &"g".repeat(64), &"0".repeat(63), &"é".repeat(32)] {
            tokens.hear(bad, &"p".into(), 60);
        }
        assert_eq!(tokens.inner().known.len(), 1);
        tokens.hear(&write_digest(&digest(2)), &"p".into(), u64::MAX);
        assert!(tokens.latest_end().unwrap() <= SystemTime::now() + HEARD_FOR_MAX);
        tokens.doubt(&digest(2), SystemTime::UNIX_EPOCH);
        assert_eq!(tokens.recall(&digest(2)), None);
    }

    #[test]
    fn those_that_end_first_make_room() {
        let tokens = KnownTokens::default();
        tokens.reviewed(digest(0), &"p".into(), SystemTime::now() + Duration::from_secs(10));
        for number in 1..TOKENS_MAX + 100 {
            tokens.reviewed(digest(number), &"p".into(), far());
        }
        let inner = tokens.inner();
        assert_eq!((inner.known.len(), inner.reviewed.len()), (TOKENS_MAX, TOKENS_MAX));
        assert!(!inner.known.contains_key(&digest(0)));
    }
}
