//! The names that people give: of services and of namespaces.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest DNS label (RFC 1035).
const LABEL_MAX: usize = 63;

/// Says why a text is no name, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    #[error(
        "{field}: `{value}` is no DNS-1123 label; use 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or a digit"
    )]
    NoLabel { field: &'static str, value: String },
    #[error(
        "{field}: `{value}` reads as a version in DNS names; use a name that is not three numbers joined by -"
    )]
    LooksLikeVersion { field: &'static str, value: String },
    #[error("name: `{value}` has more than one dot; use `service` or `service.namespace`")]
    TooManyParts { value: String },
}

/// Holds a service's name: a DNS-1123 label that is not of the form `1-2-3`, which DNS names use for versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(Arc<str>);

/// Holds a namespace's name: a DNS-1123 label. `1-2-3` is allowed, since Kubernetes allows it and no version
/// ever stands in a namespace's place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Namespace(Arc<str>);

/// Holds the identity of a service in the whole cluster; written `service.namespace`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceKey {
    pub namespace: Namespace,
    pub service: ServiceName,
}

/// Holds a service's name as a caller writes it: `orders` (of the caller's own namespace) or `orders.shop`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceRef {
    pub service: ServiceName,
    pub namespace: Option<Namespace>,
}

/// Whether this is a DNS-1123 label.
pub fn is_label(text: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= LABEL_MAX
        && bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|b| alphanumeric(b) || *b == b'-')
}

fn looks_like_version(label: &str) -> bool {
    let mut parts = 0;
    let numbers = label.split('-').all(|part| {
        parts += 1;
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
    });
    numbers && parts == 3
}

// === impl ServiceName ===

impl FromStr for ServiceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if !is_label(text) {
            return Err(NameError::NoLabel { field: "service", value: shortened(text) });
        }
        if looks_like_version(text) {
            return Err(NameError::LooksLikeVersion { field: "service", value: shortened(text) });
        }
        Ok(Self(text.into()))
    }
}

impl ServiceName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl Namespace ===

impl FromStr for Namespace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_label(text) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::NoLabel { field: "namespace", value: shortened(text) })
        }
    }
}

impl Namespace {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl ServiceKey ===

impl FromStr for ServiceKey {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let reference: ServiceRef = text.parse()?;
        match reference.namespace {
            Some(namespace) => Ok(Self { namespace, service: reference.service }),
            None => Err(NameError::NoLabel { field: "namespace", value: String::new() }),
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.namespace)
    }
}

// === impl ServiceRef ===

impl ServiceRef {
    /// The service that a caller in `home` means by this.
    pub fn resolve(&self, home: &Namespace) -> ServiceKey {
        ServiceKey {
            namespace: self.namespace.clone().unwrap_or_else(|| home.clone()),
            service: self.service.clone(),
        }
    }
}

impl FromStr for ServiceRef {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('.') {
            None => Ok(Self { service: text.parse()?, namespace: None }),
            Some((_, rest)) if rest.contains('.') => Err(NameError::TooManyParts { value: shortened(text) }),
            Some((service, namespace)) => {
                Ok(Self { service: service.parse()?, namespace: Some(namespace.parse()?) })
            }
        }
    }
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}.{namespace}", self.service),
            None => write!(f, "{}", self.service),
        }
    }
}

// === impl all of them: text in and out ===

macro_rules! text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }
    )*};
}
text!(ServiceName, Namespace, ServiceKey, ServiceRef);

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value as an error quotes it: a hostile one must not fill the log (an annotation may be 256 KiB), nor hold
/// anything that a terminal would obey.
pub fn shortened(text: &str) -> String {
    text.chars().take(LABEL_MAX + 1).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_count_and_names_that_do_not() {
        let long = "a".repeat(63);
        for good in ["orders", "a", "0", "a-b", "1-2", "1-2-3-4", "1-2-x", "4711", long.as_str()] {
            assert!(good.parse::<ServiceName>().is_ok(), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "é", "a b", "1-2-3", "10-20-30", too_long.as_str()] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad}");
        }
        assert!("1-2-3".parse::<Namespace>().is_ok(), "Kubernetes allows this namespace");
    }

    #[test]
    fn a_reference_resolves_in_the_callers_namespace() {
        let home: Namespace = "shop".parse().unwrap();
        let own: ServiceRef = "orders".parse().unwrap();
        let other: ServiceRef = "orders.billing".parse().unwrap();
        assert_eq!(own.resolve(&home).to_string(), "orders.shop");
        assert_eq!(other.resolve(&home).to_string(), "orders.billing");
        for bad in ["orders.", ".shop", "a.b.c", "orders.Shop", "1-2-3.shop"] {
            assert!(bad.parse::<ServiceRef>().is_err(), "{bad}");
        }
        assert!("orders".parse::<ServiceKey>().is_err(), "a key names its namespace");
    }

    #[test]
    fn an_error_names_the_field_and_the_remedy_and_stays_short() {
        let error = "X".repeat(10_000).parse::<ServiceName>().unwrap_err().to_string();
        assert!(error.starts_with("service: ") && error.contains("a-z"), "{error}");
        assert!(error.len() < 300);
    }

    proptest! {
        #[test]
        fn a_key_survives_being_written(service in "[a-z]([a-z0-9-]{0,20}[a-z0-9])?", namespace in "[a-z]([a-z0-9-]{0,20}[a-z0-9])?") {
            let key = ServiceKey { service: service.parse().unwrap(), namespace: namespace.parse().unwrap() };
            prop_assert_eq!(key.to_string().parse::<ServiceKey>().unwrap(), key);
        }
    }
}
