//! What the checks go by, as the API server and the controllers tell it now. Nothing is judged here.

use std::time::{SystemTime, UNIX_EPOCH};

use k8s_openapi::{
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration,
        apps::v1::Deployment,
        authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
        core::v1::{ConfigMap, Namespace, Node, Pod, Secret, Service},
        networking::v1::NetworkPolicy,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api,
    api::PostParams,
    core::{ApiResource, DynamicObject},
};
use rollcall_crds::ServiceRegistration;

pub(super) use super::ask::dumps_again;
use super::{
    ask::{first, replied},
    facts::{self, Before, Build, Catalogue, Crd, Facts, Installation, Kubernetes},
    objects,
};
use crate::{
    failure::Failure,
    policies::{Direction, Labels, walls},
    reach::{Listed, Reach, Replica, Seen},
};

pub(crate) const CRD: &str = "serviceregistrations.rollcall.dev";
/// Deployment, Service and ConfigMap have this name whatever the release is called.
const CONTROLLER: &str = "rollcall-controller";
/// What sidecars come for.
pub(crate) const SESSIONS_PORT: u16 = 7310;
pub(crate) const AUTHORITY: &str = "rollcall-ca";
/// What helm makes in the release's namespace, beside the record of the release itself (a Secret).
const IN_NAMESPACE: [(&str, &str); 8] = [
    ("apps", "deployments"),
    ("", "services"),
    ("", "serviceaccounts"),
    ("", "configmaps"),
    ("", "secrets"),
    ("policy", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
];
/// What it makes for the whole cluster.
const IN_CLUSTER: [(&str, &str); 5] = [
    ("", "namespaces"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
];

/// Everything that an installation is judged by.
pub(super) async fn all(reach: &Reach) -> Result<Facts, Failure> {
    let build = build()?;
    let client = || reach.client.clone();
    let system = reach.system.as_str();
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client());
    let secrets: Api<Secret> = Api::namespaced(client(), system);
    let pods: Api<Pod> = Api::all(client());
    let policies: Api<NetworkPolicy> = Api::namespaced(client(), system);
    let webhook_name = format!("{system}-injection");
    let registrations = registrations(reach, None);
    let (kubernetes, crd, installation, webhook, authority, pods, policies, registrations) = tokio::join!(
        kubernetes(reach),
        crd(reach),
        installation(reach),
        reach.seen(webhooks.get(&webhook_name)),
        reach.seen(secrets.get(AUTHORITY)),
        reach.all(&pods, None, objects::sidecar),
        reach.all(&policies, None, |policy: NetworkPolicy| Some(policy)),
        reach.all(&registrations, None, objects::refused),
    );
    let policies = policies.here().map(|listed| listed.items.as_slice()).unwrap_or_default();
    let walls = closed(reach, policies, &installation.replicas);
    let catalogue = catalogue(reach, &installation.replicas, registrations).await;
    Ok(Facts {
        build,
        system: system.to_owned(),
        now_s: now_s(),
        kubernetes,
        crd,
        installation,
        webhook: webhook.map(objects::webhook),
        authority: authority.map(objects::authority),
        catalogue,
        walls,
        pods,
    })
}

/// What a cluster is judged by before an install.
pub(super) async fn before(reach: &Reach) -> Before {
    let client = || reach.client.clone();
    let system = reach.system.as_str();
    let webhooks: Api<MutatingWebhookConfiguration> = Api::all(client());
    let deployments: Api<Deployment> = Api::namespaced(client(), system);
    let namespaces: Api<Namespace> = Api::all(client());
    let (kubernetes, crd, webhooks, deployment, namespace, rights) = tokio::join!(
        kubernetes(reach),
        crd(reach),
        reach.all(&webhooks, None, objects::our_webhook),
        reach.seen(deployments.get(CONTROLLER)),
        reach.seen(namespaces.get(system)),
        rights(reach),
    );
    Before {
        system: system.to_owned(),
        kubernetes,
        rights,
        crd,
        webhooks: webhooks.map(|listed| listed.items),
        deployment: deployment.map(objects::deployment),
        namespace: namespace.map(|found| objects::namespace(&found)),
    }
}

/// What this program is.
pub(crate) fn build() -> Result<Build, Failure> {
    let yaml = rollcall_crds::crd_yaml().map_err(anyhow::Error::from)?;
    Ok(Build { version: env!("CARGO_PKG_VERSION").to_owned(), schema: objects::own_schema(&yaml)? })
}

async fn kubernetes(reach: &Reach) -> Kubernetes {
    let nodes: Api<Node> = Api::all(reach.client.clone());
    let (version, nodes) = tokio::join!(
        reach.seen(reach.client.apiserver_version()),
        reach.all(&nodes, None, |node| {
            let kubelet = node.status?.node_info?.kubelet_version;
            Some(facts::Node { name: node.metadata.name?, kubelet })
        })
    );
    Kubernetes { version: version.map(|info| info.git_version), nodes: nodes.map(|listed| listed.items) }
}

pub(crate) async fn crd(reach: &Reach) -> Seen<Crd> {
    let crds: Api<CustomResourceDefinition> = Api::all(reach.client.clone());
    reach.seen(crds.get(CRD)).await.map(objects::crd)
}

pub(crate) async fn deployment(reach: &Reach) -> Seen<facts::Deployment> {
    let deployments: Api<Deployment> = Api::namespaced(reach.client.clone(), reach.system.as_str());
    reach.seen(deployments.get(CONTROLLER)).await.map(objects::deployment)
}

async fn installation(reach: &Reach) -> Installation {
    let system = reach.system.as_str();
    let services: Api<Service> = Api::namespaced(reach.client.clone(), system);
    let settings: Api<ConfigMap> = Api::namespaced(reach.client.clone(), system);
    let (deployment, replicas, service, settings) = tokio::join!(
        deployment(reach),
        reach.replicas(),
        reach.seen(services.get(CONTROLLER)),
        reach.seen(settings.get(CONTROLLER)),
    );
    Installation {
        deployment,
        replicas,
        service: service.map(objects::service),
        sidecar_image: settings.map(|settings| objects::sidecar_image(&settings)),
    }
}

/// What the controllers say; without any, nobody is waited for.
async fn catalogue(
    reach: &Reach,
    replicas: &Seen<Vec<Replica>>,
    registrations: Seen<Listed<facts::Refused>>,
) -> Catalogue {
    let replicas = replicas.here().map(Vec::as_slice).unwrap_or_default();
    let (told, without_sidecar, failing, sessions) = tokio::join!(
        replied(reach, replicas),
        first(reach, replicas, "/v1/without-sidecar"),
        first(reach, replicas, "/v1/failing"),
        first(reach, replicas, "/v1/sessions"),
    );
    Catalogue { told, without_sidecar, failing, sessions, registrations }
}

/// The registrations of a namespace, or of all. They are read as they are: one that an older schema let in may have any form, and
/// must not hide the others.
pub(crate) fn registrations(reach: &Reach, namespace: Option<&str>) -> Api<DynamicObject> {
    let kind = ApiResource::erase::<ServiceRegistration>(&());
    match namespace {
        Some(namespace) => Api::namespaced_with(reach.client.clone(), namespace, &kind),
        None => Api::all_with(reach.client.clone(), &kind),
    }
}

/// Whether the user may do what helm does.
async fn rights(reach: &Reach) -> Vec<(String, Seen<bool>)> {
    let in_namespace = IN_NAMESPACE.map(|(group, resource)| (group, resource, Some(reach.system.as_str())));
    let in_cluster = IN_CLUSTER.map(|(group, resource)| (group, resource, None));
    let asked = in_namespace.into_iter().chain(in_cluster).map(|(group, resource, namespace)| async move {
        let reviews: Api<SelfSubjectAccessReview> = Api::all(reach.client.clone());
        let attributes = ResourceAttributes {
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            namespace: namespace.map(str::to_owned),
            verb: Some("create".to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let told = reach.seen(reviews.create(&PostParams::default(), &review)).await;
        let name = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        (format!("create {name}"), told.map(|review| review.status.is_some_and(|status| status.allowed)))
    });
    futures::future::join_all(asked).await
}

/// The policies of the controllers that let nobody in for a session, whoever it is.
fn closed(reach: &Reach, policies: &[NetworkPolicy], replicas: &Seen<Vec<Replica>>) -> Vec<String> {
    let Some(first) = replicas.here().and_then(|replicas| replicas.first()) else { return Vec::new() };
    let open = policies.iter().map(without_peers).collect::<Vec<_>>();
    walls(&open, Direction::In, &first.party(&reach.system, &Labels::new()), &[], SESSIONS_PORT)
}

/// The same policy, letting in everybody where it lets in anybody.
fn without_peers(policy: &NetworkPolicy) -> NetworkPolicy {
    let mut policy = policy.clone();
    for rule in policy.spec.iter_mut().flat_map(|spec| spec.ingress.iter_mut().flatten()) {
        rule.from = None;
    }
    policy
}

pub(crate) fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
