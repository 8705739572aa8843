//! What the catalogue must be: computed from kubectl's objects as simply as the contract can be read.
//!
//! It does not know services with static addresses: whether those answer is not for kubectl to say.

use crate::catalogue::{Catalogue, Entry};
use crate::facts::{Endpoint, Name, Pod, Ports, Registration, Service, Slice, Target};
use crate::facts::{name, pod, registration, service, slice};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Holds what kubectl said, object by object.
#[derive(Debug, Clone, Default)]
pub struct World {
    pods: BTreeMap<Name, Pod>,
    registrations: BTreeMap<Name, Registration>,
    services: BTreeMap<Name, Service>,
    slices: BTreeMap<Name, Slice>,
    adopting: BTreeSet<String>,
}

/// A registration that reaches an owner, with the endpoint that it does so by.
struct Reaching<'a> {
    name: &'a str,
    registration: Registration,
    endpoint: Option<(Endpoint, Ports)>,
}

impl World {
    /// The objects of a list as `kubectl get -o json` prints it.
    pub fn add_list(&mut self, list: &Value) {
        for object in list["items"].as_array().into_iter().flatten() {
            self.see(object);
        }
    }

    pub fn see(&mut self, object: &Value) {
        let name = name(object);
        match object["kind"].as_str().unwrap_or_default() {
            "Pod" => drop(self.pods.insert(name, pod(object))),
            "ServiceRegistration" => drop(self.registrations.insert(name, registration(object))),
            "Service" => drop(self.services.insert(name, service(object))),
            "EndpointSlice" => {
                self.slices.remove(&name);
                self.slices.extend(slice(object).map(|slice| (name, slice)));
            }
            "Namespace" => {
                if object["metadata"]["labels"]["rollcall.dev/adopt-services"] == "enabled" {
                    self.adopting.insert(name.1);
                } else {
                    self.adopting.remove(&name.1);
                }
            }
            kind => panic!("what is {kind}?"),
        }
    }

    pub fn lose(&mut self, object: &Value) {
        let name = name(object);
        match object["kind"].as_str().unwrap_or_default() {
            "Pod" => drop(self.pods.remove(&name)),
            "ServiceRegistration" => drop(self.registrations.remove(&name)),
            "Service" => drop(self.services.remove(&name)),
            "EndpointSlice" => drop(self.slices.remove(&name)),
            "Namespace" => drop(self.adopting.remove(&name.1)),
            kind => panic!("what is {kind}?"),
        }
    }

    pub fn catalogue(&self) -> Catalogue {
        let mut catalogue = Catalogue::default();
        let mut registrations: Vec<(Name, Registration)> = Vec::new();
        for ((namespace, name), registration) in &self.registrations {
            let key = format!("{}.{namespace}", registration.service);
            match registration.target {
                Target::Addresses { twice: true } => continue,
                _ if registration.managed => drop(catalogue.0.entry(key).or_default()),
                _ => {
                    catalogue.0.entry(key).or_default();
                    registrations.push(((namespace.clone(), name.clone()), registration.clone()));
                }
            }
        }
        for ((namespace, name), service) in &self.services {
            if service.adoptable && self.adopting.contains(namespace) {
                catalogue.0.entry(format!("{name}.{namespace}")).or_default();
                let registration = Registration {
                    service: name.clone(),
                    managed: false,
                    created: service.created.clone(),
                    version: None,
                    ports: Ports::new(),
                    target: Target::Service(name.clone()),
                };
                registrations.push(((namespace.clone(), name.clone()), registration));
            }
        }
        for ((namespace, pod_name), pod) in &self.pods {
            let mut services: BTreeMap<&str, Vec<Reaching<'_>>> = BTreeMap::new();
            if let Some(own) = &pod.own_word {
                services.entry(&own.service).or_default();
            }
            for ((of, name), registration) in registrations.iter().filter(|((of, _), _)| of == namespace) {
                if let Some(endpoint) = self.reach(of, registration, pod) {
                    services.entry(&registration.service).or_default().push(Reaching {
                        name,
                        registration: registration.clone(),
                        endpoint,
                    });
                }
            }
            for (service, reaching) in services {
                let known = catalogue.0.entry(format!("{service}.{namespace}")).or_default();
                known.extend(self.instance(namespace, pod_name, pod, service, reaching));
            }
        }
        for ((namespace, _), registration) in &registrations {
            let key = format!("{}.{namespace}", registration.service);
            let known = catalogue.0.entry(key).or_default();
            if let Target::Service(service) = &registration.target {
                known.extend(self.podless(namespace, service));
            }
        }
        let unknowable =
            registrations.iter().filter(|(_, one)| matches!(one.target, Target::Addresses { .. }));
        for ((namespace, _), registration) in unknowable {
            catalogue.0.remove(&format!("{}.{namespace}", registration.service));
        }
        catalogue
    }

    /// What is in the catalogue of that which this can judge.
    pub fn judged(&self, mut catalogue: Catalogue) -> Catalogue {
        for ((namespace, _), registration) in &self.registrations {
            if matches!(registration.target, Target::Addresses { twice: false }) {
                catalogue.0.remove(&format!("{}.{namespace}", registration.service));
            }
        }
        catalogue
    }

