//! What goes to a peer at a time.

use bytes::Bytes;

/// Small frames, and a large one.
pub(super) const PIECES_MAX: usize = 2;

/// So many bytes are worth a piece of their own: to copy fewer costs less than to write twice. What is copied is less than twice
/// this.
const ALONE_MIN: usize = 4 * 1024;

/// The frames that go at once: small ones as one piece, and a large one behind them as it is, since its bytes are shared by all
/// who are told of it. Each piece costs both ends system calls and a record of TLS, and what a change says is two frames: what
/// has changed, and that this is all.
pub(super) fn pieces(mut frames: impl Iterator<Item = Bytes>) -> [Option<Bytes>; PIECES_MAX] {
    let (mut small, mut bytes, mut large) = (Vec::new(), 0, None);
    while bytes < ALONE_MIN
        && large.is_none()
        && let Some(frame) = frames.next()
    {
        if frame.len() >= ALONE_MIN {
            large = Some(frame);
        } else {
            bytes += frame.len();
            small.push(frame);
        }
    }
    let small = if small.len() > 1 { Some(small.concat().into()) } else { small.pop() };
    [small, large]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_frames_are_one_piece_and_a_large_one_stays_as_it_is() {
        const LARGE: usize = 60_000;
        // Bytes of the frames, and of what goes at a time.
        for (frames, turns) in [
            (&[][..], &[][..]),
            (&[400], &[&[400][..]]),
            (&[400, 200], &[&[600]]),
            (&[LARGE, 200], &[&[LARGE], &[200]]),
            (&[200, LARGE, 200], &[&[200, LARGE], &[200]]),
            (&[200, 300, LARGE, LARGE], &[&[500, LARGE], &[LARGE]]),
            (&[4_095, 1, 1], &[&[4_096], &[1]]),
        ] {
            let frames: Vec<_> =
                (0_u8..).zip(frames).map(|(number, bytes)| Bytes::from(vec![number; *bytes])).collect();
            let mut left = frames.iter().cloned();
            let all: Vec<Vec<Bytes>> = std::iter::from_fn(|| {
                let pieces: Vec<_> = pieces(&mut left).into_iter().flatten().collect();
                (!pieces.is_empty()).then_some(pieces)
            })
            .collect();
            let bytes = |pieces: &Vec<Bytes>| pieces.iter().map(Bytes::len).collect::<Vec<_>>();
            assert_eq!(all.iter().map(bytes).collect::<Vec<_>>(), turns, "{frames:?}");
            assert_eq!(all.concat().concat(), frames.concat(), "in order");
            let shared = |piece: &Bytes| frames.iter().any(|frame| frame.as_ptr() == piece.as_ptr());
            assert!(all.iter().flatten().filter(|piece| piece.len() >= LARGE).all(shared), "not copied");
        }
    }
}
