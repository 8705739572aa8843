//! The parameters behind the question mark: which instances a caller wants. Both local APIs read them, so that a
//! question means the same to a sidecar and to the controller.

use std::{net::IpAddr, str::FromStr, time::Duration};

use rollcall_catalogue::{Query, States, VersionFilter, shortened};

use crate::problem::{Problem, Slug};

/// Parameters of one request: the contract's 64 tags of an instance, and each other one.
const PARAMETERS_MAX: usize = 80;

/// What [`filters`] reads.
const FILTERS: [&str; 6] = ["version", "tag", "zone", "port", "protocol", "all"];

/// Holds one parameter as the caller meant it, its escapes read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub value: String,
}

/// The parameters of a request, in their order.
pub fn parameters(query: Option<&str>) -> Result<Vec<Parameter>, Problem> {
    let pairs: Vec<&str> = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).collect();
    if pairs.len() > PARAMETERS_MAX {
        let detail = format!("{} parameters are too many", pairs.len());
        return Err(invalid("query", detail).hint(format!("use at most {PARAMETERS_MAX}")));
    }
    let read = |pair: &&str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // What HTML forms make of a space, and with them most libraries that write queries.
        let decoded = |text: &str| decoded(&text.replace('+', " "));
        Some(Parameter { name: decoded(name)?, value: decoded(value)? })
    };
    pairs.iter().map(|pair| read(pair).ok_or_else(|| not_escaped("query", pair))).collect()
}

/// A segment of a path as the caller meant it.
pub fn segment(text: &str) -> Result<String, Problem> {
    decoded(text).ok_or_else(|| not_escaped("name", text))
}

/// Which instances these parameters ask for. Those that are named in `others` are the caller's own to read; all else
/// is refused: a filter with a slip of the pen in it would give instances that nobody wanted.
pub fn filters(parameters: &[Parameter], others: &[&str]) -> Result<Query, Problem> {
    let known = || FILTERS.iter().chain(others).copied();
    known_only(parameters, known)?;
    let mut query = Query::default();
    for Parameter { name, value } in parameters {
        if name == "tag" {
            query.tags.push(filled("tag", value)?.into());
        }
    }
    query.version = one(parameters, "version")?.map(version).transpose()?;
    query.zone = one(parameters, "zone")?.map(Into::into);
    query.port = one(parameters, "port")?.map(port).transpose()?;
    query.protocol = one(parameters, "protocol")?.map(Into::into);
    query.states = match one(parameters, "all")? {
        None | Some("false") => States::Served,
        Some("true") => States::All,
        Some(other) => {
            let detail = format!("all: `{}` is neither true nor false", shortened(other));
            return Err(invalid("all", detail).hint("use all=true for instances of every state"));
        }
    };
    Ok(query)
}

