//! What goes to a peer at a time.

use bytes::{Bytes, BytesMut};

/// So many bytes are worth a piece of their own: to copy fewer costs less than to write twice. A piece is no longer than this and
/// one frame.
const ALONE_MIN: usize = 4 * 1024;

/// The frames that go in one piece: the first one, and those that follow while all of it is small. Each piece costs both ends
/// system calls and a record of TLS, and what a change says is two frames: what has changed, and that this is all.
pub(super) fn piece(mut frames: impl Iterator<Item = Bytes>) -> Option<Bytes> {
    let first = frames.next()?;
    if first.len() >= ALONE_MIN {
        return Some(first);
    }
    let mut all = BytesMut::from(first);
    while all.len() < ALONE_MIN
        && let Some(next) = frames.next()
    {
        all.extend_from_slice(&next);
    }
    Some(all.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_frames_go_together_and_a_large_one_alone_unless_it_comes_after_a_small_one() {
        const LARGE: usize = 60_000;
        // Bytes of the frames, and of the pieces.
        for (frames, pieces) in [
            (&[][..], &[][..]),
            (&[400], &[400]),
            (&[400, 200], &[600]),
            (&[LARGE, 200], &[LARGE, 200]),
            (&[200, LARGE, 200], &[200 + LARGE, 200]),
            (&[4_095, 1, 1], &[4_096, 1]),
        ] {
            let mut left = (0_u8..).zip(frames).map(|(number, bytes)| Bytes::from(vec![number; *bytes]));
            let all: Vec<_> = std::iter::from_fn(|| piece(&mut left)).collect();
            assert_eq!(all.iter().map(Bytes::len).collect::<Vec<_>>(), pieces, "{frames:?}");
            let in_order: Vec<_> = all.concat();
            assert!(in_order.is_sorted(), "{frames:?}");
        }
    }
}
