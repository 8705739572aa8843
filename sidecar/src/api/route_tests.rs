use std::collections::BTreeMap;

use super::*;

#[test]
fn each_path_has_one_meaning() {
    let name = || "orders".to_owned();
    let table = [
        ("/", Route::Index),
        ("/healthz", Route::Alive),
        ("/readyz", Route::InStep),
        ("/v1/openapi.json", Route::OpenApi),
        ("/v1/services", Route::Services),
        ("/v1/services/orders", Route::Service(name())),
        ("/v1/services/orders%2Eshop", Route::Service("orders.shop".to_owned())),
        ("/v1/services/pick", Route::Service("pick".to_owned())),
        ("/v1/services/orders/pick", Route::Pick(name())),
        ("/v1/services/orders/watch", Route::Watch(name())),
        ("/v1/instances", Route::Instances),
        ("/v1/explain/orders", Route::Explain(name(), None)),
        ("/v1/explain/orders/fd00%3A%3A1-80", Route::Explain(name(), Some("fd00::1-80".to_owned()))),
        ("/v1/ready", Route::Gate),
        ("/v1/report", Route::Report),
        ("/v1/self", Route::Own),
        ("/v1/self/orders", Route::Own),
        ("/v1/self/health", Route::Own),
    ];
    for (path, route) in table {
        assert_eq!(Route::of(path), Ok(route), "{path}");
    }
}

#[test]
fn tricks_with_paths_lead_nowhere() {
    for path in [
        "",
        "*",
        "//",
        "//v1/services/orders",
        "/v1",
        "/v1/",
        "/V1/services",
        "/v1/services/orders/",
        "/v1/services/orders/pick/",
        "/v1/services/orders/pick/x",
        "/v1/services/orders/other",
        "/v1/services/../self",
        "/v1/./services",
        "/v1/%73ervices",
        "/v1/services;a=b",
        "/v1/explain",
        "/v1/explain/orders/id/more",
        "/v1/self/orders/more",
        "/v2/services",
        "/healthz/",
        "/metrics",
        "/v1/explain/orders/id/more/still",
    ] {
        assert_eq!(Route::of(path).map_err(|refusal| refusal.slug), Err(Slug::UnknownPath), "{path}");
    }
    for path in ["/v1/services/a%2", "/v1/services/%ff", "/v1/explain/a/%zz"] {
        assert_eq!(Route::of(path).map_err(|refusal| refusal.slug), Err(Slug::InvalidQuery), "{path}");
    }
    // What is behind an escape is a name, and names hold no such thing.
    assert_eq!(Route::of("/v1/services/a%2Fpick"), Ok(Route::Service("a/pick".to_owned())));
    assert_eq!(Route::of("/v1/services/.."), Ok(Route::Service("..".to_owned())));
}

/// The document's paths with an example in each place, and the methods of each.
fn documented() -> BTreeMap<String, Vec<String>> {
    let document: serde_json::Value = serde_json::from_str(super::super::OPENAPI).unwrap();
    let paths = document["paths"].as_object().unwrap();
    // The classic calls have paths of their own, and their own reader.
    let native = paths.iter().filter(|(path, _)| !path.starts_with("/{name}/"));
    let example =
        |path: &str| path.replace("{name}", "orders").replace("{id}", "u1-80").replace("{service}", "orders");
    let methods = |item: &serde_json::Value| {
        let keys = item.as_object().unwrap().keys();
        keys.filter(|key| *key != "parameters").map(|key| key.to_uppercase()).collect()
    };
    native.map(|(path, item)| (example(path), methods(item))).collect()
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let documented = documented();
    for (path, methods) in &documented {
        let route = Route::of(path).unwrap_or_else(|_| panic!("{path} leads nowhere"));
        // GET is told, and HEAD goes with it.
        let allowed: Vec<_> = route.methods(path).split(", ").filter(|method| *method != "HEAD").collect();
        let (mut methods, mut expected) = (methods.clone(), allowed);
        methods.sort();
        expected.sort_unstable();
        assert_eq!(methods, expected, "{path}");
    }
    let told =
        |wanted: &Route, path: &str| documented.contains_key(path) && Route::of(path).as_ref() == Ok(wanted);
    let name = || "orders".to_owned();
    for (path, route) in [
        ("/", Route::Index),
        ("/healthz", Route::Alive),
        ("/readyz", Route::InStep),
        ("/v1/openapi.json", Route::OpenApi),
        ("/v1/services", Route::Services),
        ("/v1/services/orders", Route::Service(name())),
        ("/v1/services/orders/pick", Route::Pick(name())),
        ("/v1/services/orders/watch", Route::Watch(name())),
        ("/v1/instances", Route::Instances),
        ("/v1/explain/orders", Route::Explain(name(), None)),
        ("/v1/explain/orders/u1-80", Route::Explain(name(), Some("u1-80".to_owned()))),
        ("/v1/ready", Route::Gate),
        ("/v1/report", Route::Report),
        ("/v1/self", Route::Own),
        ("/v1/self/orders", Route::Own),
        ("/v1/self/health", Route::Own),
        ("/v1/self/drain", Route::Own),
    ] {
        // Whoever adds a route is reminded here to tell of it.
        match route {
            Route::Index | Route::Alive | Route::InStep | Route::OpenApi | Route::Services => {}
            Route::Service(_) | Route::Pick(_) | Route::Watch(_) | Route::Instances => {}
            Route::Explain(..) | Route::Gate | Route::Report | Route::Own => {}
        }
        assert!(told(&route, path), "{path} is not in the document");
    }
}
