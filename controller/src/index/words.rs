//! What the pods of one service say of themselves.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use rollcall_catalogue::{Attributes, Port, Registration, Target};

/// Holds each distinct word once, with how many pods say it; found by what it says, since each pod may say something
/// of its own.
#[derive(Debug, Default)]
pub(super) struct Words {
    held: HashMap<Arc<Registration>, usize>,
    /// What of them concerns the service as a whole, which is little, and mostly nothing.
    of_service: HashMap<Registration, usize>,
}

// === impl Words ===

impl Words {
    /// One more pod says this. Tells whether something new is said of the service as a whole.
    pub(super) fn add(&mut self, word: &Arc<Registration>) -> bool {
        add(&mut self.held, word.clone());
        of_service(word).is_some_and(|said| add(&mut self.of_service, said))
    }

    /// One pod less says this. Tells whether something is no longer said of the service as a whole.
    pub(super) fn remove(&mut self, word: &Arc<Registration>) -> bool {
        remove(&mut self.held, word);
        of_service(word).is_some_and(|said| remove(&mut self.of_service, &said))
    }

    /// What is said of the service as a whole, each only once.
    pub(super) fn of_service(&self) -> impl Iterator<Item = &Registration> {
        self.of_service.keys()
    }

    /// The ports of one of them; the same one whoever came first. Looks at all of them.
    pub(super) fn ports(&self) -> Vec<Port> {
        let ports = self.held.keys().map(|word| &word.attributes.ports);
        ports.filter(|ports| !ports.is_empty()).min().cloned().unwrap_or_default()
    }
}

/// What of a word concerns the service as a whole; none where it says nothing of it.
fn of_service(word: &Registration) -> Option<Registration> {
    (word.policy.is_some() || word.visibility.is_some()).then(|| Registration {
        key: word.key.clone(),
        source: word.source.clone(),
        target: Target::Own,
        attributes: Attributes::default(),
        policy: word.policy,
        visibility: word.visibility.clone(),
    })
}

/// Tells whether it is the first of its kind.
fn add<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) -> bool {
    let count = counts.entry(key).or_default();
    *count += 1;
    *count == 1
}

/// Tells whether it was the last of its kind.
fn remove<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) -> bool {
    let Some(count) = counts.get_mut(key) else { return false };
    *count -= 1;
    let last = *count == 0;
    if last {
        counts.remove(key);
    }
    last
}

#[cfg(test)]
mod tests {
    use rollcall_catalogue::{Policy, Source};

    use super::*;

    fn word(port: u16, policy: Option<Policy>) -> Arc<Registration> {
        let ports = vec![Port::tcp(Some("http"), port)];
        Arc::new(Registration {
            key: "orders.shop".parse().unwrap(),
            source: Source::Annotation,
            target: Target::Own,
            attributes: Attributes { ports, ..Attributes::default() },
            policy,
            visibility: None,
        })
    }

    #[test]
    fn equal_words_are_one_until_the_last_goes() {
        let mut words = Words::default();
        let (first, equal) = (word(2, None), word(2, None));
        assert!(!words.add(&first) && !words.add(&equal), "nothing of the service");
        assert!(!words.remove(&first));
        assert_eq!(words.ports(), [Port::tcp(Some("http"), 2)]);
        words.add(&word(1, None));
        assert_eq!(words.ports(), [Port::tcp(Some("http"), 1)]);
        words.remove(&equal);
        words.remove(&word(1, None));
        words.remove(&equal);
        assert!(words.held.is_empty() && words.of_service.is_empty());
    }

    #[test]
    fn of_the_service_only_what_is_new_or_gone_is_told() {
        let mut words = Words::default();
        let says = |port| word(port, Some(Policy::Random));
        assert!(words.add(&says(1)));
        assert!(!words.add(&says(2)), "another word, but the same of the service");
        assert!(words.add(&word(1, Some(Policy::Weighted))));
        assert_eq!(words.of_service().count(), 2);
        assert!(!words.remove(&says(1)));
        assert!(words.remove(&says(2)));
        assert_eq!(words.of_service().map(|said| said.policy).collect::<Vec<_>>(), [Some(Policy::Weighted)]);
    }
}
