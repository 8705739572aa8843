//! What a managed registration is called.

use std::{fmt::Write, sync::Arc};

use rollcall_catalogue::{PodUid, ServiceName, Version};
use rollcall_wire::RegistrationKey;
use sha2::{Digest, Sha256};

/// Bytes of the hash that a name may end with: nobody finds two versions with the same eight.
const HASH_BYTES: usize = 8;

/// The name of the registration that stands for a version of a service: `orders`, `orders-1.4.2`. No two services and
/// versions of a namespace have the same.
///
/// A version with capitals, with `+`, or with a dash where Kubernetes allows none, has its characters replaced and a
/// hash appended, all in one label of its own: `orders.1-4-2-build-7-0123456789abcdef`. Such a name is never that of
/// another version, whose second label is a number.
pub fn managed_name(service: &ServiceName, version: Option<&Version>) -> Arc<str> {
    let Some(version) = version else { return service.as_str().into() };
    let version = version.to_string();
    let plain = format!("{service}-{version}");
    if is_subdomain(&plain) {
        return plain.into();
    }
    let mut name = format!("{service}.");
    name.extend(version.chars().map(|c| match c {
        '.' | '+' => '-',
        c => c.to_ascii_lowercase(),
    }));
    name.push('-');
    name.push_str(&hash(version.as_bytes()));
    name.into()
}

/// The name of the registration that keeps what a pod's app says: `orders.pod-0123456789abcdef`. No two words of a
/// namespace have the same; and it is nobody's name from above, whose second label begins with a digit.
pub fn app_name(key: &RegistrationKey, uid: &PodUid) -> Arc<str> {
    let RegistrationKey { service, port } = key;
    // A UID holds no slash, and a service no dot.
    let port = port.map(|port| port.to_string()).unwrap_or_default();
    let mut name = format!("{service}.pod-");
    name.push_str(&hash(format!("{uid}/{service}/{port}").as_bytes()));
    name.into()
}

fn hash(of: &[u8]) -> String {
    let mut hash = String::new();
    for byte in Sha256::digest(of).iter().take(HASH_BYTES) {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}

/// Whether this may be an object's name, as far as services and versions can break it; both are bounded to less than
/// the 253 bytes that a name may have.
fn is_subdomain(name: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.split('.').map(str::as_bytes).all(|label| {
        label.first().is_some_and(alphanumeric)
            && label.last().is_some_and(alphanumeric)
            && label.iter().all(|b| alphanumeric(b) || *b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The most that a name may have.
    const NAME_BYTES_MAX: usize = 253;

    fn name(service: &str, version: &str) -> String {
        let version: Option<Version> = (!version.is_empty()).then(|| version.parse().unwrap());
        managed_name(&service.parse().unwrap(), version.as_ref()).to_string()
    }

    #[test]
    fn names_are_readable_where_they_can_be() {
        assert_eq!(name("orders", ""), "orders");
        assert_eq!(name("orders", "1.4.2"), "orders-1.4.2");
        assert_eq!(name("orders", "1.4.2-rc.1"), "orders-1.4.2-rc.1");
        let mapped = [("1.4.2+build.7", "orders.1-4-2-build-7-"), ("1.4.2-RC1", "orders.1-4-2-rc1-")];
        for (version, begin) in mapped {
            let name = name("orders", version);
            assert!(name.starts_with(begin) && name.len() == begin.len() + 2 * HASH_BYTES, "{name}");
        }
        assert!(
            name("orders", "1.4.2-a.-b").starts_with("orders.1-4-2-a--b-"),
            "a label begins with no dash"
        );
    }

    proptest! {
        #[test]
        fn names_are_legal_and_differ(
            a in "[a-z]([a-z0-9-]{0,8}[a-z0-9])?", b in "[a-z]([a-z0-9-]{0,8}[a-z0-9])?",
            v in "([0-9]\\.[0-9]\\.[0-9](-[a-zA-Z-]([0-9a-zA-Z-]|\\.[a-zA-Z-]){0,4})?(\\+[0-9A-Za-z]{1,3})?)?",
            w in "([0-9]\\.[0-9]\\.[0-9](-[a-zA-Z-]([0-9a-zA-Z-]|\\.[a-zA-Z-]){0,4})?(\\+[0-9A-Za-z]{1,3})?)?",
        ) {
            let names = [name(&a, &v), name(&a, &w), name(&b, &v)];
            prop_assert!(names.iter().all(|name| is_subdomain(name) && name.len() <= NAME_BYTES_MAX), "{names:?}");
            prop_assert_eq!(names[0] == names[1], v == w);
            prop_assert_eq!(names[0] == names[2], a == b);
            prop_assert_eq!(names[1] == names[2], (&a, &w) == (&b, &v));
        }

        #[test]
        fn words_of_apps_have_names_of_their_own(
            a in "[a-z]([a-z0-9-]{0,8}[a-z0-9])?", b in "[a-z]([a-z0-9-]{0,8}[a-z0-9])?",
            p in proptest::option::of(1u32..4), q in proptest::option::of(1u32..4),
            u in "[0-9a-f-]{1,3}", w in "[0-9a-f-]{1,3}",
            v in "([0-9]\\.[0-9]\\.[0-9](-[a-zA-Z-]{1,4})?)?",
        ) {
            let of = |service: &str, port, uid: &str| {
                let key = RegistrationKey { service: service.parse().unwrap(), port };
                app_name(&key, &uid.into()).to_string()
            };
            let (one, other) = (of(&a, p, &u), of(&b, q, &w));
            prop_assert!(is_subdomain(&one) && one.len() <= NAME_BYTES_MAX);
            prop_assert_eq!(one == other, (&a, p, &u) == (&b, q, &w));
            prop_assert!(one != name(&a, &v) && one != name(&b, &v));
        }

        #[test]
        fn the_longest_fit(tail in "[A-Z]{120}") {
            let name = name(&"s".repeat(63), &format!("1.4.2-{tail}"));
            prop_assert!(name.len() <= NAME_BYTES_MAX && is_subdomain(&name));
        }

        #[test]
        fn a_hashed_name_is_nobodys_plain_one(
            service in "[a-z][a-z0-9-]{0,4}[a-z0-9]", version in "[0-9]\\.[0-9]\\.[0-9]-[A-Z]{1,4}",
        ) {
            let hashed = name(&service, &version);
            let second = hashed.split('.').nth(1).unwrap();
            prop_assert!(second.bytes().any(|b| !b.is_ascii_digit()), "a plain name has its minor version there");
        }
    }
}
