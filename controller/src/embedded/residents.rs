//! The machine's addresses as pods: each of them has a session of its own, by a token that is good in this process alone.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rollcall_catalogue::{Namespace, PodFacts, PodUid, liveness::PodLife};
use rollcall_net::Jitter;
use thiserror::Error;

use crate::{
    auth::{AuthError, Review, Reviewer},
    index::{Change, Key},
    owner::{IndexHandle, OwnerGone},
};

/// Addresses that may be residents: 127.0.0.0/8 alone has 16 million, and a machine's services a dozen.
const RESIDENTS_MAX: usize = 256;

/// Holds who the machine's addresses are.
#[derive(Debug, Clone)]
pub struct Residents {
    index: IndexHandle,
    home: Namespace,
    known: Arc<Mutex<BTreeMap<IpAddr, Resident>>>,
}

/// Holds who one address is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Resident {
    uid: PodUid,
    token: String,
}

/// Says why an address is nobody.
#[derive(Debug, Error)]
pub enum ResidentError {
    #[error(
        "{RESIDENTS_MAX} addresses of this machine were registered since the start; end `rollcall dev` and start it again"
    )]
    TooMany,
    #[error(transparent)]
    Gone(#[from] OwnerGone),
}

// === impl Residents ===

impl Residents {
    pub(super) fn new(index: IndexHandle, home: Namespace) -> Self {
        Self { index, home, known: Arc::default() }
    }

    /// By which the sidecar speaks for this address; it is the same each time.
    pub async fn token_of(&self, address: IpAddr) -> Result<String, ResidentError> {
        // A pod that is told before its kind is listed would be gone with the end of that list; and who has a token calls at
        // once, when nobody is let in before.
        self.index.view().wait_for(|view| view.complete).await.map_err(|_| OwnerGone)?;
        let resident = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match known.get(&address) {
                Some(resident) => return Ok(resident.token.clone()),
                None if known.len() >= RESIDENTS_MAX => return Err(ResidentError::TooMany),
                None => known.entry(address).or_insert_with(|| Resident::new(address)).clone(),
            }
        };
        let Resident { uid, token } = resident;
        self.index.apply(Change::Pod(Box::new(facts(uid, address, &self.home).into()))).await?;
        Ok(token)
    }

    /// Nobody speaks for this address any more, and its token is good for nothing.
    pub async fn let_go(&self, address: IpAddr) {
        let resident = self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&address);
        if let Some(Resident { uid, .. }) = resident {
            // An owner that is gone knows nobody.
            let _ = self.index.apply(Change::Gone(Key::Pod(uid))).await;
        }
    }
}

impl Reviewer for Residents {
    async fn review(&self, token: &str) -> Result<Review, AuthError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let resident = known.values().find(|resident| resident.token == token);
        resident.map(|resident| Review { pod: resident.uid.clone() }).ok_or(AuthError::Unauthenticated)
    }
}

/// A pod that is well as long as the machine is.
fn facts(uid: PodUid, address: IpAddr, home: &Namespace) -> PodFacts {
    PodFacts {
        uid,
        namespace: home.clone(),
        name: name(address).into(),
        node: None,
        addresses: std::iter::once(address).collect(),
        labels: Arc::default(),
        has_sidecar: true,
        asks_to_drain: false,
        registration: None,
        life: PodLife::READY,
    }
}

/// What people see as the pod.
fn name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => "localhost".to_owned(),
        other => format!("ip-{}", other.to_string().replace(['.', ':'], "-")),
    }
}

// === impl Resident ===

impl Resident {
    /// The same one after each restart, so that what is kept on the disk for it is its own; with a token that is not.
    fn new(address: IpAddr) -> Self {
        let uid = format!("local-{}", name(address));
        let claims = format!(r#"{{"kubernetes.io":{{"pod":{{"uid":"{uid}"}}}}}}"#);
        let mut chance = Jitter::from_entropy();
        let secret = format!("{:016x}{:016x}", chance.next_u64(), chance.next_u64());
        let [claims, secret] = [claims, secret].map(|part| URL_SAFE_NO_PAD.encode(part));
        // As a token of Kubernetes is made, so that the sidecar reads it as one.
        Self { uid: uid.as_str().into(), token: format!("e30.{claims}.{secret}") }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::{
        index::{Index, Kind},
        operate::Metrics,
        owner::owner,
    };

    #[tokio::test]
    async fn each_address_is_somebody_by_its_own_token() {
        let (owner, index) = owner(Index::default(), Metrics::new());
        let (_trigger, ear) = rollcall_net::shutdown();
        tokio::spawn(owner.run(ear));
        let residents = Residents::new(index.clone(), "default".parse().unwrap());
        let early = residents.token_of([127, 0, 0, 9].into()).now_or_never();
        assert!(early.is_none(), "nothing is listed yet");
        for kind in Kind::ALL {
            index.apply(Change::ListBegins(kind)).await.unwrap();
            index.apply(Change::ListEnds(kind)).await.unwrap();
        }
        let [first, second] = ["127.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap());
        let token = residents.token_of(first).await.unwrap();
        assert_eq!(residents.token_of(first).await.unwrap(), token);
        assert_ne!(residents.token_of(second).await.unwrap(), token);
        let Review { pod } = residents.review(&token).await.unwrap();
        assert_eq!(&*pod.text(), "local-localhost");
        let facts = index.pod(pod).await.unwrap().unwrap();
        assert_eq!(
            (&*facts.name, facts.addresses.iter().copied().collect::<Vec<_>>()),
            ("localhost", vec![first])
        );
        assert!(residents.review("e30.e30.e30").await.is_err());
        for number in 2..RESIDENTS_MAX {
            residents
                .token_of(IpAddr::from([10, 0, (number / 256) as u8, (number % 256) as u8]))
                .await
                .unwrap();
        }
        assert!(matches!(residents.token_of([10, 9, 9, 9].into()).await, Err(ResidentError::TooMany)));
        assert!(residents.token_of(first).await.is_ok());
        residents.let_go(first).await;
        assert!(residents.review(&token).await.is_err());
        assert_eq!(index.pod("local-localhost".into()).await.unwrap(), None);
        assert!(residents.token_of([10, 9, 9, 9].into()).await.is_ok());
    }
}
