//! The OpenAPI document against the sidecar: each operation is tried, and what comes back is what the document says.

use std::collections::BTreeSet;

use rollcall_controller::Authority;
use serde_json::Value;

use crate::{
    bench::{Answer, Pod, request},
    service::with_orders,
};

/// Holds one request of an operation, and the status that it is to have.
struct Try {
    /// The operation, as the document names it.
    operation: (&'static str, &'static str),
    target: &'static str,
    body: Option<&'static str>,
    status: u16,
}

const fn read(path: &'static str, target: &'static str, status: u16) -> Try {
    Try { operation: ("get", path), target, body: None, status }
}

const fn write(
    operation: (&'static str, &'static str),
    target: &'static str,
    body: &'static str,
    status: u16,
) -> Try {
    Try { operation, target, body: Some(body), status }
}

const TRIES: &[Try] = &[
    read("/", "/", 200),
    read("/healthz", "/healthz", 200),
    read("/readyz", "/readyz", 200),
    read("/v1/openapi.json", "/v1/openapi.json", 200),
    read("/v1/openapi.json", "/v1/openapi.json?x=1", 400),
    read("/v1/services", "/v1/services", 200),
    read("/v1/services", "/v1/services?namespace=shop", 400),
    read("/v1/services/{name}", "/v1/services/orders", 200),
    read("/v1/services/{name}", "/v1/services/orders.shop?port=grpc&all=true", 200),
    read("/v1/services/{name}", "/v1/services/nothing", 404),
    read("/v1/services/{name}", "/v1/services/Orders", 400),
    read("/v1/services/{name}/pick", "/v1/services/orders/pick", 200),
    read("/v1/services/{name}/pick", "/v1/services/orders/pick?tag=red", 503),
    read("/v1/services/{name}/pick", "/v1/services/orders/pick?policy=hash", 400),
    read("/v1/services/{name}/pick", "/v1/services/orders/pick?all=true", 400),
    read("/v1/services/{name}/watch", "/v1/services/nothing/watch", 404),
    read("/v1/instances", "/v1/instances?address=10.0.0.1", 200),
    read("/v1/instances", "/v1/instances", 400),
    read("/v1/explain/{name}", "/v1/explain/orders", 200),
    read("/v1/explain/{name}", "/v1/explain/nothing", 404),
    read("/v1/explain/{name}/{id}", "/v1/explain/orders/u1-8080", 200),
    read("/v1/explain/{name}/{id}", "/v1/explain/orders/u9-8080", 404),
    read("/v1/ready", "/v1/ready?deps=orders", 200),
    read("/v1/ready", "/v1/ready?deps=orders>=200", 503),
    read("/v1/ready", "/v1/ready", 400),
    write(
        ("post", "/v1/report"),
        "/v1/report",
        r#"{"service":"orders","instance":"u1-8080","latencyMs":5,"outcome":"success"}"#,
        204,
    ),
    write(("post", "/v1/report"), "/v1/report", "[", 400),
    write(("post", "/v1/report"), "/v1/report", "{}", 422),
    write(
        ("post", "/v1/report"),
        "/v1/report",
        r#"{"service":"orders","instance":"u1-8080","latencyMs":5,"outcome":"great"}"#,
        422,
    ),
    read("/v1/self", "/v1/self", 200),
    write(("put", "/v1/self"), "/v1/self", r#"{"service":"web","ports":{"http":8081}}"#, 200),
    write(("put", "/v1/self"), "/v1/self", r#"{"service":"Web","ports":{"http":8081}}"#, 422),
    write(("put", "/v1/self/{service}"), "/v1/self/billing", r#"{"ports":{"http":8081},"ttl":"15s"}"#, 200),
    read("/v1/self", "/v1/self", 200),
    write(
        ("put", "/v1/self/health"),
        "/v1/self/health",
        r#"{"state":"serving","ttl":"15s","output":""}"#,
        204,
    ),
    write(("put", "/v1/self/health"), "/v1/self/health", r#"{"state":"fine"}"#, 422),
    write(("post", "/v1/self/drain"), "/v1/self/drain?deadline=5s", "", 200),
    write(("post", "/v1/self/drain"), "/v1/self/drain?deadline=soon", "", 400),
    write(("delete", "/v1/self/drain"), "/v1/self/drain", "", 204),
    write(("delete", "/v1/self/{service}"), "/v1/self/billing", "", 204),
    write(("delete", "/v1/self"), "/v1/self", "", 204),
    write(("post", "/{name}/{version}/register"), "/web/1.0.0/register", r#"{"port":8082}"#, 200),
    write(("post", "/{name}/{version}/register"), "/web/1.0.0/register", r#"{"port":8082}"#, 409),
    write(("post", "/{name}/{version}/register"), "/web/1.0.0/register", r#"{"port":0}"#, 422),
    read("/{name}/{version}/getaddresses", "/orders/1.1.0/getaddresses", 200),
    read("/{name}/{version}/getaddresses", "/nothing/1.1.0/getaddresses", 404),
    read("/{name}/{version}/heartbeat", "/web/1.0.0/heartbeat", 200),
    read("/{name}/{version}/heartbeat", "/nothing/1.0.0/heartbeat", 404),
    write(("post", "/{name}/{version}/deregister"), "/web/1.0.0/deregister", r#"{"port":8082}"#, 200),
    write(("post", "/{name}/{version}/deregister"), "/web/1.0.0/deregister", r#"{"port":8082}"#, 404),
];

/// Finds what a value is to be, and says where it is not.
struct Document(Value);

impl Document {
    /// The value itself, or what it refers to.
    fn meant<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = self.meant(schema);
        if let Some(allowed) = schema["enum"].as_array() {
            return if allowed.contains(value) {
                Ok(())
            } else {
                Err(format!("{at}: {value} is none of {allowed:?}"))
            };
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => return Err(format!("{at}: the schema has no type")),
        };
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !kinds.contains(&kind) {
            return Err(format!("{at}: {value} is not of {kinds:?}"));
        }
        if value.is_null() {
            return Ok(());
        }
        for (bound, outside) in [("minimum", -1.0), ("maximum", 1.0)] {
            if let (Some(bound), Some(number)) = (schema[bound].as_f64(), value.as_f64())
                && (number - bound) * outside > 0.0
            {
                return Err(format!("{at}: {number} is beyond {bound}"));
            }
        }
        for (number, item) in value.as_array().into_iter().flatten().enumerate() {
            self.check(&schema["items"], item, &format!("{at}[{number}]"))?;
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(name).is_none() {
                return Err(format!("{at}: lacks {name}"));
            }
        }
        for (name, item) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            match (schema["properties"].get(name), &schema["additionalProperties"]) {
                (Some(schema), _) => self.check(schema, item, &at)?,
                (None, Value::Object(_)) => self.check(&schema["additionalProperties"], item, &at)?,
                (None, Value::Bool(true)) => {}
                // Answers may grow, and then the document is to say so.
                (None, _) if schema.get("properties").is_some() => {
                    return Err(format!("{at}: is not documented"));
                }
                (None, _) => {}
            }
        }
        Ok(())
    }

    /// Whether this is an answer that the operation may have.
    fn judge(&self, (method, path): (&str, &str), answer: &Answer) -> Result<(), String> {
        let responses = &self.0["paths"][path][method]["responses"];
        let response = self.meant(&responses[answer.status.to_string()]);
        if response.is_null() {
            return Err(format!("status {} is not documented", answer.status));
        }
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let value = answer.header(name).ok_or_else(|| format!("lacks {name}"))?;
            let schema = &self.meant(header)["schema"];
            let value = match schema["type"] == "integer" {
                true => value.parse::<u64>().map_err(|error| format!("{name}: {error}"))?.into(),
                false => Value::from(value),
            };
            self.check(schema, &value, name)?;
        }
        let Some(content) = response["content"].as_object() else {
            return if answer.body.is_empty() { Ok(()) } else { Err("has a body".to_owned()) };
        };
        let kind = answer.header("content-type").unwrap_or_default();
        let schema =
            &content.get(kind).ok_or_else(|| format!("is {kind}, which is not documented"))?["schema"];
        match kind.ends_with("json") {
            true => {
                let body = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
                self.check(schema, &body, "body")
            }
            false => Ok(()),
        }
    }
}

async fn document(pod: &Pod) -> Document {
    Document(serde_json::from_str(&pod.get("/v1/openapi.json").await.body).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_answers_as_the_document_says() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    let document = document(&pod).await;
    let mut wrong = Vec::new();
    let mut tried = BTreeSet::new();
    for Try { operation, target, body, status } in TRIES {
        let method = operation.0.to_uppercase();
        let body = body.unwrap_or_default();
        let head = match body {
            "" => format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n"),
            body => format!(
                "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            ),
        };
        let answer = request(pod.api, &head).await;
        if answer.status != *status {
            wrong.push(format!("{method} {target}: {answer:?} in place of {status}"));
        } else if let Err(problem) = document.judge(*operation, &answer) {
            wrong.push(format!("{method} {target}: {problem}"));
        }
        tried.insert((operation.1, operation.0));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let paths = document.0["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(move |method| (path.as_str(), method.as_str()))
    });
    let untried: Vec<_> = all.filter(|one| !tried.contains(one)).collect();
    assert!(untried.is_empty(), "{untried:?}");
}

/// References that lead somewhere, and placeholders that are explained.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_whole() {
    let authority = Authority::generate("test").unwrap();
    let (_played, pod) = with_orders(&authority).await;
    let document = document(&pod).await;
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(items) => {
                found.extend(items.get("$ref").and_then(Value::as_str));
                items.values().for_each(|item| references(item, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    references(&document.0, &mut found);
    for kind in ["schemas", "parameters", "headers", "responses"] {
        for name in document.0["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(found.contains(reference.as_str()), "{reference} is used nowhere");
        }
    }
    for reference in found {
        assert!(document.0.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    for (path, item) in document.0["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let parameters: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
            let explained = |name: &str| {
                parameters.iter().any(|one| {
                    let meant = document.meant(one);
                    meant["in"] == "path" && meant["name"] == name
                })
            };
            for name in path.split('{').skip(1).filter_map(|part| part.split('}').next()) {
                assert!(explained(name), "{path}: {name} is not explained");
            }
        }
    }
}
