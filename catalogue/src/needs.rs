//! What an app needs to start, as `GET /v1/ready?deps=` and the annotation `rollcall.dev/requires` have it.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::names::{NameError, ServiceRef, shortened};

/// Services that one app needs to start: more than anybody could name who knows his app.
pub const NEEDS_MAX: usize = 64;

/// Holds what is needed of one service; written `orders`, or `orders>=2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    pub service: ServiceRef,
    pub count: usize,
}

/// Says why a text is no need, or no list of them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NeedError {
    #[error("`{0}` is no number of instances")]
    Count(String),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("{0} services are too many")]
    TooMany(usize),
}

// === impl Need ===

impl Need {
    /// `orders>=2,billing`; the first thing that is wrong decides.
    pub fn list(text: &str) -> Result<Vec<Self>, NeedError> {
        let mut needs = Vec::new();
        let mut all = 0;
        // An annotation may be 256 KiB of them: no more are kept than may be.
        for need in text.split(',').map(str::parse) {
            let need = need?;
            all += 1;
            if needs.len() < NEEDS_MAX {
                needs.push(need);
            }
        }
        if all > NEEDS_MAX { Err(NeedError::TooMany(all)) } else { Ok(needs) }
    }
}

impl FromStr for Need {
    type Err = NeedError;

    fn from_str(text: &str) -> Result<Self, NeedError> {
        let (service, count) = match text.split_once(">=") {
            Some((service, count)) => (service.trim(), count.trim()),
            None => (text.trim(), "1"),
        };
        let digits = count.bytes().all(|byte| byte.is_ascii_digit());
        let number = count.parse().ok().filter(|count| digits && *count > 0);
        let count = number.ok_or_else(|| NeedError::Count(shortened(count)))?;
        Ok(Self { service: service.parse()?, count })
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(f, "{}", self.service),
            count => write!(f, "{}>={count}", self.service),
        }
    }
}

// === impl NeedError ===

impl NeedError {
    /// What would be right.
    pub fn remedy(&self) -> String {
        match self {
            Self::Count(_) => "use a number from 1 on, as in orders>=2".to_owned(),
            Self::Name(_) => "use `service` or `service.namespace`, with commas between them".to_owned(),
            Self::TooMany(_) => format!("name at most {NEEDS_MAX}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_written_as_in_the_annotation() {
        for (text, service, count, written) in [
            ("orders", "orders", 1, "orders"),
            ("orders.shop", "orders.shop", 1, "orders.shop"),
            ("orders>=2", "orders", 2, "orders>=2"),
            (" orders.shop >= 10 ", "orders.shop", 10, "orders.shop>=10"),
            ("orders>=01", "orders", 1, "orders"),
        ] {
            let need: Need = text.parse().unwrap();
            assert_eq!(need, Need { service: service.parse().unwrap(), count }, "{text}");
            assert_eq!(need.to_string(), written, "{text}");
        }
        for bad in [
            "",
            "orders>=",
            "orders>=0",
            "orders>=-1",
            "orders>=+1",
            "orders>=x",
            "orders>2",
            ">=2",
            "Orders",
            "a.b.c",
            "orders=2",
        ] {
            let error = bad.parse::<Need>().unwrap_err();
            assert!(error.remedy().starts_with("use "), "{bad}");
        }
    }

    #[test]
    fn a_list_is_bounded_and_its_first_fault_is_told() {
        assert_eq!(Need::list("orders>=2, billing").unwrap().len(), 2);
        let names = |count: usize| vec!["orders"; count].join(",");
        assert_eq!(Need::list(&names(64)).unwrap().len(), 64);
        assert_eq!(Need::list(&names(65)), Err(NeedError::TooMany(65)));
        assert!(matches!(Need::list(&format!("{},Orders", names(65))), Err(NeedError::Name(_))));
        assert!(matches!(Need::list("orders,"), Err(NeedError::Name(_))));
    }
}
