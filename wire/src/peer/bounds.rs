//! What one replica may tell another one at most.

use bytes::Bytes;

use super::{
    frame::{Beat, Frame, Introduction, OutsideWord},
    record::{Record, Said},
    violation::Violation,
};
use crate::{
    codec::{CodecError, encode},
    limits::{
        EPOCH_BYTES_MAX, HEALTH_WORDS_MAX, HEARS_MAX, INCARNATION_BYTES_MAX, KINDS_MAX, OUTSIDE_WORDS_MAX,
        POD_UID_BYTES_MAX, REGISTRATIONS_BYTES_MAX, REGISTRATIONS_MAX, REPLICA_BYTES_MAX,
    },
};

/// A frame that nobody else needs, in no more memory than it takes.
pub(super) fn encoded(frame: &Frame) -> Result<Bytes, CodecError> {
    Ok(encode(frame)?.into_boxed_slice().into())
}

/// The record as a frame that the other end accepts; none where no part of it is one. The limits of sessions rule out that
/// anything is left out here.
pub(super) fn record(mut record: Record) -> Option<Bytes> {
    trim(&mut record.said);
    if check_record(&record).is_err() {
        return None;
    }
    let mut frame = Frame::Record(Box::new(record));
    loop {
        match encoded(&frame) {
            Ok(bytes) => return Some(bytes),
            Err(_) => match &mut frame {
                Frame::Record(record) => drop(record.said.registrations.pop()?),
                _ => return None,
            },
        }
    }
}

/// Leaves out what is beyond the limits, from the end.
fn trim(said: &mut Said) {
    said.health.truncate(HEALTH_WORDS_MAX);
    let mut bytes = 0;
    let fits = said.registrations.iter().take(REGISTRATIONS_MAX).take_while(|one| {
        bytes += one.registration.json_bytes();
        bytes <= REGISTRATIONS_BYTES_MAX
    });
    let fit = fits.count();
    said.registrations.truncate(fit);
}

pub(super) fn check_who(who: &Introduction, ours: &Introduction) -> Result<(), Violation> {
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    if major(&who.protocol) != major(&ours.protocol) {
        let theirs = who.protocol.chars().take(16).collect();
        return Err(Violation::Protocol { theirs, ours: ours.protocol.clone() });
    }
    if who.epoch == ours.epoch {
        return Err(Violation::Ourselves);
    }
    within(&who.replica, 1, REPLICA_BYTES_MAX, Violation::Replica)?;
    within(&who.epoch, 1, EPOCH_BYTES_MAX, Violation::Epoch)
}

pub(super) fn check_beat(beat: &Beat) -> Result<(), Violation> {
    if beat.hears.len() > HEARS_MAX {
        return Err(Violation::Hears);
    }
    if beat.changed.kinds() > KINDS_MAX {
        return Err(Violation::Changed);
    }
    beat.hears.iter().try_for_each(|epoch| within(epoch, 1, EPOCH_BYTES_MAX, Violation::Epoch))
}

pub(super) fn check_record(record: &Record) -> Result<(), Violation> {
    let Record { pod, version, origin, session: _, said } = record;
    within(&pod.text(), 1, POD_UID_BYTES_MAX, Violation::Pod)?;
    within(&version.incarnation, 0, INCARNATION_BYTES_MAX, Violation::Incarnation)?;
    within(origin, 1, EPOCH_BYTES_MAX, Violation::Epoch)?;
    let bytes = said.registrations.iter().map(|one| one.registration.json_bytes()).sum::<usize>();
    if said.registrations.len() > REGISTRATIONS_MAX || bytes > REGISTRATIONS_BYTES_MAX {
        return Err(Violation::Registrations);
    }
    if said.health.len() > HEALTH_WORDS_MAX {
        return Err(Violation::Health);
    }
    Ok(())
}

pub(super) fn check_outside(answers: &[OutsideWord]) -> Result<(), Violation> {
    if answers.len() > OUTSIDE_WORDS_MAX { Err(Violation::Outside) } else { Ok(()) }
}

fn within(text: &str, least: usize, most: usize, violation: Violation) -> Result<(), Violation> {
    if (least..=most).contains(&text.len()) { Ok(()) } else { Err(violation) }
}
