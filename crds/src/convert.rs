//! From the resource to the catalogue's registration.

use rollcall_catalogue::{
    self as catalogue, Attributes, NameError, Registration, Selector, ServiceKey, Source, Target, ValueError,
    VersionError,
};
use thiserror::Error;

use crate::resource::ServiceRegistration;

/// Says what keeps an object out of the catalogue, naming the field and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    #[error(
        "metadata.{0} is missing; the API server sets it, so give the object as the API server returned it"
    )]
    NoMeta(&'static str),
    #[error("spec.{0}")]
    Name(#[from] NameError),
    #[error("spec.{0}")]
    Value(#[from] ValueError),
    #[error("spec.{0}")]
    Version(#[from] VersionError),
    #[error("spec.target.selector.matchLabels: is empty and would mean every pod; name at least one label")]
    EmptySelector,
}

/// The registration that this object stands for.
pub fn registration(object: &ServiceRegistration) -> Result<Registration, SpecError> {
    let meta = &object.metadata;
    let name = meta.name.as_deref().ok_or(SpecError::NoMeta("name"))?;
    let namespace = meta.namespace.as_deref().ok_or(SpecError::NoMeta("namespace"))?;
    let created_ms =
        meta.creation_timestamp.as_ref().ok_or(SpecError::NoMeta("creationTimestamp"))?.0.as_millisecond();
    let spec = &object.spec;
    if spec.target.selector.match_labels.is_empty() {
        return Err(SpecError::EmptySelector);
    }
    let port = |port: &crate::Port| catalogue::Port::tcp(Some(&port.name), port.port);
    let attributes = Attributes {
        version: spec.version.as_deref().map(str::parse).transpose()?,
        ports: spec.ports.iter().map(port).collect(),
        tags: spec.tags.clone(),
        metadata: spec.metadata.clone(),
        weight: spec.weight,
        ..Attributes::default()
    };
    if let Some(error) = attributes.check().into_iter().next() {
        return Err(error.into());
    }
    Ok(Registration {
        key: ServiceKey {
            namespace: namespace.parse()?,
            service: spec.service.as_deref().unwrap_or(name).parse()?,
        },
        source: Source::Object { created_ms, name: name.into() },
        target: Target::Selector(Selector {
            match_labels: spec.target.selector.match_labels.clone(),
            match_expressions: vec![],
        }),
        attributes,
        policy: None,
        visibility: None,
    })
}
