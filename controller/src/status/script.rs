//! What there is to be written, by a script, for tests.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use rollcall_catalogue::{Instance, Port, Profile, Reason, State};
use rollcall_crds::{Accepted, Finding, Ready, Resolved};
use tokio::time::Instant;

use super::source::Source;
use crate::{
    index::{Managed, Notice, ObjectKey, Report, StatusDigest},
    lease::{Leadership, Seat, leadership},
    owner::OwnerGone,
};

/// Holds what is to be told next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    reports: Vec<Report>,
    managed: Option<Managed>,
    notices: Vec<Notice>,
    /// The first so many are told.
    skipped: (Vec<Notice>, usize),
    reported_all: usize,
}

/// A lease that is held until the seat says otherwise.
pub(crate) fn holding() -> (Seat, Leadership) {
    let (seat, leadership) = leadership();
    seat.publish(Some(Instant::now() + Duration::from_secs(1_000_000)));
    (seat, leadership)
}

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "shop".parse().unwrap(), name: name.into() }
}

pub(crate) fn instance(number: u8, state: State) -> Arc<Instance> {
    let profile = Profile {
        port: 80,
        ports: [Port::tcp(None, 80)].into(),
        version: None,
        weight: 100,
        tags: Default::default(),
        metadata: Default::default(),
    };
    Arc::new(Instance {
        id: format!("u{number}-80").as_str().into(),
        addresses: IpAddr::from([10, 0, 0, number]).into(),
        zone: None,
        node: None,
        pod: Some(format!("orders-{number}").into()),
        profile: profile.into(),
        state,
        reason: Reason::Ready,
        revision: 0,
    })
}

/// So many are serving of an object whose uid is `u-` and its name, and whose status says nothing yet.
pub(crate) fn report(name: &str, serving: u8) -> Report {
    Report {
        object: key(name),
        uid: format!("u-{name}").into(),
        generation: 1,
        findings: vec![
            Finding::new(if serving > 0 { Ready::Serving } else { Ready::NoInstances }, ""),
            Finding::new(Accepted::Accepted, ""),
            Finding::new(Resolved::Resolved, ""),
        ],
        serving: serving.into(),
        total: serving.into(),
        instances: (0..serving).map(|number| instance(number, State::Serving)).collect(),
        truncated: false,
        told: StatusDigest::default(),
    }
}

// === impl Script ===

impl Script {
    pub(crate) fn report(&self, report: Report) {
        self.0.lock().unwrap().reports.push(report);
    }

    pub(crate) fn manage(&self, managed: Managed) {
        self.0.lock().unwrap().managed = Some(managed);
    }

    pub(crate) fn notice(&self, notice: Notice) {
        self.0.lock().unwrap().notices.push(notice);
    }

    pub(crate) fn skip(&self, notice: Notice) {
        self.0.lock().unwrap().skipped.0.push(notice);
    }

    pub(crate) fn reported_all(&self) -> usize {
        self.0.lock().unwrap().reported_all
    }

    pub(crate) fn left(&self) -> usize {
        let lines = self.0.lock().unwrap();
        lines.reports.len() + lines.notices.len()
    }
}

impl Source for Script {
    async fn reports(&self, max: usize) -> Result<Vec<Report>, OwnerGone> {
        let mut lines = self.0.lock().unwrap();
        let taken = lines.reports.len().min(max);
        Ok(lines.reports.drain(..taken).collect())
    }

    async fn report_all(&self) -> Result<(), OwnerGone> {
        self.0.lock().unwrap().reported_all += 1;
        Ok(())
    }

    async fn managed(&self) -> Result<Option<Managed>, OwnerGone> {
        Ok(self.0.lock().unwrap().managed.clone())
    }

    async fn notices(&self, max: usize) -> Result<Vec<Notice>, OwnerGone> {
        let mut lines = self.0.lock().unwrap();
        let taken = lines.notices.len().min(max);
        Ok(lines.notices.drain(..taken).collect())
    }

    async fn skipped(&self) -> Result<Option<Notice>, OwnerGone> {
        let (all, told) = &mut self.0.lock().unwrap().skipped;
        let next = all.get(*told).cloned();
        *told += usize::from(next.is_some());
        Ok(next)
    }

    async fn tell_skipped_anew(&self) -> Result<(), OwnerGone> {
        self.0.lock().unwrap().skipped.1 = 0;
        Ok(())
    }
}
