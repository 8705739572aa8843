//! What a path means.

use rollcall_catalogue::{NameError, ServiceKey, ServiceRef};
use rollcall_wire::{Problem, Slug, query::segment};

/// Says what is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Index,
    Services,
    Service(ServiceKey),
    Consumers(ServiceKey),
    Instances,
    /// A service, and the one instance of it that is meant.
    Explain(ServiceKey, Option<String>),
    Catalogue,
    WithoutSidecar,
    Failing,
    Sessions,
    LogLevel,
}

// === impl Route ===

impl Route {
    pub(super) fn of(path: &str) -> Result<Self, Problem> {
        let Some(path) = path.strip_prefix('/') else { return Err(nothing_here()) };
        let mut segments = path.split('/');
        let route = match [(); 4].map(|()| segments.next()) {
            [Some(""), None, ..] => Self::Index,
            [Some("v1"), Some("services"), None, _] => Self::Services,
            [Some("v1"), Some("services"), Some(name), None] => Self::Service(service(name)?),
            [Some("v1"), Some("services"), Some(name), Some("consumers")] if segments.next().is_none() => {
                Self::Consumers(service(name)?)
            }
            [Some("v1"), Some("instances"), None, _] => Self::Instances,
            [Some("v1"), Some("explain"), Some(name), None] => Self::Explain(service(name)?, None),
            [Some("v1"), Some("explain"), Some(name), Some(id)] if segments.next().is_none() => {
                Self::Explain(service(name)?, Some(segment(id)?))
            }
            [Some("v1"), Some("catalogue"), None, _] => Self::Catalogue,
            [Some("v1"), Some("without-sidecar"), None, _] => Self::WithoutSidecar,
            [Some("v1"), Some("failing"), None, _] => Self::Failing,
            [Some("v1"), Some("sessions"), None, _] => Self::Sessions,
            [Some("v1"), Some("log-level"), None, _] => Self::LogLevel,
            _ => return Err(nothing_here()),
        };
        Ok(route)
    }
}

fn nothing_here() -> Problem {
    Problem::new(Slug::UnknownPath, "there is nothing here").hint("GET / lists what there is")
}

fn service(name: &str) -> Result<ServiceKey, Problem> {
    let invalid = |detail: String| {
        Problem::new(Slug::InvalidQuery, detail)
            .field("name")
            .hint("use `service.namespace`, both DNS-1123 labels")
    };
    let name: ServiceRef = segment(name)?.parse().map_err(|error: NameError| invalid(error.to_string()))?;
    let ServiceRef { service, namespace } = name;
    // A sidecar has a namespace of its own to fall back on; a controller has not.
    let namespace = namespace.ok_or_else(|| invalid(format!("name: `{service}` lacks its namespace")))?;
    Ok(ServiceKey { namespace, service })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_one_meaning() {
        let orders = || "orders.shop".parse().unwrap();
        let table = [
            ("/", Route::Index),
            ("/v1/services", Route::Services),
            ("/v1/services/orders.shop", Route::Service(orders())),
            ("/v1/services/orders%2Eshop", Route::Service(orders())),
            ("/v1/services/orders.shop/consumers", Route::Consumers(orders())),
            ("/v1/instances", Route::Instances),
            ("/v1/explain/orders.shop", Route::Explain(orders(), None)),
            ("/v1/explain/orders.shop/fd00::1-80", Route::Explain(orders(), Some("fd00::1-80".to_owned()))),
            (
                "/v1/explain/orders.shop/fd00%3A%3A1-80",
                Route::Explain(orders(), Some("fd00::1-80".to_owned())),
            ),
            ("/v1/catalogue", Route::Catalogue),
            ("/v1/without-sidecar", Route::WithoutSidecar),
            ("/v1/failing", Route::Failing),
            ("/v1/sessions", Route::Sessions),
            ("/v1/log-level", Route::LogLevel),
        ];
        for (path, route) in table {
            assert_eq!(Route::of(path), Ok(route), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_and_what_is_no_name() {
        let table = [
            ("", Slug::UnknownPath),
            ("//", Slug::UnknownPath),
            ("*", Slug::UnknownPath),
            ("/v1", Slug::UnknownPath),
            ("/v1/", Slug::UnknownPath),
            ("/v2/services", Slug::UnknownPath),
            ("/V1/services", Slug::UnknownPath),
            ("/v1/services/orders.shop/pick", Slug::UnknownPath),
            ("/v1/services/orders.shop/consumers/more", Slug::UnknownPath),
            ("/v1/services/orders/consumers", Slug::InvalidQuery),
            ("/v1/failing/orders.shop", Slug::UnknownPath),
            ("/v1/explain", Slug::UnknownPath),
            ("/v1/explain/orders.shop/id/more", Slug::UnknownPath),
            ("/v1/catalogue/", Slug::UnknownPath),
            ("/v1/services/", Slug::InvalidQuery),
            ("/v1/services/orders", Slug::InvalidQuery),
            ("/v1/services/Orders.shop", Slug::InvalidQuery),
            ("/v1/services/orders.shop.more", Slug::InvalidQuery),
            ("/v1/services/1-2-3.shop", Slug::InvalidQuery),
            ("/v1/services/orders%2", Slug::InvalidQuery),
            ("/v1/explain/orders", Slug::InvalidQuery),
            ("/v1/explain/orders.shop/%ff", Slug::InvalidQuery),
        ];
        for (path, slug) in table {
            let problem = Route::of(path).unwrap_err();
            assert_eq!(problem.slug, slug, "{path}: {problem:?}");
            assert!(problem.hint.is_some(), "{path}");
        }
    }
}
