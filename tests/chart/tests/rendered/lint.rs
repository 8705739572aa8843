use crate::{ci_files, helm};
use rollcall_chart::chart;
use rollcall_cluster::static_build::workspace;
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn helm_has_nothing_against_it() {
    let profile = chart().join("profiles/single.yaml");
    for file in ci_files().into_iter().chain([profile]) {
        let said = helm().printed([
            "lint".as_ref(),
            "--strict".as_ref(),
            "--values".as_ref(),
            file.as_os_str(),
            chart().as_os_str(),
        ]);
        said.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

#[test]
fn it_installs_the_images_of_this_workspace() {
    let about: Value =
        serde_saphyr::from_str(&fs::read_to_string(chart().join("Chart.yaml")).unwrap()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(about["appVersion"], version);
    assert_eq!(about["version"], version);
    let images = about["annotations"]["artifacthub.io/images"].as_str().unwrap();
    let images: Value = serde_saphyr::from_str(images).unwrap();
    let named: Vec<_> =
        images.as_array().unwrap().iter().map(|image| image["image"].as_str().unwrap()).collect();
    assert_eq!(named, ["controller", "sidecar"].map(|name| format!("rollcall.dev/{name}:{version}")));
}

#[test]
fn what_its_annotations_say_of_the_crd_is_true() {
    let about: Value =
        serde_saphyr::from_str(&fs::read_to_string(chart().join("Chart.yaml")).unwrap()).unwrap();
    let inner = |name: &str| -> Value {
        serde_saphyr::from_str(about["annotations"][name].as_str().unwrap()).unwrap()
    };
    let crd = fs::read_to_string(workspace().join("crds/generated/serviceregistrations.yaml")).unwrap();
    let crd: Value = serde_saphyr::from_str(&crd).unwrap();
    let named = &inner("artifacthub.io/crds")[0];
    assert_eq!(named["name"], crd["metadata"]["name"]);
    assert_eq!(named["kind"], crd["spec"]["names"]["kind"]);
    assert_eq!(named["version"], crd["spec"]["versions"][0]["name"]);
    let example = &inner("artifacthub.io/crdsExamples")[0];
    assert_eq!(example["kind"], named["kind"]);
}

#[test]
fn an_older_kubernetes_is_refused_and_a_vendors_version_is_not() {
    let render = |version: &str| {
        let chart = chart();
        helm().printed(["template", "rollcall", chart.to_str().unwrap(), "--kube-version", version])
    };
    let said = render("1.29.9").unwrap_err().to_string();
    assert!(said.contains("kubeVersion: >=1.30.0-0"), "{said}");
    for version in ["1.30.0", "v1.30.2-eks-1234567", "1.34.4"] {
        render(version).unwrap();
    }
}

#[test]
fn nothing_for_those_who_work_on_it_is_packaged() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    helm()
        .printed(["package".as_ref(), chart().as_os_str(), "--destination".as_ref(), folder.as_os_str()])
        .unwrap();
    let packaged = folder.join(format!("rollcall-{}.tgz", env!("CARGO_PKG_VERSION")));
    let listed =
        rollcall_cluster::output_of("listing", std::process::Command::new("tar").arg("-tzf").arg(packaged))
            .unwrap();
    let has = |name: &str| listed.lines().any(|line| line.starts_with(&format!("rollcall/{name}")));
    assert!(
        has("values.schema.json")
            && has("files/alerts.yaml")
            && has("profiles/single.yaml")
            && has("templates/NOTES.txt"),
        "{listed}"
    );
    assert!(!has("ci/") && !has("rbac.golden.yaml"), "{listed}");
}
