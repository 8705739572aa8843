//! What people ask: all services, whose an address is, why an instance is in its state. The controller knows; without one,
//! what is held here is told, and said to be no more than that.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use http::{HeaderMap, StatusCode};
use rollcall_catalogue::{Instance, InstanceId, Query, ServiceKey, States, shortened};
use rollcall_wire::{
    Explained, Found, Problem, Question, ServiceSummary, Slug, Told, WitnessWords,
    api::{explained_body, found_body, list_body},
    query,
};
use tokio::time::timeout;

use super::{
    Api,
    answer::{Answer, Standing, about, dated, json, list, of, problem},
    lookup::{FIRST_ANSWER_MAX, no_such_service, not_synced},
};
use crate::store::{Contact, Held, Known};

// === impl Api ===

impl Api {
    pub(super) async fn services(&self, query: Option<&str>, request: &HeaderMap) -> Result<Answer, Problem> {
        query::only(&query::parameters(query)?, &[])?;
        let _place = self.place()?;
        let listed = async {
            self.something_known().await;
            self.summary().await
        };
        let Ok((body, partial)) = timeout(FIRST_ANSWER_MAX, listed).await else {
            return Err(not_synced("the list of services has not come yet".to_owned()));
        };
        Ok(list(body, self.told(partial, None), request))
    }

    /// The list of all services, and whether it may lack some: nobody can be asked.
    async fn summary(&self) -> (Vec<u8>, bool) {
        let mut changes = self.store.changes();
        self.errands.wish_summary();
        loop {
            changes.mark_unchanged();
            let partial = !self.store.in_session();
            if let Some(summary) = &self.store.around().summary {
                return (list_body(summary.values(), partial), partial);
            }
            // Without the agent, which ends the process, there is nobody to ask either.
            if partial || changes.changed().await.is_err() {
                let held: Vec<_> = self.held().iter().map(|held| summary(held)).collect();
                return (list_body(&held, true), true);
            }
        }
    }

    /// Resolves once there is anything to tell of: before the first session, where the disk has nothing either, it is not
    /// known whether anything is there, and nothing is not what is.
    async fn something_known(&self) {
        let mut changes = self.store.changes();
        loop {
            changes.mark_unchanged();
            if self.store.contact() != Contact::Never || !self.held().is_empty() {
                return;
            }
            if changes.changed().await.is_err() {
                // The agent is gone, which ends the process.
                std::future::pending::<()>().await;
            }
        }
    }

    /// How current it is: what the controller has just told is not the disk's.
    fn told(&self, partial: bool, held: Option<&Held>) -> Standing {
        let standing = self.standing(held);
        Standing { from_disk: standing.from_disk && partial, ..standing }
    }

    pub(super) async fn instances(
        &self,
        query: Option<&str>,
        request: &HeaderMap,
    ) -> Result<Answer, Problem> {
        let parameters = query::parameters(query)?;
        query::only(&parameters, &["address"])?;
        let address = query::address(&parameters, "address")?.ok_or_else(|| {
            Problem::new(Slug::InvalidQuery, "address: missing")
                .field("address")
                .hint("ask with ?address=10.1.2.3")
        })?;
        let _place = self.place()?;
        if timeout(FIRST_ANSWER_MAX, self.something_known()).await.is_err() {
            return Err(not_synced("nothing is known of any address yet".to_owned()));
        }
        let (found, partial) = match self.errands.ask(Question::Address(address.to_canonical())).await {
            Some(Told::Found(found)) => (found, false),
            _ => (self.found(address.to_canonical()), true),
        };
        Ok(list(found_body(&found, partial), self.told(partial, None), request))
    }

