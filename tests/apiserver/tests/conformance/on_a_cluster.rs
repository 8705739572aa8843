//! The cases on a real API server: all at once, each in a namespace of its own.

use std::{
    future::Future,
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use futures::future::LocalBoxFuture;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, Config, api::DeleteParams};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::place::{APPLY, LOOK_EVERY, Place};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const CRD: &str = "serviceregistrations.rollcall.dev";

/// A case that takes longer hangs.
const CASE_MAX: Duration = Duration::from_secs(150);

/// Holds a case that waits for a place.
pub(crate) struct Case {
    name: &'static str,
    run: Box<dyn FnOnce(Place) -> LocalBoxFuture<'static, ()>>,
}

// === impl Case ===

impl Case {
    pub(crate) fn new<F>(name: &'static str, run: impl FnOnce(Place) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self { name, run: Box::new(|place| Box::pin(run(place))) }
    }
}

/// Says whether it was not there before.
async fn install_crd(client: &Client) -> bool {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    let place = Place::new(client.clone(), &format!("conf-crd-{:08x}", number())).await;
    place
        .eventually("a CRD that was deleted just now is gone", async || {
            api.get_opt(CRD).await.unwrap().is_none_or(|crd| crd.metadata.deletion_timestamp.is_none())
        })
        .await;
    let owns = api.get_opt(CRD).await.unwrap().is_none();
    // As it is installed.
    let path = format!("{CRDS}/{CRD}?fieldManager=conformance&force=true");
    let request = http::Request::patch(path).header("content-type", APPLY);
    let yaml = rollcall_crds::crd_yaml().unwrap().into_bytes();
    client.request::<Value>(request.body(yaml).unwrap()).await.unwrap();
    let path = place.registrations("");
    place.eventually("registrations are served", async || place.get(&path).await.code == 200).await;
    place.delete(&format!("/api/v1/namespaces/{}", place.namespace), Value::Null).await.done(200);
    owns
}

fn number() -> u64 {
    RandomState::new().build_hasher().finish() & 0xffff_ffff
}

#[tokio::test]
async fn a_real_api_server_says_the_same() {
    let mut config = Config::infer().await.expect("KUBECONFIG is not set; this test needs a cluster");
    // What is refused is to be seen, and not tried again.
    config.default_retry = false;
    let client = Client::try_from(config).unwrap();
    tokio::task::LocalSet::new().run_until(all_of_them(client)).await;
}

async fn all_of_them(client: Client) {
    let owns_crd = install_crd(&client).await;
    let mut cases = JoinSet::new();
    let mut names = std::collections::HashMap::new();
    let mut namespaces = Vec::new();
    for Case { name, run } in crate::all() {
        let namespace = format!("conf-{:08x}", number());
        namespaces.push(namespace.clone());
        let client = client.clone();
        let task = cases.spawn_local(async move {
            let case = async { run(Place::new(client, &namespace).await).await };
            timeout(CASE_MAX, case).await.expect("it never ended");
        });
        names.insert(task.id(), name);
    }
    let mut failed = Vec::new();
    while let Some(ended) = cases.join_next_with_id().await {
        if let Err(error) = ended {
            let said = names[&error.id()];
            failed.push(format!("{said}: {error}"));
        }
    }
    for namespace in namespaces {
        let path = format!("/api/v1/namespaces/{namespace}");
        let request =
            http::Request::delete(path).body(json!({"gracePeriodSeconds": 0}).to_string().into_bytes());
        let _: Result<Value, _> = client.request(request.unwrap()).await;
    }
    if owns_crd {
        let api = Api::<CustomResourceDefinition>::all(client.clone());
        api.delete(CRD, &DeleteParams::default()).await.unwrap();
        // Whoever comes next may install it.
        let gone = async {
            while api.get_opt(CRD).await.unwrap().is_some() {
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(CASE_MAX, gone).await.expect("the CRD never went");
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
