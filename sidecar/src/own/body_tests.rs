use super::*;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_body_is_read_with_its_ports_in_their_order() {
    let body = r#"{"service":"orders","version":"1.4.2","ports":{"http":8080,"admin":9090},"tags":["blue"],"metadata":{"team":"payments"},"weight":50,"probe":"http:/healthz","ttl":"15s"}"#;
    let said = registration(json(body), None).unwrap();
    let ports: Vec<_> = said.ports.iter().map(|port| (port.name.as_deref().unwrap(), port.port)).collect();
    assert_eq!(ports, [("http", 8080), ("admin", 9090)]);
    assert_eq!((said.ttl_seconds, said.weight, said.beside), (Some(15), Some(50), false));
    assert_eq!(said.metadata["team"], "payments");

    let orders = "orders".parse().unwrap();
    let least = registration(json(r#"{"version":null,"ttl":20}"#), Some(&orders)).unwrap();
    assert_eq!((least.service.as_str(), least.version, least.ttl_seconds), ("orders", None, Some(20)));
}

#[test]
fn what_is_wrong_is_named_by_its_field() {
    let table = [
        (r#"[]"#, BODY),
        (r#""orders""#, BODY),
        (r#"{"service":"orders","verison":"1.4.2"}"#, BODY),
        (r#"{}"#, "service"),
        (r#"{"service":"Orders"}"#, "service"),
        (r#"{"service":"1-2-3"}"#, "service"),
        (r#"{"service":"orders.shop"}"#, "service"),
        (r#"{"service":7}"#, "service"),
        (r#"{"service":"a","service":"b"}"#, "service"),
        (r#"{"service":"a","version":"1.4"}"#, "version"),
        (r#"{"service":"a","version":1.4}"#, "version"),
        (r#"{"service":"a","ports":[8080]}"#, "ports"),
        (r#"{"service":"a","ports":{"http":0}}"#, "ports"),
        (r#"{"service":"a","ports":{"http":70000}}"#, "ports"),
        (r#"{"service":"a","ports":{"http":-1}}"#, "ports"),
        (r#"{"service":"a","ports":{"http":"8080"}}"#, "ports"),
        (r#"{"service":"a","ports":{"HTTP":8080}}"#, "ports"),
        (r#"{"service":"a","ports":{"http":1,"http":2}}"#, "ports"),
        (r#"{"service":"a","tags":"blue"}"#, "tags"),
        (r#"{"service":"a","tags":[1]}"#, "tags"),
        (r#"{"service":"a","tags":[""]}"#, "tags"),
        (r#"{"service":"a","metadata":{"k":1}}"#, "metadata"),
        (r#"{"service":"a","metadata":{"":"v"}}"#, "metadata"),
        (r#"{"service":"a","metadata":["k"]}"#, "metadata"),
        (r#"{"service":"a","weight":1001}"#, "weight"),
        (r#"{"service":"a","weight":99999999999}"#, "weight"),
        (r#"{"service":"a","weight":1.5}"#, "weight"),
        (r#"{"service":"a","weight":true}"#, "weight"),
        (r#"{"service":"a","probe":"icmp"}"#, "probe"),
        (r#"{"service":"a","probe":"http:healthz"}"#, "probe"),
        (r#"{"service":"a","ttl":"soon"}"#, "ttl"),
        (r#"{"service":"a","ttl":"1500ms"}"#, "ttl"),
        (r#"{"service":"a","ttl":0}"#, "ttl"),
        (r#"{"service":"a","ttl":3601}"#, "ttl"),
        (r#"{"service":"a","ttl":18446744073709551615}"#, "ttl"),
        (r#"{"service":"a","ttl":"61m"}"#, "ttl"),
    ];
    for (body, field) in table {
        let error = registration(json(body), None).expect_err(body);
        assert_eq!(error.field, field, "{body}: {error}");
        assert!(!error.remedy.is_empty());
    }
    let other = registration(json(r#"{"service":"a"}"#), Some(&"b".parse().unwrap())).unwrap_err();
    assert_eq!(other.field, "service");
}

#[test]
fn a_classic_body_beats_and_may_hold_what_nobody_knows() {
    let body = r#"{"address":"10.1.2.3","port":8080,"healthCheckUrl":"/x","metadata":{"k":"v"},"weight":5}"#;
    let body = classic(json(body)).unwrap();
    assert_eq!((body.address.as_deref(), body.port), (Some("10.1.2.3"), 8080));
    let said = body.registration("orders".parse().unwrap(), "1.4.2".to_owned()).unwrap();
    assert_eq!((said.ttl_seconds, said.weight, said.beside), (Some(15), Some(5), true));
    assert_eq!(said.key().port, Some(8080));
    let own_ttl = classic(json(r#"{"address":"","port":1,"ttl":"2s","probe":"tcp"}"#)).unwrap();
    assert_eq!(own_ttl.address, None);
    let said = own_ttl.registration("orders".parse().unwrap(), "1.4.2".to_owned()).unwrap();
    assert_eq!((said.ttl_seconds, said.probe.as_deref()), (Some(2), Some("tcp")));

    for (body, field) in [
        (r#"{}"#, "port"),
        (r#"{"port":"8080"}"#, "port"),
        (r#"{"port":0}"#, "port"),
        (r#"{"port":65536}"#, "port"),
        (r#"{"port":1,"address":5}"#, "address"),
        (r#"{"port":1,"ttl":"x"}"#, "ttl"),
        (r#"[1]"#, BODY),
    ] {
        assert_eq!(classic(json(body)).unwrap_err().field, field, "{body}");
    }
    let bad = classic(json(r#"{"port":1}"#)).unwrap();
    assert_eq!(bad.registration("orders".parse().unwrap(), "1.4".to_owned()).unwrap_err().field, "version");
}

#[test]
fn an_app_says_that_it_serves_or_fails() {
    let said = health(json(r#"{"state":"serving","ttl":"15s","output":"well"}"#)).unwrap();
    assert_eq!(said, AppWord { failing: false, ttl_ms: Some(15_000), output: "well".to_owned() });
    assert!(health(json(r#"{"state":"failing"}"#)).unwrap().failing);
    let long = format!(r#"{{"state":"failing","output":"{}"}}"#, "x".repeat(1_025));
    for (body, field) in [
        (r#"{}"#, "state"),
        (r#"{"state":"sick"}"#, "state"),
        (r#"{"state":"serving","ttl":"500ms"}"#, "ttl"),
        (r#"{"state":"serving","out":""}"#, BODY),
        (&long, "output"),
    ] {
        assert_eq!(health(json(body)).unwrap_err().field, field, "{body}");
    }
}