    pub(super) async fn explain(
        &self,
        name: &str,
        id: Option<&str>,
        query: Option<&str>,
    ) -> Result<Answer, Problem> {
        query::only(&query::parameters(query)?, &[])?;
        let key = self.key(name).await?;
        let _place = self.place()?;
        let asked = id.map(InstanceId::from);
        let question = Question::Explain { service: key.clone(), id: asked.clone() };
        let told = self.errands.ask(question).await;
        let held = self.store.names().get(&key).map(|slot| Arc::clone(&slot.known()));
        let (instances, partial) = match (told, held.as_deref()) {
            (Some(Told::Explained(instances)), _) => (instances, false),
            (Some(Told::UnknownInstance), _) => (Vec::new(), false),
            (Some(Told::UnknownService), _) => {
                return self.refused(no_such_service(&key, 0));
            }
            (_, Some(known)) => match self.service(&key, known) {
                Ok(held) => (explained(held, asked.as_ref()), true),
                Err(refusal) => return self.refused(refusal),
            },
            (_, None) => {
                return Err(not_synced(format!("nothing is known of `{key}`, and nobody can be asked")));
            }
        };
        let held = match held.as_deref() {
            Some(Known::Service(held)) => Some(held),
            _ => None,
        };
        let standing = self.told(partial, held.map(Arc::as_ref));
        if id.is_some() && instances.is_empty() {
            let answer = problem(&unknown_instance(&key, id));
            return Ok(match held {
                Some(held) => of(held, answer, standing),
                None => dated(answer, standing),
            });
        }
        let answer = json(StatusCode::OK, explained_body(&key, &instances, partial));
        Ok(match held {
            Some(held) => about(held, answer, "explain", standing),
            None => dated(answer, standing),
        })
    }

    /// All services that are held, in their order.
    fn held(&self) -> Vec<Arc<Held>> {
        let names = self.store.names();
        let held = names.iter().filter_map(|slot| match &**slot.known() {
            Known::Service(held) => Some(Arc::clone(held)),
            _ => None,
        });
        held.collect()
    }

    /// The instances that are held and have this address.
    fn found(&self, address: IpAddr) -> Vec<Found> {
        let query = Query { address: Some(address), states: States::All, ..Query::default() };
        let found = |held: &Arc<Held>| -> Vec<Found> {
            let matches = query.select(&held.service);
            let found =
                |one: &Arc<Instance>| Found { service: held.key.clone(), instance: Instance::clone(one) };
            matches.iter().map(|one| found(one.instance)).collect()
        };
        self.held().iter().flat_map(found).collect()
    }
}

fn summary(held: &Held) -> ServiceSummary {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    ServiceSummary {
        service: held.key.clone(),
        versions: held.service.versions().into_iter().cloned().collect(),
        serving: count(held.service.serving()),
        total: count(held.service.instances.len()),
    }
}

/// What is known here of why these are in their states: what a lookup tells, and nothing of the witnesses.
fn explained(held: &Held, id: Option<&InstanceId>) -> Vec<Explained> {
    let served: HashSet<_> =
        Query::default().select(&held.service).iter().map(|one| &one.instance.id).collect();
    let wanted = held.service.instances.iter().filter(|one| id.is_none_or(|id| one.id == *id));
    let unknown = || "unknown".to_owned();
    let explained = |instance: &Arc<Instance>| Explained {
        id: instance.id.clone(),
        address: instance.address(),
        port: instance.profile.port,
        pod: instance.pod.as_deref().map(ToOwned::to_owned),
        served: served.contains(&instance.id),
        state: instance.state,
        reason: instance.reason.clone(),
        since_seconds: None,
        witnesses: WitnessWords {
            pod: unknown(),
            endpoint: unknown(),
            session: unknown(),
            probe: unknown(),
            intent: unknown(),
            registry: unknown(),
        },
        problems: Vec::new(),
    };
    wanted.map(explained).collect()
}

fn unknown_instance(key: &ServiceKey, id: Option<&str>) -> Problem {
    let detail = format!("`{key}` has no instance `{}`", shortened(id.unwrap_or_default()));
    Problem::new(Slug::UnknownInstance, detail).field("id").hint("leave it out to see all of them")
}
