//! What an app writes of itself, in a body or in a file: read field by field, so that a bad one is named with its remedy.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_catalogue::{Namespace, ServiceName, ValueError, shortened};
use rollcall_wire::{SelfPort, SelfRegistration, query::duration};

use super::{health::AppWord, value::Value};

/// Characters of what the app says of its health for people: a line of a log.
const OUTPUT_CHARS_MAX: usize = 1_024;
/// An app's word is good for an hour at most: who speaks more rarely is no witness of itself.
const TTL_MS_MAX: u64 = 3_600_000;
/// What beats each second is as close a watch as anybody needs.
const TTL_MS_MIN: u64 = 1_000;
/// For how long a beat is good where a classic caller does not say.
const CLASSIC_TTL_SECONDS: u32 = 15;

/// Names the body as a whole, where no field of it is to blame.
pub(crate) const BODY: &str = "body";

const REGISTRATION: &[&str] = &["service", "version", "ports", "tags", "metadata", "weight", "probe", "ttl"];
const CLASSIC: &[&str] = &["address", "port", "ttl", "metadata", "tags", "weight", "probe"];

/// Holds what a classic caller registers or takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassicBody {
    /// None is the pod's own.
    pub(crate) address: Option<String>,
    pub(crate) port: u16,
    /// All that it says besides.
    rest: SelfRegistration,
}

