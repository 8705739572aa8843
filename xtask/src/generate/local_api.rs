//! The page that has every call of the local API, from the document that the sidecar serves.

use super::schema::{fields, form, referred, text};
use anyhow::{Context, Result, ensure};
use rollcall_chart::section::row;
use rollcall_wire::Slug;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const DOCUMENT: &str = "sidecar/openapi.json";
pub(crate) const PAGE: &str = "docs/local-api-reference.md";

const HEAD: &str = "\
# The local API, call by call

<!-- Written by `cargo xtask generate` from sidecar/openapi.json: do not edit. -->

";
const LEAD: &str = " The sidecar serves this as `GET /v1/openapi.json` too, for programs, and a test tries each call against it. \
What the calls mean, and when to use which, is in [local-api.md](local-api.md).\n";
const PROBLEMS: &str = "\n## Problems\n\nEach is a [Problem](#problem) whose `type` is `urn:rollcall:problem:` and the word. \
Classic calls say the same in their own form, [Classic](#classic).\n\n";

/// The methods in the order in which they are told.
const METHODS: [&str; 4] = ["get", "put", "post", "delete"];

/// Holds the document, and what is told of it.
struct Document(Value);

/// Holds a call of it.
struct Call<'a> {
    /// `GET /v1/self`.
    name: String,
    operation: &'a Value,
}

/// The whole page.
pub(crate) fn page(document: &str) -> Result<String> {
    let document = Document(serde_json::from_str(document).context(DOCUMENT)?);
    let calls = document.calls();
    ensure!(!calls.is_empty(), "{DOCUMENT} has no calls");
    let mut page = format!("{HEAD}{}{LEAD}\n## Calls\n\n", text(&document.0["info"]["description"]));
    page += &(row(&["call", "what it does"]) + "|---|---|\n");
    for Call { name, operation } in &calls {
        page += &row(&[&format!("[`{name}`](#{})", anchor(name)), text(&operation["summary"])]);
    }
    for call in &calls {
        page += &document.told(call)?;
    }
    page += &document.bodies();
    page += &document.headers(&calls)?;
    page += &document.problems()?;
    Ok(page)
}

/// As pages name a heading: in small letters, spaces as hyphens, without other signs.
fn anchor(heading: &str) -> String {
    let small = heading.to_lowercase().replace(' ', "-");
    small.chars().filter(|sign| sign.is_alphanumeric() || *sign == '-').collect()
}

/// Pairs of an object in the order of their names, whatever order this build keeps.
fn sorted(object: &Value) -> BTreeMap<&str, &Value> {
    let pairs = object.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.as_str(), value)).collect()
}

// === impl Document ===

impl Document {
    fn calls(&self) -> Vec<Call<'_>> {
        let mut calls = Vec::new();
        for (path, operations) in sorted(&self.0["paths"]) {
            for method in METHODS {
                if let Some(operation) = operations.get(method) {
                    calls.push(Call { name: format!("{} {path}", method.to_uppercase()), operation });
                }
            }
        }
        calls
    }

    /// What a reference of the document leads to, or the value itself where it is none.
    fn led<'a>(&'a self, value: &'a Value) -> Result<&'a Value> {
        let Some(way) = value["$ref"].as_str() else { return Ok(value) };
        let found = way.strip_prefix('#').and_then(|way| self.0.pointer(way));
        found.with_context(|| format!("{DOCUMENT} has no {way}"))
    }

    fn told(&self, call: &Call<'_>) -> Result<String> {
        let Call { name, operation } = call;
        let summary = text(&operation["summary"]);
        let end = if summary.ends_with('?') { "" } else { "." };
        let mut told = format!("\n### `{name}`\n\n{summary}{end}\n");
        if let Some(parameters) = operation["parameters"].as_array() {
            told += &("\n".to_owned() + &row(&["parameter", "in", "form", "what"]) + "|---|---|---|---|\n");
            for parameter in parameters {
                let parameter = self.led(parameter)?;
                let mut place = text(&parameter["in"]).to_owned();
                if parameter["required"] == true {
                    place += ", required";
                }
                let name = format!("`{}`", text(&parameter["name"]));
                told += &row(&[&name, &place, &form(&parameter["schema"]), text(&parameter["description"])]);
            }
        }
        if let Some(body) = operation.get("requestBody") {
            told += &format!("\nThe body is {}.\n", content(self.led(body)?).join(", or "));
        }
        Ok(told + "\n" + &self.answers(&operation["responses"])?)
    }

    /// A row for each answer; those that are the same in all but their status share one.
    fn answers(&self, responses: &Value) -> Result<String> {
        let mut rows: Vec<([String; 3], Vec<&str>)> = Vec::new();
        for (status, response) in sorted(responses) {
            let response = self.led(response)?;
            let headers: Vec<_> =
                sorted(&response["headers"]).into_keys().map(|name| format!("`{name}`")).collect();
            let said =
                [content(response).join("; "), headers.join(", "), text(&response["description"]).to_owned()];
            match rows.iter_mut().find(|(same, _)| *same == said) {
                Some((_, statuses)) => statuses.push(status),
                None => rows.push((said, vec![status])),
            }
        }
        let head = row(&["status", "body", "headers", "when"]) + "|---|---|---|---|\n";
        Ok(rows.iter().fold(head, |table, ([body, headers, when], statuses)| {
            table + &row(&[&statuses.join(", "), body, headers, when])
        }))
    }

    fn bodies(&self) -> String {
        let mut told = "\n## Bodies\n".to_owned();
        for (name, schema) in sorted(&self.0["components"]["schemas"]) {
            told += &format!("\n### {name}\n\n");
            told += &(row(&["field", "form", "always there", "what"]) + "|---|---|---|---|\n");
            for field in fields(schema) {
                let always = if field.is_required { "yes" } else { "" };
                told += &row(&[&format!("`{}`", field.path), &field.form, always, &field.description]);
            }
        }
        told
    }

    /// Each header that an answer has, once.
    fn headers(&self, calls: &[Call<'_>]) -> Result<String> {
        let mut rows = BTreeSet::new();
        for call in calls {
            for response in sorted(&call.operation["responses"]).into_values() {
                for (name, header) in sorted(&self.led(response)?["headers"]) {
                    let header = self.led(header)?;
                    let what = text(&header["description"]);
                    rows.insert(row(&[&format!("`{name}`"), &form(&header["schema"]), what]));
                }
            }
        }
        let head = "\n## Headers\n\n".to_owned() + &row(&["header", "form", "what"]) + "|---|---|---|\n";
        Ok(rows.into_iter().fold(head, |table, row| table + &row))
    }

    /// Each problem, with the status that the code gives it.
    fn problems(&self) -> Result<String> {
        let types = self.0["components"]["schemas"]["Problem"]["properties"]["type"]["enum"].as_array();
        let named: BTreeSet<_> = types.into_iter().flatten().map(|name| text(name).to_owned()).collect();
        let known: BTreeSet<_> =
            Slug::ALL.into_iter().map(|slug| format!("urn:rollcall:problem:{}", slug.name())).collect();
        ensure!(named == known, "{DOCUMENT} names other problems than wire/src/problem.rs: {named:?}");
        let mut slugs = Slug::ALL;
        slugs.sort_by_key(|slug| (slug.status(), slug.name()));
        let head = PROBLEMS.to_owned() + &row(&["problem", "status", "title"]) + "|---|---|---|\n";
        Ok(slugs.iter().fold(head, |table, slug| {
            table + &row(&[&format!("`{}`", slug.name()), &slug.status().to_string(), slug.title()])
        }))
    }
}

