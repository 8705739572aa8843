//! The fields of a ServiceRegistration, from the CRD's schema.

use super::schema::{Field, fields, text};
use anyhow::{Context, Result, ensure};
use rollcall_chart::section::{replaced, row};
use serde_json::Value;

/// Has the table in a section of its own.
pub(crate) const PAGE: &str = "docs/resource.md";

/// The page with the fields that the CRD has now.
pub(crate) fn with_fields(page: &str, crd: &str) -> Result<String> {
    let crd: Value = serde_saphyr::from_str(crd).context("the CRD")?;
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut section = String::new();
    for (part, heading) in [("spec", "Spec"), ("status", "Status")] {
        let fields = fields(&schema["properties"][part]);
        ensure!(!fields.is_empty(), "the CRD has no fields of {part}");
        section += &format!("\n### {heading}\n\n{}\n", lead(&schema["properties"][part]));
        section += &table(part, &fields);
    }
    replaced(page, "fields", &section)
}

/// The first sentence, or two, of what the schema says of the whole part.
fn lead(part: &Value) -> String {
    let said = text(&part["description"]).lines().find(|line| !line.is_empty());
    said.map(|line| format!("{}\n", line.trim())).unwrap_or_default()
}

fn table(part: &str, fields: &[Field]) -> String {
    let head = row(&["field", "form", "what it says"]) + "|---|---|---|\n";
    fields.iter().fold(head, |table, field| {
        let path = format!("`{part}.{}`", field.path);
        table + &row(&[&path, &field.form, &field.description])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRD: &str = "
spec:
  versions:
  - schema:
      openAPIV3Schema:
        properties:
          spec:
            description: |-
              What is registered.

              More of it.
            properties:
              ports:
                description: Its ports.
                maxItems: 32
                type: array
                items: {type: object, properties: {port: {type: integer, minimum: 1, description: A | number.}}}
          status:
            description: What became of it.
            properties: {serving: {type: integer, description: How many.}}
";

    #[test]
    fn each_field_has_its_row() {
        let page = "# x\n<!-- fields: written by `cargo xtask generate` -->\n<!-- end of fields -->\n";
        let fresh = with_fields(page, CRD).unwrap();
        for line in [
            "### Spec\n\nWhat is registered.\n\n| field |",
            "| `spec.ports` | list of object, up to 32 | Its ports. |",
            "| `spec.ports[].port` | integer, 1 or more | A \\| number. |",
            "### Status\n\nWhat became of it.\n\n| field |",
            "| `status.serving` | integer | How many. |",
        ] {
            assert!(fresh.contains(line), "no {line:?} in {fresh}");
        }
        assert!(with_fields(page, "spec: {}").is_err(), "a CRD without fields would empty the page");
    }
}
