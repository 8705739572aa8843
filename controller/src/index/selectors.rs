//! Which registrations of a namespace may mean a pod with certain labels, without asking all of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use rollcall_catalogue::{Selector, Texts};

/// Holds the selectors of one namespace by one label that each of them demands, so that a pod is held against those
/// that have a label in common with it, and against those few that demand none by its value.
#[derive(Debug, Default)]
pub(super) struct Selectors {
    by_label: HashMap<(String, String), BTreeSet<Arc<str>>>,
    others: BTreeSet<Arc<str>>,
    /// Under which label each of them stands.
    places: BTreeMap<Arc<str>, Option<(String, String)>>,
}

// === impl Selectors ===

impl Selectors {
    pub(super) fn insert(&mut self, name: &Arc<str>, selector: &Selector) {
        self.remove(name);
        let crowd = |label: &(String, String)| self.by_label.get(label).map_or(0, BTreeSet::len);
        let labels = selector.match_labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        // The rarest label tells the most.
        let place = labels.min_by_key(crowd);
        match &place {
            Some(label) => self.by_label.entry(label.clone()).or_default().insert(name.clone()),
            None => self.others.insert(name.clone()),
        };
        self.places.insert(name.clone(), place);
    }

    pub(super) fn remove(&mut self, name: &Arc<str>) {
        match self.places.remove(name) {
            Some(Some(label)) => {
                if let Some(names) = self.by_label.get_mut(&label) {
                    names.remove(name);
                    if names.is_empty() {
                        self.by_label.remove(&label);
                    }
                }
            }
            Some(None) => {
                self.others.remove(name);
            }
            None => {}
        }
    }

    /// Those that may mean a pod with these labels; whether they do, they say themselves.
    pub(super) fn candidates<'a>(&'a self, labels: &'a Texts) -> impl Iterator<Item = &'a Arc<str>> {
        let shared = labels.iter().filter_map(|(key, value)| {
            if self.by_label.is_empty() {
                return None;
            }
            self.by_label.get(&(key.to_owned(), value.to_owned()))
        });
        shared.flatten().chain(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalogue::{Operator, Requirement};

    use super::*;

    fn names(selectors: &Selectors, labels: &[(&str, &str)]) -> Vec<String> {
        let labels = labels.iter().copied().collect();
        selectors.candidates(&labels).map(ToString::to_string).collect()
    }

    #[test]
    fn a_pod_is_held_against_those_that_demand_a_label_of_its() {
        let mut selectors = Selectors::default();
        let app = |app: &str| Selector::from([("app", app), ("part-of", "shop")]);
        for name in ["orders", "billing", "invoices"] {
            selectors.insert(&name.into(), &app(name));
        }
        let expressed = Selector {
            match_expressions: vec![Requirement { key: "tier".to_owned(), operator: Operator::Exists }],
            ..Selector::default()
        };
        selectors.insert(&"tiered".into(), &expressed);
        // The first one stands under `app` or `part-of`, whichever came first; the others must not crowd there.
        let pod = [("app", "billing"), ("part-of", "shop"), ("hash", "1")];
        let found = names(&selectors, &pod);
        assert!(found.contains(&"billing".to_owned()) && found.contains(&"tiered".to_owned()), "{found:?}");
        assert!(found.len() <= 3, "{found:?}");
        assert_eq!(names(&selectors, &[("app", "none")]), ["tiered"]);
        selectors.insert(&"billing".into(), &app("other"));
        assert!(!names(&selectors, &[("app", "billing")]).contains(&"billing".to_owned()));
        for name in ["orders", "billing", "invoices", "tiered"] {
            selectors.remove(&name.into());
        }
        assert!(selectors.places.is_empty() && selectors.by_label.is_empty() && selectors.others.is_empty());
    }
}
