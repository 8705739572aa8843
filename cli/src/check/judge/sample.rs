//! An installation that is well, for the tests beside.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use crate::{
    check::facts::{
        Asked, Authority, Build, Catalogue, Certificate, Crd, Deployment, Dump, Entry, Facts, Installation,
        Kubernetes, Many, Metrics, Node, Replied, Service, Sidecar, SignFrom, Webhook,
    },
    reach::{Listed, Replica, Seen},
};

pub(crate) fn facts() -> Facts {
    let schema = json!({"properties": {"spec": {}}});
    let replica = |pod: &str| Replica { image: "controller:0.1.0".to_owned(), ..Replica::named(pod) };
    let told = |pod: &str| Replied {
        pod: pod.to_owned(),
        dump: Ok(Dump(vec!["{\"state\":\"Serving\"}".to_owned()])),
        metrics: Ok(Metrics::default()),
    };
    let entry = |name: &str| Entry {
        name: name.to_owned(),
        service: Some("rollcall-system/rollcall-controller:7343".to_owned()),
        bundle: vec![vec![1]],
        fails_open: true,
        namespaces: LabelSelector::default(),
    };
    let sidecar = |pod: &str| Sidecar {
        namespace: "shop".to_owned(),
        pod: pod.to_owned(),
        image: "rollcall.dev/sidecar:0.1.0".to_owned(),
        controller: Some("10.96.0.7:7310".to_owned()),
    };
    Facts {
        build: Build { version: "0.1.0".to_owned(), schema: schema.clone() },
        system: "rollcall-system".to_owned(),
        now_s: 0,
        kubernetes: Kubernetes {
            version: Seen::Here("v1.33.4".to_owned()),
            nodes: Seen::Here(vec![Node { name: "n1".to_owned(), kubelet: "v1.33.4".to_owned() }]),
        },
        crd: Seen::Here(Crd {
            version: Some("0.1.0".to_owned()),
            established: true,
            served: vec!["v1alpha1".to_owned()],
            schema: Some(schema),
            ..Crd::default()
        }),
        installation: Installation {
            deployment: Seen::Here(Deployment {
                version: Some("0.1.0".to_owned()),
                wanted: 2,
                ready: 2,
                injects: true,
                overlap_s: Some(30 * 24 * 60 * 60),
                stuck: None,
            }),
            replicas: Seen::Here(vec![replica("c-1"), replica("c-2")]),
            service: Seen::Here(Service {
                cluster_ip: Some("10.96.0.7".to_owned()),
                ports: vec![7310, 7343, 7391],
            }),
            sidecar_image: Seen::Here(Some("rollcall.dev/sidecar:0.1.0".to_owned())),
        },
        webhook: Seen::Here(Webhook { entries: vec![entry("namespaces"), entry("pods")] }),
        authority: Seen::Here(Authority {
            signer: Some(Certificate { der: vec![1], not_after_s: 300_000_000 }),
            previous: None,
            sign_from: SignFrom::Now,
            bundle: Some(vec![vec![1]]),
        }),
        catalogue: Catalogue {
            told: vec![told("c-1"), told("c-2")],
            without_sidecar: Asked::Told(Many { pods: Vec::new(), total: 0 }),
            failing: Asked::Told(Many { pods: Vec::new(), total: 0 }),
            sessions: Asked::Told(Many { pods: Vec::new(), total: 0 }),
            registrations: Seen::Here(Listed { items: Vec::new(), truncated: false }),
        },
        walls: Vec::new(),
        pods: Seen::Here(Listed { items: vec![sidecar("orders-1"), sidecar("orders-2")], truncated: false }),
    }
}
