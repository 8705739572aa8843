//! The bill of materials of a program, as CycloneDX 1.6 in JSON.
//!
//! Its time and serial number are optional there and left out: the same program has the same bill. (SPDX 2.3 wants a time.)

use super::crates::{Known, Name, Tree};
use super::libraries::Library;
use super::sums::sha256;
use anyhow::Result;
use serde_json::{Map, Value, json};

/// Writes the bill of a program of these crates and libraries.
pub(crate) fn bill(tree: &Tree, known: &Known, libraries: &[Library], program: &[u8]) -> Result<String> {
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for (name, needs) in &tree.needs {
        let mut needs: Vec<_> = needs.iter().map(reference).collect();
        if *name == tree.root {
            needs.extend(libraries.iter().map(reference_of_library));
        } else {
            components.push(Value::Object(component(name, known)?));
        }
        dependencies.push(json!({"ref": reference(name), "dependsOn": needs}));
    }
    components.extend(libraries.iter().map(|library| {
        json!({
            "type": "library",
            "bom-ref": reference_of_library(library),
            "name": library.name,
            "version": library.version,
            "licenses": [{"expression": library.licence}],
        })
    }));
    let mut subject = component(&tree.root, known)?;
    subject.insert("type".into(), json!("application"));
    subject.insert("hashes".into(), hashes(&sha256(program)));
    let bill = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": components,
        "dependencies": dependencies,
    });
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

fn component(name: &Name, known: &Known) -> Result<Map<String, Value>> {
    let about = known.get(name)?;
    let mut component = Map::new();
    let mut says = |field: &str, value: Value| component.insert(field.to_owned(), value);
    says("type", json!("library"));
    says("bom-ref", json!(reference(name)));
    says("name", json!(name.0));
    says("version", json!(name.1));
    says("licenses", json!([{"expression": about.licence}]));
    // Our own crates are in no registry, where somebody else's might have their names.
    if let Some(checksum) = &about.checksum {
        says("purl", json!(format!("pkg:cargo/{}@{}", name.0, name.1.replace('+', "%2B"))));
        says("hashes", hashes(checksum));
    }
    if let Some(repository) = &about.repository {
        says("externalReferences", json!([{"type": "vcs", "url": repository}]));
    }
    Ok(component)
}

fn hashes(sha256: &str) -> Value {
    json!([{"alg": "SHA-256", "content": sha256}])
}

fn reference((name, version): &Name) -> String {
    format!("{name}@{version}")
}

fn reference_of_library(library: &Library) -> String {
    // No crate's name has a colon, so that none is taken for a library.
    format!("library:{}@{}", library.name, library.version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn bill_of(program: &[u8]) -> Value {
        let tree = Tree::of("rollcall-sidecar").unwrap();
        let library = Library { name: "glibc", version: "2.36".into(), licence: "LGPL-2.1-or-later" };
        let known = Known::of_the_workspace().unwrap();
        serde_json::from_str(&bill(&tree, &known, &[library], program).unwrap()).unwrap()
    }

    #[test]
    fn a_bill_says_of_every_component_what_it_is_and_whom_it_needs() {
        let bill = bill_of(b"program");
        let subject = &bill["metadata"]["component"];
        assert_eq!(
            (subject["name"].as_str(), subject["type"].as_str()),
            (Some("rollcall-sidecar"), Some("application"))
        );
        assert_eq!(subject["hashes"][0]["content"], sha256(b"program"));
        let components = bill["components"].as_array().unwrap();
        let mut references: BTreeSet<&str> =
            components.iter().map(|part| part["bom-ref"].as_str().unwrap()).collect();
        assert_eq!(references.len(), components.len(), "each has a name of its own");
        references.insert(subject["bom-ref"].as_str().unwrap());
        let rustls = components.iter().find(|part| part["name"] == "rustls").unwrap();
        assert_eq!(rustls["purl"], format!("pkg:cargo/rustls@{}", rustls["version"].as_str().unwrap()));
        assert_eq!(rustls["hashes"][0]["content"].as_str().unwrap().len(), 64);
        assert_eq!(rustls["licenses"][0]["expression"], "Apache-2.0 OR ISC OR MIT");
        assert!(components.iter().all(|part| part["licenses"][0]["expression"].is_string()));
        let mut needed = BTreeSet::new();
        for dependency in bill["dependencies"].as_array().unwrap() {
            assert!(references.contains(dependency["ref"].as_str().unwrap()));
            needed.extend(
                dependency["dependsOn"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()),
            );
        }
        assert!(needed.is_subset(&references) && needed.contains("library:glibc@2.36"));
        assert_eq!(
            references.len(),
            needed.len() + 1,
            "whatever is there is needed, but for the program itself"
        );
    }

    #[test]
    fn the_same_program_has_the_same_bill_without_a_time_or_a_number_of_its_own() {
        let bill = bill_of(b"program");
        assert_eq!(bill, bill_of(b"program"));
        assert_ne!(bill, bill_of(b"another"));
        assert!(bill["serialNumber"].is_null() && bill["metadata"]["timestamp"].is_null());
        let workspace = rollcall_cluster::static_build::workspace();
        assert!(!bill.to_string().contains(workspace.to_str().unwrap()), "nor where it was made");
    }
}
