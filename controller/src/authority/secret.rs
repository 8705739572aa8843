//! The Secret as it is written: what is read of it, and what it is to be.

use std::{collections::BTreeMap, str::FromStr, sync::Arc, time::SystemTime};

use k8s_openapi::{ByteString, api::core::v1::Secret, jiff::Timestamp};
use kube::api::ObjectMeta;

use super::{
    pair::{Authority, BACKDATE, CaError},
    state::{Outgoing, State, whole_seconds},
    terms::Terms,
};

/// The type's own names for its two entries.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const PREVIOUS_CERTIFICATE: &str = "previous.crt";
const PREVIOUS_KEY: &str = "previous.key";
/// All who are to be believed: for people, and for those who mount it.
const BUNDLE: &str = "ca.crt";
/// From when on the authority in `tls.crt` signs, where there is another one before it (RFC 3339).
const SIGN_FROM: &str = "rollcall.dev/sign-from";

/// Says how the Secret was found.
#[derive(Debug)]
pub(super) enum Seen {
    /// Nobody could say.
    Unknown,
    Absent,
    There(Reading),
}

/// Holds what could be read of a Secret.
#[derive(Debug)]
pub(super) struct Reading {
    /// None where no authority can be read.
    pub(super) state: Option<State>,
    /// What is wrong with it.
    pub(super) damage: Option<CaError>,
    /// Its bundle is the one of its authorities, as we write it: nobody has put another one there since.
    pub(super) is_settled: bool,
}

// === impl Seen ===

impl Seen {
    /// Nothing else than this state stands there.
    pub(super) fn is(&self, state: &State) -> bool {
        match self {
            Self::There(reading) => {
                reading.is_settled && reading.damage.is_none() && reading.state.as_ref() == Some(state)
            }
            Self::Unknown | Self::Absent => false,
        }
    }
}

/// What is in this Secret of ours.
pub(super) fn read(secret: &Secret, place: &str, now: SystemTime, terms: Terms) -> Reading {
    let current = match pair(secret, CERTIFICATE, KEY, place) {
        Ok(current) => Arc::new(current),
        Err(damage) => return Reading { state: None, damage: Some(damage), is_settled: false },
    };
    let (mut state, mut damage) = (State::steady(current), None);
    if [PREVIOUS_CERTIFICATE, PREVIOUS_KEY].iter().any(|entry| holds(secret, entry)) {
        match pair(secret, PREVIOUS_CERTIFICATE, PREVIOUS_KEY, place) {
            Ok(authority) if state.is_of(&authority) => {}
            Ok(authority) => {
                let signs_until = sign_from(secret, &authority, now, terms);
                if signs_until.is_none() {
                    damage = Some(CaError::Date(place.to_owned(), SIGN_FROM));
                }
                let signs_until = signs_until.unwrap_or_else(|| whole_seconds(now + terms.hand_over()));
                state.outgoing = Some(Outgoing { authority: Arc::new(authority), signs_until });
            }
            Err(broken) => damage = Some(broken),
        }
    }
    let is_settled = text(secret, BUNDLE) == Some(state.bundle().as_str());
    Reading { state: Some(state), damage, is_settled }
}

/// The authority that stands in a Secret of somebody else's.
pub(super) fn read_source(secret: &Secret, place: &str, now: SystemTime) -> Result<Authority, CaError> {
    let authority = pair(secret, CERTIFICATE, KEY, place)?;
    if authority.is_of(now) { Ok(authority) } else { Err(CaError::Ended(place.to_owned(), CERTIFICATE)) }
}

/// This state as a Secret: what else stands in the one that is there stays.
pub(super) fn written(state: &State, name: &str, there: Option<Secret>) -> Secret {
    let mut secret = there.unwrap_or_else(|| Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        type_: Some("kubernetes.io/tls".to_owned()),
        ..Secret::default()
    });
    let data = secret.data.get_or_insert_default();
    for gone in [PREVIOUS_CERTIFICATE, PREVIOUS_KEY] {
        data.remove(gone);
    }
    let annotations = secret.metadata.annotations.get_or_insert_default();
    annotations.remove(SIGN_FROM);
    put(data, CERTIFICATE, &state.current.certificate_pem);
    put(data, KEY, &state.current.key_pem);
    put(data, BUNDLE, &state.bundle());
    if let Some(Outgoing { authority, signs_until }) = &state.outgoing {
        put(data, PREVIOUS_CERTIFICATE, &authority.certificate_pem);
        put(data, PREVIOUS_KEY, &authority.key_pem);
        if let Ok(from) = Timestamp::try_from(*signs_until) {
            annotations.insert(SIGN_FROM.to_owned(), from.to_string());
        }
    }
    secret
}

fn put(data: &mut BTreeMap<String, ByteString>, entry: &str, text: &str) {
    data.insert(entry.to_owned(), ByteString(text.as_bytes().to_vec()));
}

fn pair(
    secret: &Secret,
    certificate: &'static str,
    key: &'static str,
    place: &str,
) -> Result<Authority, CaError> {
    let entry =
        |name: &'static str| text(secret, name).ok_or_else(|| CaError::Incomplete(place.to_owned(), name));
    Authority::read(entry(certificate)?, entry(key)?, place, certificate)
}

/// Something stands there, and be it no text: what is broken is not what was removed.
fn holds(secret: &Secret, entry: &str) -> bool {
    secret.data.as_ref().is_some_and(|data| data.contains_key(entry))
}

fn text<'a>(secret: &'a Secret, entry: &str) -> Option<&'a str> {
    let bytes = secret.data.as_ref()?.get(entry)?;
    std::str::from_utf8(&bytes.0).ok()
}

/// From when on the successor of this authority signs; none where what is said makes no sense: no time, or one that is
/// later than anything that we announce, and than the end of who would sign until then.
fn sign_from(secret: &Secret, outgoing: &Authority, now: SystemTime, terms: Terms) -> Option<SystemTime> {
    let text = secret.metadata.annotations.as_ref()?.get(SIGN_FROM)?;
    let from = whole_seconds(SystemTime::from(Timestamp::from_str(text).ok()?));
    let latest = outgoing.ends.max(now + terms.overlap + BACKDATE);
    (from <= latest).then_some(from)
}
