//! Kubernetes' objects, as far as a check goes by them.

use k8s_openapi::{
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration,
        apps::v1,
        core::v1::{ConfigMap, Namespace, Pod, Secret, Service},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::Timestamp,
};
use kube::core::DynamicObject;
use rollcall_injection::SIDECAR;
use serde_json::Value;

use super::{
    certificate::certificates,
    facts::{Authority, Crd, Deployment, Entry, NamespaceLabels, Refused, Sidecar, SignFrom, Webhook},
    judge::SERVED,
};

/// How helm and charts name a version.
const VERSION: &str = "app.kubernetes.io/version";
/// By it the controller knows the webhook that it is to write to.
const WEBHOOK_ENV: &str = "ROLLCALL_WEBHOOK";
/// By it the controller knows for how long it announces an authority.
const OVERLAP_ENV: &str = "ROLLCALL_AUTHORITY_OVERLAP";
/// From when on the newer authority signs.
const SIGN_FROM: &str = "rollcall.dev/sign-from";

fn label(meta: &ObjectMeta, name: &str) -> Option<String> {
    meta.labels.as_ref()?.get(name).cloned()
}

fn annotation(meta: &ObjectMeta, name: &str) -> Option<String> {
    meta.annotations.as_ref()?.get(name).cloned()
}

pub(crate) fn crd(found: CustomResourceDefinition) -> Crd {
    let meta = &found.metadata;
    let release =
        annotation(meta, "meta.helm.sh/release-name").zip(annotation(meta, "meta.helm.sh/release-namespace"));
    let conditions = found.status.and_then(|status| status.conditions).unwrap_or_default();
    let established = conditions.iter().any(|one| one.type_ == "Established" && one.status == "True");
    let version = label(meta, VERSION);
    let versions = found.spec.versions;
    let served = versions.iter().filter(|one| one.served).map(|one| one.name.clone()).collect();
    let ours = versions.into_iter().find(|one| one.name == SERVED);
    let schema = ours
        .and_then(|one| one.schema)
        .and_then(|schema| schema.open_api_v3_schema)
        .and_then(|schema| serde_json::to_value(schema).ok());
    Crd { version, release, established, served, schema }
}

/// The schema that this build knows, in the same form.
pub(crate) fn own_schema(yaml: &str) -> anyhow::Result<Value> {
    let own: CustomResourceDefinition = serde_saphyr::from_str(yaml)?;
    crd(own).schema.ok_or_else(|| anyhow::anyhow!("crd: this build has none; this is a bug"))
}

pub(crate) fn deployment(found: v1::Deployment) -> Deployment {
    let version = label(&found.metadata, VERSION);
    let status = found.status.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let stuck = conditions.into_iter().find(|one| one.type_ == "ReplicaFailure" && one.status == "True");
    let spec = found.spec.unwrap_or_default();
    let containers = spec.template.spec.map(|spec| spec.containers).unwrap_or_default();
    let env = || containers.iter().flat_map(|container| container.env.iter().flatten());
    let overlap =
        env().find(|variable| variable.name == OVERLAP_ENV).and_then(|found| found.value.as_deref());
    Deployment {
        version,
        // As Kubernetes has it where nothing is said.
        wanted: spec.replicas.unwrap_or(1),
        ready: status.ready_replicas.unwrap_or(0),
        injects: env().any(|variable| variable.name == WEBHOOK_ENV),
        overlap_s: overlap.and_then(term_s),
        stuck: stuck.and_then(|one| one.message),
    }
}

/// A time as the controller takes it: a number with its unit, as `30d`.
fn term_s(text: &str) -> Option<i64> {
    let unit_s = match text.chars().next_back()? {
        'd' => 24 * 60 * 60,
        'h' => 60 * 60,
        'm' => 60,
        's' => 1,
        _ => return None,
    };
    text.get(..text.len() - 1)?.parse::<u32>().ok().map(|number| i64::from(number) * unit_s)
}

pub(super) fn service(found: Service) -> super::facts::Service {
    let spec = found.spec.unwrap_or_default();
    let cluster_ip = spec.cluster_ip.filter(|address| !address.is_empty() && address != "None");
    let ports = spec.ports.unwrap_or_default().iter().map(|port| port.port).collect();
    super::facts::Service { cluster_ip, ports }
}