/// The bodies that a request or an answer may have, with their media types where these are not the usual ones.
fn content(part: &Value) -> Vec<String> {
    let kinds = sorted(&part["content"]).into_iter();
    kinds
        .map(|(media, body)| {
            let schema = &body["schema"];
            let inline = schema["properties"].is_object() && referred(schema).is_none();
            let shown = match inline {
                true => fields(schema)
                    .iter()
                    .map(|field| format!("`{}`: {}", field.path, field.form))
                    .collect::<Vec<_>>()
                    .join(", "),
                false => form(schema),
            };
            match media {
                "application/json" | "application/problem+json" => shown,
                other => format!("{shown}, as `{}`", other.split(';').next().unwrap_or(other)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_cluster::static_build::workspace;
    use std::fs;

    fn document() -> Value {
        serde_json::from_str(&fs::read_to_string(workspace().join(DOCUMENT)).unwrap()).unwrap()
    }

    #[test]
    fn every_call_parameter_answer_header_and_problem_is_on_the_page() {
        let document = document();
        let page = page(&document.to_string()).unwrap();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let heading = format!("\n### `{} {path}`\n", method.to_uppercase());
                let (_, told) = page.split_once(&heading).unwrap_or_else(|| panic!("no {heading}"));
                let told = told.split("\n##").next().unwrap();
                for status in operation["responses"].as_object().unwrap().keys() {
                    assert!(told.contains(status), "{heading} does not say {status}");
                }
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    let way = parameter["$ref"].as_str().unwrap().trim_start_matches('#');
                    let name = document.pointer(way).unwrap()["name"].as_str().unwrap();
                    assert!(told.contains(&format!("| `{name}` |")), "{heading} does not say {name}");
                }
            }
        }
        for word in ["| `Age` | integer, 0 or more |", "| `too-old` | 503 | Older than was asked for |"] {
            assert!(page.contains(word), "no {word}");
        }
    }

    #[test]
    fn links_lead_to_headings_of_the_page() {
        let page = page(&document().to_string()).unwrap();
        let headings: BTreeSet<_> = page
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| anchor(line.trim_start_matches('#').trim()))
            .collect();
        let links: BTreeSet<_> =
            page.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned()).collect();
        assert!(links.len() > 20, "{links:?}");
        assert!(links.is_subset(&headings), "{:?}", links.difference(&headings));
    }

    #[test]
    fn a_document_of_other_problems_or_a_broken_reference_is_refused() {
        let mut other = document();
        other["components"]["schemas"]["Problem"]["properties"]["type"]["enum"] = Value::Array(Vec::new());
        assert!(page(&other.to_string()).is_err());
        let mut broken = document();
        broken["components"]["responses"].as_object_mut().unwrap().remove("Problem");
        assert!(page(&broken.to_string()).is_err());
        assert!(page("{}").is_err());
    }
}
