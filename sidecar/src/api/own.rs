//! `/v1/self`: what the app says of itself. A service is named in the path, so that one app can be several; `health` and
//! `drain` there are no services.

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use rollcall_catalogue::{NameError, ServiceName, ValueError};
use rollcall_wire::{
    Drain, Problem, Slug,
    api::drained_body,
    client::Drained,
    limits::{DRAIN_DEFAULT, DRAIN_MAX},
    query::{only, parameters, segment, time},
};
use tokio::time::{Duration, Instant};

use super::{
    Api,
    answer::{Answer, json, no_content},
    body,
};
use crate::{
    agent::TooMany,
    own::{self, BODY, NoRoom, Settled, Value},
};

/// How long the agent may take to hear that a drain is over; that it is said again in each session is its own affair.
const STOP_MAX: Duration = Duration::from_secs(2);

/// The answer for every path at or below `/v1/self`; the router has seen to the methods.
pub(crate) async fn answer(api: &Api, request: Request<Incoming>) -> Result<Answer, Problem> {
    let (head, body) = request.into_parts();
    let part = head.uri.path().strip_prefix("/v1/self").unwrap_or_default();
    let part = part.strip_prefix('/').map(segment).transpose()?;
    let parameters = parameters(head.uri.query())?;
    if let (&Method::POST, Some("drain")) = (&head.method, part.as_deref()) {
        only(&parameters, &["deadline"])?;
        let deadline = time(&parameters, "deadline", DRAIN_MAX)?.unwrap_or(DRAIN_DEFAULT);
        body::check_type(&head.headers, &body)?;
        return drain(api, deadline).await;
    }
    only(&parameters, &[])?;
    match (&head.method, part.as_deref()) {
        (&Method::DELETE, Some("drain")) => {
            // Its answer says who still called: nobody waits for that any more.
            let _ = api.owners.drain(Drain::Stop, STOP_MAX).await;
            api.owners.kept().await;
            Ok(no_content())
        }
        (_, Some("health")) => {
            let body: Value = body::read(&head.headers, body).await?;
            api.owners.app_says(&own::health(body).map_err(|error| invalid(&error))?);
            api.owners.kept().await;
            Ok(no_content())
        }
        (&Method::PUT, service) => {
            let service = service.map(service_name).transpose()?;
            let body: Value = body::read(&head.headers, body).await?;
            put(api, body, service.as_ref()).await
        }
        (&Method::DELETE, service) => {
            api.owners.remove(service.map(service_name).transpose()?.as_ref());
            api.owners.kept().await;
            Ok(no_content())
        }
        _ => Ok(shown(api, StatusCode::OK)),
    }
}

async fn put(api: &Api, body: Value, service: Option<&ServiceName>) -> Result<Answer, Problem> {
    let said = own::registration(body, service).map_err(|error| invalid(&error))?;
    let own = &api.owners.first().own;
    let ticket = own.put(said).map_err(no_room)?;
    own.kept().await;
    match own.word(&ticket).await {
        Settled::Registered => Ok(shown(api, StatusCode::OK)),
        // It is said as soon as a controller is there; or another word of the app counts by now.
        Settled::Open | Settled::Overtaken => Ok(shown(api, StatusCode::ACCEPTED)),
        Settled::Rejected(refusal) => {
            let hint = match refusal.field {
                Some(field) => format!("correct `{field}`"),
                None => "see `explain` of the service".to_owned(),
            };
            Err(Problem::new(Slug::InvalidField, refusal.reason).hint(hint))
        }
    }
}

async fn drain(api: &Api, deadline: Duration) -> Result<Answer, Problem> {
    let _place = api.place()?;
    let begin = Instant::now();
    let drained = api.owners.drain(Drain::Start, deadline).await;
    api.owners.kept().await;
    let drained = drained.map_err(|many: TooMany| {
        Problem::new(Slug::LimitReached, many.to_string()).hint("it drains; ask again in a second")
    })?;
    Ok(match drained {
        Some(drained) => json(StatusCode::OK, drained_body(&drained)),
        // It begins as soon as a controller is there.
        None => {
            let elapsed_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
            let none = Drained {
                complete: false,
                terminating: false,
                acked: 0,
                subscribers: 0,
                late: Vec::new(),
                elapsed_ms,
            };
            json(StatusCode::ACCEPTED, drained_body(&none))
        }
    })
}

fn shown(api: &Api, status: StatusCode) -> Answer {
    json(status, api.owners.shown())
}

fn service_name(text: &str) -> Result<ServiceName, Problem> {
    text.parse().map_err(|error: NameError| {
        Problem::new(Slug::InvalidField, error.to_string())
            .field("service")
            .hint("use a name as orders; an app registers in its own namespace")
    })
}

fn invalid(error: &ValueError) -> Problem {
    let slug = if error.field == BODY { Slug::InvalidBody } else { Slug::InvalidField };
    Problem::new(slug, error.problem.clone()).field(error.field).hint(error.remedy)
}

fn no_room(full: NoRoom) -> Problem {
    Problem::new(Slug::LimitReached, full.to_string()).hint("take back one of them first, or say less of it")
}
