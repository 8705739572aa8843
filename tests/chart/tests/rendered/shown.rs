//! What people are shown first: the example, and the way of the README.

use crate::texts;
use rollcall_cluster::PUBLIC_NAME_OF_TOOLBOX;
use rollcall_cluster::static_build::workspace;
use serde_json::{Value, json};
use std::fs;

fn read(file: &str) -> String {
    fs::read_to_string(workspace().join(file)).unwrap()
}

#[test]
fn the_examples_run_on_any_cluster_and_under_the_strictest_rules() {
    let objects: Vec<Value> = serde_saphyr::from_multiple(&read("examples/shop.yaml")).unwrap();
    let of_the_demo: Vec<Value> = serde_saphyr::from_multiple(&read("examples/demo.yaml")).unwrap();
    for objects in [&objects, &of_the_demo] {
        let labels = &objects[0]["metadata"]["labels"];
        assert_eq!(labels["rollcall.dev/inject"], "enabled");
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    }
    let all = objects[1..].iter().chain(&of_the_demo[1..]);
    for deployment in all.filter(|object| object["kind"] == "Deployment") {
        let namespaces = [&objects[0], &of_the_demo[0]].map(|namespace| &namespace["metadata"]["name"]);
        assert!(namespaces.contains(&&deployment["metadata"]["namespace"]));
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let container = &pod["containers"][0];
        // Other clusters pull it, ours have it.
        assert_eq!(container["image"], PUBLIC_NAME_OF_TOOLBOX);
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(texts(&container["securityContext"]["capabilities"]["drop"]), ["ALL"]);
    }
    let orders = &objects[1]["spec"];
    assert_eq!(orders["replicas"], 3);
    let expected = json!({
        "rollcall.dev/service": "orders",
        "rollcall.dev/version": "1.4.2",
        "rollcall.dev/port": "http:8080",
    });
    assert_eq!(orders["template"]["metadata"]["annotations"], expected);
}

/// The first block of commands below a heading.
fn block_below<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, below) = page.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    below.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0
}

#[test]
fn the_workflow_walks_the_way_of_the_readme() {
    let (readme, started) = (read("README.md"), read("docs/get-started.md"));
    let workflow = read(".github/workflows/kind.yml");
    let three = block_below(&readme, "\n## On a cluster, three commands\n");
    let kind = block_below(&started, "\n## With kind\n");
    assert_eq!(three.lines().count(), 3);
    assert_eq!(three, block_below(&started, "\n## On a cluster\n"));
    for command in three.lines().chain(kind.lines()).flat_map(|line| line.split(" && ")) {
        assert!(workflow.contains(command), "{command}");
    }
}
