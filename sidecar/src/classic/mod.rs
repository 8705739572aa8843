//! The classic API.

use http::{Method, Request};
use hyper::body::Incoming;

use crate::api::{Api, answer::Answer};

#[derive(Debug, Clone)]
pub(crate) enum Call {}

pub(crate) fn call(_: &Method, _: &str) -> Option<Call> {
    None
}

pub(crate) async fn answer(_: &Api, call: Call, _: Request<Incoming>) -> Answer {
    match call {}
}
