use std::{fs, os::unix::fs::symlink};

use proptest::prelude::*;

use super::*;

const ORDERS: &str = "service: orders\nversion: 1.4.2\nports: {http: 8080, admin: 9090}\ntags: [blue]\nmetadata: {team: payments}\nttl: 15s\n";

/// What all files say after a look: service by service.
fn look(directory: &mut Directory, files: &mut Files) -> Vec<String> {
    let all = files.take(directory.look().unwrap());
    all.into_values().map(|(file, said)| format!("{file}:{}:{}", said.service, said.ports.len())).collect()
}

#[test]
fn a_file_is_the_body_of_a_put_in_yaml_or_in_json() {
    let said = parsed(ORDERS).unwrap();
    let ports: Vec<_> = said.ports.iter().map(|port| (port.name.as_deref().unwrap(), port.port)).collect();
    assert_eq!(ports, [("http", 8080), ("admin", 9090)]);
    assert_eq!((said.version.as_deref(), said.ttl_seconds), (Some("1.4.2"), Some(15)));
    assert_eq!(parsed(r#"{"service":"orders","ports":{"http":8080}}"#).unwrap().ports.len(), 1);
    for (text, field) in [
        ("", None),
        ("- service", Some("body")),
        ("service: [", None),
        ("a: 1\n---\nb: 2", None),
        ("service: orders\nversion: 1.4\n", Some("version")),
        ("service: orders\nweight: heavy\n", Some("weight")),
        ("service: orders\nmetadata: {a: 5}\n", Some("metadata")),
        ("service: orders\nprots: {http: 80}\n", Some("body")),
    ] {
        let refusal = parsed(text).unwrap_err();
        assert!(refusal.field.as_deref() == field || field.is_none(), "{text}: {refusal:?}");
        assert!(refusal.reason.len() < 400, "{refusal:?}");
    }
}

#[test]
fn files_come_change_and_go_and_a_bad_one_takes_nothing_back() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    let (mut directory, mut files) = (Directory::new(place.path().into()), Files::default());
    assert!(look(&mut directory, &mut files).is_empty());
    write("a.yaml", ORDERS);
    write("b.yaml", "service: billing\n");
    write("notes.txt", ORDERS);
    write(".hidden.yaml", "service: hidden\n");
    let both = ["b.yaml:billing:0", "a.yaml:orders:2"];
    assert_eq!(look(&mut directory, &mut files), both);
    assert_eq!(look(&mut directory, &mut files), both, "as it was");

    write("a.yaml", "service: orders\nweight: much too heavy\n");
    assert_eq!(look(&mut directory, &mut files), both, "what it said before stays");
    let refused: Vec<_> = files.refused().map(|(file, why)| (file, why.field.as_deref())).collect();
    assert_eq!(refused, [("a.yaml", Some("weight"))]);
    write("a.yaml", "service: orders\n");
    assert_eq!(look(&mut directory, &mut files), ["b.yaml:billing:0", "a.yaml:orders:0"]);
    assert_eq!(files.refused().count(), 0);

    write("c.yaml", "service: orders\nports: {http: 1}\n");
    assert_eq!(look(&mut directory, &mut files), ["b.yaml:billing:0", "a.yaml:orders:0"], "the first counts");
    assert_eq!(files.refused().map(|(file, _)| file).collect::<Vec<_>>(), ["c.yaml"]);
    fs::remove_file(place.path().join("a.yaml")).unwrap();
    assert_eq!(look(&mut directory, &mut files), ["b.yaml:billing:0", "c.yaml:orders:1"], "then the next");
    assert_eq!(files.refused().count(), 0);
    place.close().unwrap();
    assert!(look(&mut directory, &mut files).is_empty());
}

#[test]
fn a_mounted_configmap_changes_by_the_swap_of_a_link() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    for (version, text) in [("..1", "service: orders\n"), ("..2", "service: billing\n")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("a.yaml"), text).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/a.yaml", at("a.yaml")).unwrap();
    let (mut directory, mut files) = (Directory::new(place.path().into()), Files::default());
    assert_eq!(look(&mut directory, &mut files), ["a.yaml:orders:0"]);
    symlink("..2", at("..next")).unwrap();
    fs::rename(at("..next"), at("..data")).unwrap();
    assert_eq!(look(&mut directory, &mut files), ["a.yaml:billing:0"]);
}

#[test]
fn what_is_no_file_too_large_or_one_too_many_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("a.yaml")).unwrap();
    symlink("/dev/zero", at("b.yaml")).unwrap();
    fs::write(at("c.yaml"), format!("service: orders\n#{}", "x".repeat(READS.bytes_max as usize))).unwrap();
    fs::write(at("d.yaml"), [0xff, 0xfe]).unwrap();
    symlink("nowhere", at("e.yaml")).unwrap();
    for number in 0..READS.files_max {
        fs::write(at(&format!("f{number:02}.yaml")), format!("service: f{number}\n")).unwrap();
    }
    let (mut directory, mut files) = (Directory::new(place.path().into()), Files::default());
    assert_eq!(look(&mut directory, &mut files).len(), READS.files_max - 5);
    assert_eq!(files.refused().count(), 10);
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "(service|ports|[a-z&*!%@`-]|: |\\{|\\}|\\[|\\]|\n|  |\"|<<|[0-9]){0,60}") {
        let _ = parsed(&text);
    }

    /// A reference to a reference to ... could come to more than there is memory.
    #[test]
    fn a_text_that_multiplies_itself_comes_to_an_end(levels in 2usize..40) {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..levels {
            let before = level - 1;
            text += &format!("a{level}: &a{level} [*a{before},*a{before},*a{before},*a{before},*a{before},*a{before}]\n");
        }
        prop_assert!(parsed(&text).is_err());
    }
}
