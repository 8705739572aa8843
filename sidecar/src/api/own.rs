//! `/v1/self`: what the app says of itself.

use http::Request;
use hyper::body::Incoming;
use rollcall_wire::{Problem, Slug};

use super::{Api, answer::Answer};

pub(crate) async fn answer(_: &Api, _: Request<Incoming>) -> Result<Answer, Problem> {
    Err(Problem::new(Slug::UnknownPath, "there is nothing here"))
}
