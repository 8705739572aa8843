//! Objects that are ours alone, as our Lease and our authority's Secret: read without the list of who wrote which field.
//! Whoever may write one may write any time into that list, be it one that no calendar of ours can hold; and that must
//! not take the object from us.

use std::marker::PhantomData;

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Client, Resource,
    api::{GetParams, PostParams, Request},
    core::request,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Holds the way to the objects of one kind in one namespace.
pub(crate) struct OwnObjects<K> {
    client: Client,
    path: Request,
    kind: PhantomData<fn() -> K>,
}

// === impl OwnObjects ===

impl<K> OwnObjects<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned,
{
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self { client, path: Request::new(K::url_path(&(), Some(namespace))), kind: PhantomData }
    }

    pub(crate) async fn get(&self, name: &str) -> kube::Result<K> {
        self.send(self.path.get(name, &GetParams::default())).await
    }

    pub(crate) async fn create(&self, params: &PostParams, object: &K) -> kube::Result<K> {
        self.send(self.path.create(params, body(object)?)).await
    }

    pub(crate) async fn replace(&self, name: &str, params: &PostParams, object: &K) -> kube::Result<K> {
        self.send(self.path.replace(name, params, body(object)?)).await
    }

    async fn send(&self, request: Result<http::Request<Vec<u8>>, request::Error>) -> kube::Result<K> {
        let request = request.map_err(kube::Error::BuildRequest)?;
        read(self.client.request(request).await?)
    }
}

fn body<K: Serialize>(object: &K) -> kube::Result<Vec<u8>> {
    serde_json::to_vec(object).map_err(kube::Error::SerdeError)
}

fn read<K: DeserializeOwned>(mut object: Value) -> kube::Result<K> {
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("managedFields");
    }
    serde_json::from_value(object).map_err(kube::Error::SerdeError)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_somebody_claims_to_have_written_is_not_read_and_all_else_is() {
        let claimed = json!({
            "apiVersion": "v1", "kind": "Secret", "data": {"a": "Yg=="},
            "metadata": {"name": "ours", "resourceVersion": "7",
                "managedFields": [{"manager": "prankster", "time": "9999-12-31T23:59:59Z"}]},
        });
        assert!(serde_json::from_value::<Secret>(claimed.clone()).is_err(), "it is no trap");
        let secret: Secret = read(claimed).unwrap();
        assert_eq!(secret.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(secret.data.unwrap()["a"].0, b"b");
        for strange in [json!({"kind": "Lease"}), json!({"metadata": {"labels": 7}}), json!("no object")] {
            assert!(read::<Secret>(strange).is_err());
        }
    }
}