pub(crate) fn webhook(found: MutatingWebhookConfiguration) -> Webhook {
    let entries = found.webhooks.unwrap_or_default().into_iter().map(|entry| {
        let service = entry
            .client_config
            .service
            .map(|service| format!("{}/{}:{}", service.namespace, service.name, service.port.unwrap_or(443)));
        let bundle = entry.client_config.ca_bundle.map(|bundle| bundle.0).unwrap_or_default();
        Entry {
            name: entry.name,
            service,
            bundle: certificates(&bundle).into_iter().map(|certificate| certificate.der).collect(),
            fails_open: entry.failure_policy.as_deref() == Some("Ignore"),
            namespaces: entry.namespace_selector.unwrap_or_default(),
        }
    });
    Webhook { entries: entries.collect() }
}

/// The name of a webhook's configuration, if it is one of Rollcall's.
pub(super) fn our_webhook(found: MutatingWebhookConfiguration) -> Option<String> {
    let ours = found.webhooks.iter().flatten().any(|entry| entry.name.ends_with(".inject.rollcall.dev"));
    found.metadata.name.filter(|_| ours)
}

/// The authority; its keys are not looked at.
pub(crate) fn authority(found: Secret) -> Authority {
    let sign_from = match annotation(&found.metadata, SIGN_FROM).map(|text| text.parse::<Timestamp>()) {
        None => SignFrom::Now,
        Some(Ok(from)) => SignFrom::At(from.as_second()),
        Some(Err(_)) => SignFrom::Unread,
    };
    let data = found.data.unwrap_or_default();
    let first = |name: &str| certificates(&data.get(name)?.0).into_iter().next();
    Authority {
        signer: first("tls.crt"),
        previous: first("previous.crt"),
        sign_from,
        bundle: data
            .get("ca.crt")
            .map(|bundle| certificates(&bundle.0).into_iter().map(|one| one.der).collect()),
    }
}

/// The image that sidecars are to have.
pub(super) fn sidecar_image(found: &ConfigMap) -> Option<String> {
    let settings = found.data.as_ref()?.get("injection.yaml")?;
    let settings: Value = serde_saphyr::from_str(settings).ok()?;
    settings.get("image")?.as_str().map(str::to_owned)
}

/// A registration that the controller does not take. It is read as it is: one that an older schema let in may have any form.
pub(crate) fn refused(found: DynamicObject) -> Option<Refused> {
    let conditions = found.data.get("status")?.get("conditions")?.as_array()?;
    let accepted = conditions.iter().find(|one| one.get("type").is_some_and(|kind| kind == "Accepted"))?;
    if accepted.get("status")? != "False" {
        return None;
    }
    let word = |name: &str| accepted.get(name).and_then(Value::as_str).unwrap_or_default();
    let message = match word("message") {
        "" => word("reason"),
        message => message,
    };
    Some(Refused {
        namespace: found.metadata.namespace?,
        name: found.metadata.name?,
        message: message.to_owned(),
    })
}

/// A pod's sidecar, where it has one and has not ended.
pub(super) fn sidecar(found: Pod) -> Option<Sidecar> {
    let phase = found.status.and_then(|status| status.phase);
    if found.metadata.deletion_timestamp.is_some() || matches!(phase.as_deref(), Some("Succeeded" | "Failed"))
    {
        return None;
    }
    let ours = found.spec?.init_containers?.into_iter().find(|container| container.name == SIDECAR)?;
    let controller = ours.env.into_iter().flatten().find(|variable| variable.name == "ROLLCALL_CONTROLLER");
    Some(Sidecar {
        namespace: found.metadata.namespace?,
        pod: found.metadata.name?,
        image: ours.image.unwrap_or_default(),
        controller: controller.and_then(|variable| variable.value),
    })
}

