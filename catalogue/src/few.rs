//! A list that is nearly always of one.

use std::ops::Deref;

/// Holds values of which there is nearly always one: that one needs no memory but this place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Few<T>(Held<T>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Held<T> {
    One(T),
    /// None, or several.
    Others(Box<[T]>),
}

// === impl Few ===

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Held::Others(Box::default()))
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut all = all.into_iter();
        Self(match (all.next(), all.next()) {
            (Some(one), None) => Held::One(one),
            (first, second) => Held::Others(first.into_iter().chain(second).chain(all).collect()),
        })
    }
}

impl<T, const N: usize> From<[T; N]> for Few<T> {
    fn from(all: [T; N]) -> Self {
        all.into_iter().collect()
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Held::One(one) => std::slice::from_ref(one),
            Held::Others(others) => others,
        }
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn it_is_the_list_that_was_put_in_and_one_takes_no_more_than_its_place() {
        for count in 0..4 {
            let all: Vec<u8> = (0..count).collect();
            let few: Few<u8> = all.iter().copied().collect();
            assert_eq!(*few, *all);
            assert!(matches!(few.0, Held::One(_)) == (count == 1));
        }
        assert!(Few::<u8>::default().is_empty());
        assert_eq!(size_of::<Few<IpAddr>>(), 24);
    }
}