    #[allow(clippy::option_option, reason = "whether it reaches it, and by which endpoint")]
    fn reach(
        &self,
        namespace: &str,
        registration: &Registration,
        pod: &Pod,
    ) -> Option<Option<(Endpoint, Ports)>> {
        match &registration.target {
            Target::Selector(labels) => {
                labels.iter().all(|(key, value)| pod.labels.get(key) == Some(value)).then_some(None)
            }
            Target::Pod(uid) => (*uid == pod.uid).then_some(None),
            Target::Addresses { .. } => None,
            Target::Service(service) => {
                let mut found: Option<(Endpoint, Ports)> = None;
                for (slice, endpoint) in self.endpoints(namespace, service) {
                    if endpoint.pod.as_ref() != Some(&pod.uid) {
                        continue;
                    }
                    let held = found.get_or_insert_with(|| (endpoint.clone(), Ports::new()));
                    // While it moves from one slice to another, the better word counts.
                    held.0.ready |= endpoint.ready;
                    held.0.terminating &= endpoint.terminating;
                    held.1.extend(slice.ports.clone());
                }
                found.map(Some)
            }
        }
    }

    fn endpoints(&self, namespace: &str, service: &str) -> impl Iterator<Item = (&Slice, &Endpoint)> {
        let slices =
            self.slices.iter().filter(move |((of, _), slice)| of == namespace && slice.service == service);
        slices.flat_map(|(_, slice)| slice.endpoints.iter().map(move |endpoint| (slice, endpoint)))
    }

    fn instance(
        &self,
        namespace: &str,
        name: &str,
        pod: &Pod,
        service: &str,
        mut reaching: Vec<Reaching<'_>>,
    ) -> Option<(String, Entry)> {
        if pod.ended || pod.addresses.is_empty() {
            return None;
        }
        let closeness = |reaching: &Reaching<'_>| match reaching.registration.target {
            Target::Pod(_) => 1,
            Target::Selector(_) => 2,
            _ => 3,
        };
        reaching.sort_by_key(|one| (closeness(one), one.registration.created.clone(), one.name.to_owned()));
        let own = pod.own_word.iter().filter(|own| own.service == service);
        let closest =
            own.clone().map(|own| &own.ports).chain(reaching.iter().map(|one| &one.registration.ports));
        let first = closest.flatten().next().cloned();
        let mut by_age: Vec<_> = reaching.iter().collect();
        by_age.sort_by_key(|one| (one.registration.created.clone(), one.name.to_owned()));
        let mut ports = BTreeMap::new();
        let declared = by_age.iter().flat_map(|one| &one.registration.ports);
        for (name, port) in own.clone().flat_map(|own| &own.ports).chain(declared) {
            ports.entry(name.clone()).or_insert(*port);
        }
        let endpoint = reaching.iter().find_map(|one| one.endpoint.as_ref());
        let (mut primary, mut order) = (first, Vec::new());
        if let Some((_, of_slices)) = endpoint {
            order.clone_from(of_slices);
            let of_service = reaching.iter().find_map(|one| match &one.registration.target {
                Target::Service(service) => self.services.get(&(namespace.to_owned(), service.clone())),
                _ => None,
            });
            let place = |name: &String| {
                of_service.and_then(|service| service.ports.iter().position(|one| one == name))
            };
            order.sort_by_key(|(name, _)| place(name).unwrap_or(usize::MAX));
            primary = primary.or_else(|| order.first().cloned());
            for (name, port) in &order {
                ports.entry(name.clone()).or_insert(*port);
            }
        }
        let (primary_name, primary) = primary?;
        // What callers use a name for already stays what it means.
        let primary = ports.get(&primary_name).copied().unwrap_or(primary);
        ports.remove("");
        let publishes = reaching.iter().any(|one| match &one.registration.target {
            Target::Service(service) => self
                .services
                .get(&(namespace.to_owned(), service.clone()))
                .is_some_and(|service| service.publishes_not_ready),
            _ => false,
        });
        let endpoint = endpoint.map(|(endpoint, _)| endpoint);
        let state = if pod.deleting || endpoint.is_some_and(|endpoint| endpoint.terminating) {
            "Draining"
        } else if publishes || (pod.ready && endpoint.is_none_or(|endpoint| endpoint.ready)) {
            "Serving"
        } else {
            "Starting"
        };
        let version = own.clone().find_map(|own| own.version.clone());
        let entry = Entry {
            addresses: pod.addresses.iter().cloned().collect(),
            ports,
            pod: Some(name.to_owned()),
            version: version.or_else(|| reaching.iter().find_map(|one| one.registration.version.clone())),
            state: state.to_owned(),
        };
        Some((format!("{}-{primary}", pod.uid), entry))
    }

    /// The endpoints of a Service that are no pods: all but those that are a pod's of another namespace.
    fn podless(&self, namespace: &str, service: &str) -> Vec<(String, Entry)> {
        let foreign = |address: &String| {
            self.pods.iter().any(|((of, _), pod)| of != namespace && pod.addresses.contains(address))
        };
        let endpoints = self.endpoints(namespace, service).filter(|(_, endpoint)| endpoint.pod.is_none());
        let entries = endpoints.filter_map(|(slice, endpoint)| {
            let (_, port) = slice.ports.first()?;
            let address = endpoint.addresses.first().filter(|address| !foreign(address))?;
            let state = match (endpoint.terminating, endpoint.ready) {
                (true, _) => "Draining",
                (false, true) => "Serving",
                (false, false) => "Starting",
            };
            let entry = Entry {
                addresses: endpoint.addresses.iter().cloned().collect(),
                ports: slice.ports.iter().filter(|(name, _)| !name.is_empty()).cloned().collect(),
                pod: None,
                version: None,
                state: state.to_owned(),
            };
            Some((format!("{address}-{port}"), entry))
        });
        entries.collect()
    }
}