/// Refuses parameters of other names than these.
pub fn only(parameters: &[Parameter], known: &[&'static str]) -> Result<(), Problem> {
    known_only(parameters, || known.iter().copied())
}

/// The value of a parameter that is to be there once at most.
pub fn one<'a>(parameters: &'a [Parameter], name: &'static str) -> Result<Option<&'a str>, Problem> {
    let mut found = parameters.iter().filter(|parameter| parameter.name == name);
    let first = found.next();
    if found.next().is_some() {
        return Err(invalid(name, format!("{name}: given more than once")).hint("give it once"));
    }
    first.map(|parameter| filled(name, &parameter.value)).transpose()
}

/// The value of a parameter that is to be there once at most, as an address.
pub fn address(parameters: &[Parameter], name: &'static str) -> Result<Option<IpAddr>, Problem> {
    let parsed = |value| {
        IpAddr::from_str(value).map_err(|_| {
            invalid(name, format!("{name}: `{}` is no IP address", shortened(value)))
                .hint("use one as 10.1.2.3 or fd00::1, without a port")
        })
    };
    one(parameters, name)?.map(parsed).transpose()
}

/// The value of a parameter that is to be there once at most, as a whole number.
pub fn number(parameters: &[Parameter], name: &'static str) -> Result<Option<u64>, Problem> {
    let parsed = |value: &str| {
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        value.parse().ok().filter(|_| digits).ok_or_else(|| {
            invalid(name, format!("{name}: `{}` is no number", shortened(value))).hint("use digits alone")
        })
    };
    one(parameters, name)?.map(parsed).transpose()
}

/// The value of a parameter that is to be there once at most, as a time of no more than this.
pub fn time(
    parameters: &[Parameter],
    name: &'static str,
    max: Duration,
) -> Result<Option<Duration>, Problem> {
    let parsed = |value: &str| {
        let time = duration(value).ok_or_else(|| {
            invalid(name, format!("{name}: `{}` is no time", shortened(value)))
                .hint("use one as 500ms, 20s or 5m")
        })?;
        if time > max {
            let detail = format!("{name}: `{}` is too long", shortened(value));
            return Err(invalid(name, detail).hint(format!("use at most {}s", max.as_secs())));
        }
        Ok(time)
    };
    one(parameters, name)?.map(parsed).transpose()
}

/// The time that is written so: `500ms`, `20s` or `5m`.
pub fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

/// The filters among these parameters as one text: the same only of the same filters in the same order.
pub fn filter_text(parameters: &[Parameter]) -> String {
    let filters = parameters.iter().filter(|parameter| FILTERS.contains(&parameter.name.as_str()));
    let written = filters.map(|Parameter { name, value }| format!("{name}={}:{value};", value.len()));
    written.collect()
}

fn known_only<'a, I>(parameters: &[Parameter], known: impl Fn() -> I) -> Result<(), Problem>
where
    I: Iterator<Item = &'a str>,
{
    let unknown = |parameter: &&Parameter| !known().any(|name| name == parameter.name);
    match parameters.iter().find(unknown) {
        None => Ok(()),
        Some(Parameter { name, .. }) => {
            let detail = format!("`{}` is no parameter of this", shortened(name));
            let names: Vec<&str> = known().collect();
            let hint = match names.as_slice() {
                [] => "leave out everything behind the question mark".to_owned(),
                names => format!("there are {}", names.join(", ")),
            };
            Err(invalid("query", detail).hint(hint))
        }
    }
}

/// An empty value is a variable that was not set, and both things that it could mean would surprise somebody.
fn filled<'a>(name: &'static str, value: &'a str) -> Result<&'a str, Problem> {
    if value.is_empty() {
        return Err(invalid(name, format!("{name}: has no value")).hint("give it one, or leave it out"));
    }
    Ok(value)
}

fn version(value: &str) -> Result<VersionFilter, Problem> {
    value.parse().map_err(|error: rollcall_catalogue::VersionError| {
        let problem = invalid("version", error.to_string());
        // Behind a question mark a bare + is a space.
        if value.contains(' ') {
            problem.hint("write + as %2B in a query")
        } else {
            problem.hint("use 1.4.2 for one version, or a requirement as ^1.4")
        }
    })
}

fn port(value: &str) -> Result<Box<str>, Problem> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && !value.parse::<u16>().is_ok_and(|port| port > 0) {
        let detail = format!("port: `{}` is no port", shortened(value));
        return Err(invalid("port", detail).hint("use its name, or a number of 1 to 65535"));
    }
    Ok(value.into())
}

fn not_escaped(field: &'static str, text: &str) -> Problem {
    invalid(field, format!("`{}` cannot be read", shortened(text)))
        .hint("write each byte that is not plain as % and two hexadecimal digits, in UTF-8")
}

fn invalid(field: &'static str, detail: String) -> Problem {
    Problem::new(Slug::InvalidQuery, detail).field(field)
}

/// The text with its escapes (RFC 3986) read; none where one is broken, or where they make no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit =
                |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push(high << 4 | low);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
