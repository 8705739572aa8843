//! The calls that write: which of the rules each is for.

use serde_json::{Value, json};

use crate::{
    deletion::Leaving,
    history::Id,
    ownership::{self, Manager},
    patch,
    refusal::Refusal,
    request::{Call, Verb},
    state::{Options, State},
};

impl State {
    /// Does one write: gives the code and the body of its answer.
    pub(crate) fn write(&mut self, call: &Call, body: &[u8]) -> Result<(u16, String), Refusal> {
        let (kind, namespace) = (call.kind, call.namespace.as_deref().unwrap_or_default());
        let of_status = call.subresource == "status";
        let is_known = match (call.verb, call.subresource.as_str()) {
            (_, "") => true,
            (Verb::Update | Verb::Patch, "status") => kind.has_status,
            (Verb::Create, "token") => kind.plural == "serviceaccounts",
            _ => false,
        };
        if !is_known {
            return Err(Refusal::not_served());
        }
        let value = match body {
            [] => Value::Null,
            body => serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))?,
        };
        let applies = call.content_type == "application/apply-patch+yaml";
        let manager = Manager { name: call.manager(), applies, of_status };
        let options = Options {
            manager,
            dry_run: call.parameter("dryRun") == Some("All"),
            replaces: call.verb == Verb::Update,
        };
        let text = |object: &Value| object.to_string();
        match call.verb {
            Verb::Create if kind.plural == "tokenreviews" => Ok((201, text(&self.review(value)))),
            Verb::Create if call.subresource == "token" => {
                Ok((201, text(&self.issue(namespace, &call.name, value)?)))
            }
            Verb::Create => Ok((201, self.create(kind, namespace, value, &options)?.to_string())),
            Verb::Update => self.replace(call, namespace, value, &options),
            Verb::Patch => self.patch(call, namespace, &value, &options),
            Verb::DeleteAll => {
                let selection = call.selection()?;
                let all = self.history.list_at(kind.plural, self.history.revision(), None);
                let all = all.filter(|(id, object)| selection.has(id, object)).map(|(id, _)| id.clone());
                for id in all.collect::<Vec<_>>() {
                    self.delete(kind, &id.namespace, &id.name, &value)?;
                }
                Ok((200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}).to_string()))
            }
            _ => Ok((
                200,
                match self.delete(kind, namespace, &call.name, &value)? {
                    Leaving::Still(object) => text(&object),
                    Leaving::Gone(object)
                        if ["pods", "services", "serviceaccounts"].contains(&kind.plural) =>
                    {
                        text(&object)
                    }
                    Leaving::Gone(object) => json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                    "status": "Success", "details": {"name": call.name, "group": kind.group,
                    "kind": kind.plural, "uid": object["metadata"]["uid"]}})
                    .to_string(),
                },
            )),
        }
    }

    fn replace(
        &mut self,
        call: &Call,
        namespace: &str,
        value: Value,
        options: &Options,
    ) -> Result<(u16, String), Refusal> {
        let (kind, name) = (call.kind, call.name.as_str());
        let version = value["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty());
        let is_there = self.history.get(&Id::new(kind, namespace, name)).is_some();
        if !is_there && kind.is_created_by_update && call.subresource.is_empty() {
            if let Some(uid) = value["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty()) {
                let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: ");
                return Err(Refusal::conflict(kind, name, &why));
            }
            if version.is_none() {
                return Ok((201, self.create(kind, namespace, value, options)?.to_string()));
            }
        }
        if is_there && kind.needs_version && version.is_none() {
            let why = "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update";
            return Err(Refusal::invalid(kind, name, why));
        }
        Ok((200, self.update(kind, namespace, name, options, |_, _| Ok(value))?.to_string()))
    }

    fn patch(
        &mut self,
        call: &Call,
        namespace: &str,
        value: &Value,
        options: &Options,
    ) -> Result<(u16, String), Refusal> {
        let (kind, name) = (call.kind, call.name.as_str());
        let is_there = self.history.get(&Id::new(kind, namespace, name)).is_some();
        if options.manager.applies {
            if call.parameter("fieldManager").is_none() {
                return Err(Refusal::bad_request(
                    "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
                ));
            }
            if value["apiVersion"].is_null() || value["kind"].is_null() {
                return Err(Refusal::bad_request("Object 'Kind' or 'apiVersion' is missing"));
            }
            if !value["metadata"]["managedFields"].is_null() {
                return Err(Refusal::bad_request("metadata.managedFields must be nil"));
            }
            let force = call.parameter("force") == Some("true");
            if !is_there && call.subresource.is_empty() {
                return self.create_by_apply(call, namespace, value, options);
            }
            let applied = self.update(kind, namespace, name, options, |before, now| {
                ownership::apply(kind, before, value, &options.manager, force, now)
                    .map_err(|owned| Refusal::owned(&owned))
            })?;
            return Ok((200, applied.to_string()));
        }
        let patched = self.update(kind, namespace, name, options, |before, _| {
            let mut after = before.clone();
            match call.content_type.as_str() {
                "application/merge-patch+json" => patch::merge(&mut after, value),
                "application/strategic-merge-patch+json" if !kind.is_custom => {
                    patch::strategic(kind, &mut after, value, "");
                }
                "application/json-patch+json" => patch::by_operations(kind, name, &mut after, value)?,
                other => return Err(Refusal::unsupported(other)),
            }
            Ok(after)
        })?;
        Ok((200, patched.to_string()))
    }

    fn create_by_apply(
        &mut self,
        call: &Call,
        namespace: &str,
        value: &Value,
        options: &Options,
    ) -> Result<(u16, String), Refusal> {
        let (kind, name) = (call.kind, call.name.as_str());
        if value["metadata"]["uid"].is_string() {
            return Err(Refusal::conflict(
                kind,
                name,
                "uid mismatch: the provided object specified uid, and no existing object was found",
            ));
        }
        let now = self.now_text();
        let mut value = value.clone();
        value["metadata"]["name"] = json!(name);
        let created =
            self.create(kind, namespace, value.clone(), &Options { dry_run: true, ..options.clone() })?;
        let mut bare = Value::clone(&created);
        bare["metadata"].as_object_mut().map(|meta| meta.remove("managedFields"));
        let owned = ownership::apply(kind, &bare, &value, &options.manager, true, &now)
            .map_err(|owned| Refusal::owned(&owned))?;
        if options.dry_run {
            return Ok((201, owned.to_string()));
        }
        let created = self.history.put(Id::new(kind, namespace, name), owned);
        self.collect();
        Ok((201, created.to_string()))
    }
}