/// Holds the fields of a body while they are read.
struct Fields(BTreeMap<&'static str, Value>);

/// The registration that a body is. `named`: the service that the path says.
pub(crate) fn registration(body: Value, named: Option<&ServiceName>) -> Result<SelfRegistration, ValueError> {
    let mut fields = Fields::of(body, REGISTRATION, true)?;
    let service = match (fields.text("service")?, named) {
        (Some(said), Some(named)) if said != named.as_str() => {
            return Err(refused("service", "another one than in the path".to_owned(), "leave it out"));
        }
        (_, Some(named)) => named.clone(),
        (Some(said), None) => said.parse().map_err(|error: rollcall_catalogue::NameError| {
            refused("service", error.to_string(), "use a name as orders, without a namespace")
        })?,
        (None, None) => return Err(refused("service", "missing".to_owned(), "name the service")),
    };
    let ports = fields.map("ports", "use as {\"http\": 8080}")?;
    let said = SelfRegistration { ports: ports_of(ports)?, ..fields.rest(service)? };
    check(&said)?;
    Ok(said)
}

/// What a classic caller registers under this name and version.
pub(crate) fn classic(body: Value) -> Result<ClassicBody, ValueError> {
    // Its callers were written for another registry, which took more.
    let mut fields = Fields::of(body, CLASSIC, false)?;
    let address = fields.text("address")?.filter(|address| !address.is_empty());
    let port = fields.whole("port", "use 1 to 65535")?;
    let port = port.ok_or_else(|| refused("port", "missing".to_owned(), "name the one that the app has"))?;
    let port = port_of("port", port)?;
    // Whose it is stands in the path.
    let nobody = "nobody".parse().map_err(|_| refused("service", "none".to_owned(), "name it"))?;
    Ok(ClassicBody { address, port, rest: fields.rest(nobody)? })
}

/// What the app says of all that the pod is.
pub(crate) fn health(body: Value) -> Result<AppWord, ValueError> {
    let mut fields = Fields::of(body, &["state", "ttl", "output"], true)?;
    let remedy = "use serving or failing";
    let failing = match fields.text("state")?.as_deref() {
        Some("serving") => false,
        Some("failing") => true,
        Some(other) => return Err(refused("state", format!("`{}` is no state", shortened(other)), remedy)),
        None => return Err(refused("state", "missing".to_owned(), remedy)),
    };
    let output = fields.text("output")?.unwrap_or_default();
    if output.chars().count() > OUTPUT_CHARS_MAX {
        return Err(refused("output", "too long".to_owned(), "use at most 1,024 characters"));
    }
    Ok(AppWord { failing, ttl_ms: fields.ttl_ms()?, output })
}

/// What the domain says of it: the namespace is of no matter to that.
pub(crate) fn check(said: &SelfRegistration) -> Result<(), ValueError> {
    let anywhere: Namespace = "default"
        .parse()
        .map_err(|_| refused("service", "of no namespace".to_owned(), "use one as orders"))?;
    // An app writes `ttl`, where the wire says seconds.
    let named = |error: ValueError| match error.field {
        "ttlSeconds" => ValueError { field: "ttl", ..error },
        _ => error,
    };
    said.judge(&anywhere).map(drop).map_err(named)
}

// === impl ClassicBody ===

impl ClassicBody {
    /// As it is said to the controller: one address of the service among others, which beats.
    pub(crate) fn registration(
        self,
        service: ServiceName,
        version: String,
    ) -> Result<SelfRegistration, ValueError> {
        let port = SelfPort { name: None, port: self.port.into(), protocol: None, app_protocol: None };
        let said = SelfRegistration {
            service,
            version: Some(version),
            ports: vec![port],
            ttl_seconds: self.rest.ttl_seconds.or(Some(CLASSIC_TTL_SECONDS)),
            beside: true,
            ..self.rest
        };
        check(&said)?;
        Ok(said)
    }
}

// === impl Fields ===

impl Fields {
    /// `strict`: a field that nobody knows is refused.
    fn of(body: Value, known: &[&'static str], strict: bool) -> Result<Self, ValueError> {
        let Value::Map(entries) = body else {
            return Err(refused(BODY, "no object".to_owned(), "send one as {\"service\": \"orders\"}"));
        };
        let mut fields = BTreeMap::new();
        for (name, value) in entries {
            let Some(field) = known.iter().copied().find(|field| *field == name) else {
                if !strict {
                    continue;
                }
                // A slip of the pen that nobody notices would be a registration that nobody wanted.
                let problem = format!("`{}` is no field of this", shortened(&name));
                return Err(refused(BODY, problem, "see GET /v1/openapi.json for those that there are"));
            };
            if fields.insert(field, value).is_some() {
                return Err(refused(field, "stands twice".to_owned(), "say it once"));
            }
        }
        Ok(Self(fields))
    }

    /// What both kinds of bodies may say.
    fn rest(&mut self, service: ServiceName) -> Result<SelfRegistration, ValueError> {
        let weight = self.whole("weight", "use 0 to 1000")?;
        Ok(SelfRegistration {
            service,
            version: self.text("version")?,
            ports: Vec::new(),
            tags: self.texts("tags")?,
            metadata: self.metadata()?,
            // What is too much for the type is too much for the domain, which says so.
            weight: weight.map(|weight| u32::try_from(weight).unwrap_or(u32::MAX)),
            probe: self.text("probe")?,
            ttl_seconds: self.ttl_ms()?.map(whole_seconds).transpose()?,
            beside: false,
        })
    }

    /// What is null says nothing.
    fn take(&mut self, field: &str) -> Option<Value> {
        self.0.remove(field).filter(|value| *value != Value::Null)
    }

    fn text(&mut self, field: &'static str) -> Result<Option<String>, ValueError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(refused(field, "no text".to_owned(), "write it in quotes")),
        }
    }

    fn whole(&mut self, field: &'static str, remedy: &'static str) -> Result<Option<u64>, ValueError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Whole(number)) => Ok(Some(number)),
            Some(_) => Err(refused(field, "no whole number".to_owned(), remedy)),
        }
    }

    fn texts(&mut self, field: &'static str) -> Result<Vec<String>, ValueError> {
        let bad = || refused(field, "no list of texts".to_owned(), "use as [\"blue\"]");
        let list = match self.take(field) {
            None => return Ok(Vec::new()),
            Some(Value::List(list)) => list,
            Some(_) => return Err(bad()),
        };
        let text = |value| match value {
            Value::Text(text) => Ok(text),
            _ => Err(bad()),
        };
        list.into_iter().map(text).collect()
    }

    fn map(&mut self, field: &'static str, remedy: &'static str) -> Result<Vec<(String, Value)>, ValueError> {
        let entries = match self.take(field) {
            None => return Ok(Vec::new()),
            Some(Value::Map(entries)) => entries,
            Some(_) => return Err(refused(field, "no object".to_owned(), remedy)),
        };
        let distinct: BTreeSet<&String> = entries.iter().map(|(name, _)| name).collect();
        if distinct.len() < entries.len() {
            return Err(refused(field, "a name stands twice".to_owned(), "give each its own"));
        }
        Ok(entries)
    }

    fn metadata(&mut self) -> Result<BTreeMap<String, String>, ValueError> {
        let remedy = "use as {\"team\": \"payments\"}";
        let text = |(name, value): (String, Value)| match value {
            Value::Text(text) => Ok((name, text)),
            _ => {
                let problem = format!("the value of `{}` is no text", shortened(&name));
                Err(refused("metadata", problem, remedy))
            }
        };
        self.map("metadata", remedy)?.into_iter().map(text).collect()
    }

    /// `15s`, or a number of seconds.
    fn ttl_ms(&mut self) -> Result<Option<u64>, ValueError> {
        let ttl_ms = match self.take("ttl") {
            None => return Ok(None),
            Some(Value::Whole(seconds)) => seconds.checked_mul(1_000),
            Some(Value::Text(text)) => duration(&text).and_then(|ttl| u64::try_from(ttl.as_millis()).ok()),
            Some(_) => None,
        };
        let ttl_ms = ttl_ms.filter(|ttl_ms| (TTL_MS_MIN..=TTL_MS_MAX).contains(ttl_ms));
        ttl_ms.map(Some).ok_or_else(|| {
            refused(
                "ttl",
                "no time that is taken".to_owned(),
                "use as \"15s\": 1s to 60m, or seconds as a number",
            )
        })
    }
}

fn ports_of(entries: Vec<(String, Value)>) -> Result<Vec<SelfPort>, ValueError> {
    let port = |(name, value): (String, Value)| match value {
        Value::Whole(number) => {
            let port = port_of("ports", number)?.into();
            Ok(SelfPort { name: Some(name), port, protocol: None, app_protocol: None })
        }
        _ => {
            let problem = format!("`{}` is no number", shortened(&name));
            Err(refused("ports", problem, "use as {\"http\": 8080}"))
        }
    };
    entries.into_iter().map(port).collect()
}

fn port_of(field: &'static str, number: u64) -> Result<u16, ValueError> {
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    port.ok_or_else(|| refused(field, format!("the port {number}"), "use 1 to 65535"))
}

fn whole_seconds(ttl_ms: u64) -> Result<u32, ValueError> {
    let seconds = ttl_ms.is_multiple_of(1_000).then_some(ttl_ms / 1_000);
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
    seconds.ok_or_else(|| refused("ttl", "no whole seconds".to_owned(), "use as \"15s\""))
}

fn refused(field: &'static str, problem: String, remedy: &'static str) -> ValueError {
    ValueError { field, problem, remedy }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