pub(super) fn namespace(found: &Namespace) -> NamespaceLabels {
    let enforce = label(&found.metadata, "pod-security.kubernetes.io/enforce");
    NamespaceLabels { enforce, terminating: found.metadata.deletion_timestamp.is_some() }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::*;

    fn object<K: DeserializeOwned>(value: Value) -> K {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_crd_of_this_build_is_the_same_in_a_cluster() {
        let yaml = rollcall_crds::crd_yaml().unwrap();
        let mut whole: Value = serde_saphyr::from_str(&yaml).unwrap();
        whole["metadata"]["labels"] = json!({VERSION: "0.1.0"});
        whole["metadata"]["annotations"] = json!({"meta.helm.sh/release-name": "rollcall", "meta.helm.sh/release-namespace": "rollcall-system"});
        let no_names = json!({"plural": "serviceregistrations", "kind": "ServiceRegistration"});
        let conditions = json!([{"type": "Established", "status": "True"}]);
        whole["status"] =
            json!({"conditions": conditions, "acceptedNames": no_names, "storedVersions": [SERVED]});
        let found = crd(object(whole));
        assert_eq!(found.schema, Some(own_schema(&yaml).unwrap()));
        assert_eq!(found.served, [SERVED]);
        assert!(found.established);
        assert_eq!(found.version.as_deref(), Some("0.1.0"));
        assert_eq!(found.release, Some(("rollcall".to_owned(), "rollcall-system".to_owned())));
    }

    #[test]
    fn a_deployment_says_whether_it_injects() {
        let template =
            |env: Value| json!({"spec": {"containers": [{"name": "controller", "image": "i", "env": env}]}});
        let with = |env: Value| -> Deployment {
            deployment(object(json!({"metadata": {"labels": {VERSION: "0.1.0"}},
                "spec": {"replicas": 2, "selector": {}, "template": template(env)}, "status": {"readyReplicas": 1}})))
        };
        let found = with(json!([{"name": WEBHOOK_ENV, "value": "x"}, {"name": OVERLAP_ENV, "value": "30d"}]));
        assert_eq!((found.wanted, found.ready, found.injects), (2, 1, true));
        assert_eq!(found.overlap_s, Some(30 * 24 * 60 * 60));
        assert!(!with(json!([])).injects);
        for no_time in ["", "d", "30", "ä", "-1d", "99999999999d"] {
            assert_eq!(term_s(no_time), None, "{no_time}");
        }
    }

    #[test]
    fn the_secret_tells_who_signs_and_who_is_believed() {
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = |year: i32| {
            let mut wanted = rcgen::CertificateParams::default();
            wanted.not_after = rcgen::date_time_ymd(year, 12, 31);
            wanted.self_signed(&key).unwrap().pem()
        };
        let (new, old) = (pem(2040), pem(2030));
        let secret = |from: Option<&str>, bundle: bool| -> Authority {
            let bytes = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
            let mut data = std::collections::BTreeMap::from([
                ("tls.crt".to_owned(), bytes(&new)),
                ("previous.crt".to_owned(), bytes(&old)),
            ]);
            if bundle {
                data.insert("ca.crt".to_owned(), bytes(&format!("{new}{old}")));
            }
            let annotations = from.map(|from| [(SIGN_FROM.to_owned(), from.to_owned())].into());
            let metadata = ObjectMeta { annotations, ..ObjectMeta::default() };
            authority(Secret { metadata, data: Some(data), ..Secret::default() })
        };
        let found = secret(Some("1970-01-02T00:00:00Z"), true);
        assert_eq!(found.sign_from, SignFrom::At(86_400));
        assert_eq!(
            (found.signs(86_399), found.signs(86_400)),
            (found.previous.as_ref(), found.signer.as_ref())
        );
        assert_ne!(found.previous, found.signer);
        let der = |one: &Option<super::super::facts::Certificate>| one.as_ref().unwrap().der.clone();
        assert_eq!(found.bundle, Some(vec![der(&found.signer), der(&found.previous)]));
        assert_eq!(
            (secret(Some("soon"), false).sign_from, secret(None, false).sign_from),
            (SignFrom::Unread, SignFrom::Now)
        );
        assert_eq!(secret(None, false).bundle, None);
    }

    #[test]
    fn a_registration_that_is_refused_says_why() {
        let registration = |status: &str| -> DynamicObject {
            object(json!({"apiVersion": "rollcall.dev/v1alpha1", "kind": "ServiceRegistration",
                "metadata": {"namespace": "shop", "name": "a"}, "spec": {"target": {"service": {"name": "x"}}},
                "status": {"conditions": [{"type": "Accepted", "status": status, "reason": "Invalid", "message": "spec.target: two of them",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}))
        };
        assert_eq!(refused(registration("False")).unwrap().message, "spec.target: two of them");
        assert_eq!(refused(registration("True")), None);
    }

    #[test]
    fn a_pod_tells_its_sidecar() {
        let pod = |phase: &str| -> Pod {
            object(json!({"metadata": {"namespace": "shop", "name": "web-1"},
                "spec": {"containers": [], "initContainers": [{"name": SIDECAR, "image": "s:1",
                    "env": [{"name": "ROLLCALL_CONTROLLER", "value": "10.96.0.7:7310"}]}]},
                "status": {"phase": phase}}))
        };
        let found = sidecar(pod("Running")).unwrap();
        assert_eq!((found.image.as_str(), found.controller.as_deref()), ("s:1", Some("10.96.0.7:7310")));
        assert_eq!(sidecar(pod("Succeeded")), None);
        let settings: ConfigMap =
            object(json!({"data": {"injection.yaml": "image: s:2\nimagePullPolicy: Always\n"}}));
        assert_eq!(sidecar_image(&settings).as_deref(), Some("s:2"));
        assert_eq!(sidecar_image(&ConfigMap::default()), None);
    }
}
