//! UUIDs, as Kubernetes writes them.

use std::ops::Deref;

/// Holds a UUID in four parts, the first digits in the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Uuid([u32; 4]);

/// A UUID as text: 32 digits, and four hyphens.
pub(crate) type UuidText = [u8; 36];

/// Holds a name as it is written, which is made where it is not held so.
pub(crate) enum Written<'a> {
    Made(UuidText),
    Text(&'a str),
}

// === impl Uuid ===

impl Uuid {
    /// None where it is not written as Kubernetes writes it, so that the same text comes back.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text: &UuidText = text.as_bytes().try_into().ok()?;
        let part = |[a, b]: [usize; 2]| {
            let [mut digits, mut others] = [[0; 4]; 2];
            digits.copy_from_slice(text.get(a..a + 4)?);
            others.copy_from_slice(text.get(b..b + 4)?);
            Some(number(digits, others))
        };
        let uuid = Self([part([0, 4])?, part([9, 14])?, part([19, 24])?, part([28, 32])?]);
        (uuid.text() == *text).then_some(uuid)
    }

    pub(crate) fn text(self) -> UuidText {
        let [a, b, c, d] = self.0.map(digits);
        let mut text = [b'-'; _];
        text[0..8].copy_from_slice(&a);
        text[9..13].copy_from_slice(&b[..4]);
        text[14..18].copy_from_slice(&b[4..]);
        text[19..23].copy_from_slice(&c[..4]);
        text[24..28].copy_from_slice(&c[4..]);
        text[28..36].copy_from_slice(&d);
        text
    }
}

/// Each byte of a number the same.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The digits of a number, all at once: an id is written in each answer and each frame.
fn digits(number: u32) -> [u8; 8] {
    let mut spread = u64::from(number);
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    spread = (spread | spread << 4) & each(0xf);
    let letters = (spread + each(6)) >> 4 & each(1);
    (spread + each(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// The number of these digits; any number where they are none.
fn number([a, b, c, d]: [u8; 4], [e, f, g, h]: [u8; 4]) -> u32 {
    let text = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let letters = text >> 6 & each(1);
    let mut spread = ((text & each(0xf)) + letters * 9) & each(0xf);
    spread = (spread | spread >> 4) & 0x00ff_00ff_00ff_00ff;
    spread = (spread | spread >> 8) & 0x0000_ffff_0000_ffff;
    (spread | spread >> 16) as u32
}

// === impl Written ===

impl Deref for Written<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            // Digits and hyphens, which are always text.
            Self::Made(text) => std::str::from_utf8(text).unwrap_or_default(),
            Self::Text(text) => text,
        }
    }
}
