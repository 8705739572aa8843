//! The name of a question, as text that can be compared.

use std::fmt::Write;

/// The longest name: 255 bytes on the wire, less the first length and the end.
const TEXT_BYTES_MAX: usize = 253;
/// The longest label; what is above is a pointer, which has no place in a question, or nothing.
const LABEL_BYTES_MAX: u8 = 63;

/// Holds a name in lower case, with a dot between its labels and none at the end. Whatever no name of a host has is a `!`,
/// which no name has either: a dot within a label must not make two of it.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    bytes: [u8; TEXT_BYTES_MAX],
    length: usize,
}

/// Every byte as [`Text`] has it.
const FOLDED: [u8; 256] = folded();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, where it cannot fail unseen")]
const fn folded() -> [u8; 256] {
    let mut table = [b'!'; 256];
    let mut byte = 0u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            table[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
}

// === impl Text ===

impl Text {
    /// The name at the beginning of these bytes, and what stands behind it; none where it is none.
    pub(crate) fn read(mut packet: &[u8]) -> Option<(Self, &[u8])> {
        let mut text = Self { bytes: [0; TEXT_BYTES_MAX], length: 0 };
        loop {
            let (label, rest) = label(packet)?;
            packet = rest;
            if label.is_empty() {
                return Some((text, packet));
            }
            text.push(label)?;
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only what `FOLDED` has is in it, and that is ASCII.
        self.bytes.get(..self.length).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// With this label behind the others; none where it is too long with it.
    fn push(&mut self, label: &[u8]) -> Option<()> {
        if self.length > 0 {
            *self.bytes.get_mut(self.length)? = b'.';
            self.length += 1;
        }
        let places = self.bytes.get_mut(self.length..)?.get_mut(..label.len())?;
        for (place, byte) in places.iter_mut().zip(label) {
            *place = *FOLDED.get(usize::from(*byte))?;
        }
        self.length += label.len();
        Some(())
    }
}

/// The label at the beginning of these bytes, which is empty at the end of a name, and what stands behind it.
fn label(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = packet.split_first()?;
    (*length <= LABEL_BYTES_MAX).then(|| rest.split_at_checked(usize::from(*length)))?
}

/// The name at the beginning of these bytes, as people can read it whatever it holds.
pub(crate) fn escaped(mut packet: &[u8]) -> String {
    let mut name = String::new();
    while let Some((label, rest)) = label(packet).filter(|(label, _)| !label.is_empty()) {
        packet = rest;
        if !name.is_empty() {
            name.push('.');
        }
        for byte in label {
            match FOLDED.get(usize::from(*byte)) {
                Some(folded) if *folded != b'!' => name.push(char::from(*folded)),
                // Writing to a string does not fail.
                _ => _ = write!(name, "\\{byte:03}"),
            }
        }
    }
    name
}
