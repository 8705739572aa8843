//! A bearer token on the wire: it is shown to whoever reviews it, and to nobody who reads logs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::TOKEN_BYTES_MAX;

/// Holds a token that its holder shows of itself. Nothing that prints it shows it; only [`Token::secret`] gives it out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

// === impl Token ===

impl Token {
    /// What a file of a token holds, without the space around it; none where that is no token.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let token = Self(std::str::from_utf8(bytes).ok()?.trim().to_owned());
        token.fits().then_some(token)
    }

    /// Whether it may be one at all: not longer than any, and of bytes that a header takes.
    pub fn fits(&self) -> bool {
        (1..=TOKEN_BYTES_MAX).contains(&self.0.len()) && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// The token itself, for a header or a review.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Up, peer};

    #[test]
    fn a_file_holds_one_token_or_none() {
        assert_eq!(Token::read(b" a.b.c\n").unwrap().secret(), "a.b.c");
        let long = vec![b'a'; TOKEN_BYTES_MAX + 1];
        for bad in [b"".as_slice(), b" \n", b"a b", b"a\nb", b"\xff", "é".as_bytes(), &long] {
            assert_eq!(Token::read(bad), None, "{bad:?}");
        }
        assert!(Token::read(&long[1..]).is_some());
    }

    #[test]
    fn a_token_is_in_its_frame_and_in_no_log() {
        let token = Token::read(b"secret.of.mine").unwrap();
        let up = Up::Token { token: token.clone() };
        let written = r#"{"type":"token","token":"secret.of.mine"}"#;
        assert_eq!(serde_json::to_string(&up).unwrap(), written);
        assert_eq!(serde_json::from_str::<Up>(written).unwrap(), up);
        let renewed = peer::Frame::Renewed { token: token.clone() };
        let written = r#"{"type":"renewed","token":"secret.of.mine"}"#;
        assert_eq!(serde_json::to_string(&renewed).unwrap(), written);
        assert_eq!(serde_json::from_str::<peer::Frame>(written).unwrap(), renewed);
        for printed in [format!("{up:?}"), format!("{renewed:#?}"), format!("{token:?}")] {
            assert!(!printed.contains("secret"), "{printed}");
        }
        let odd = serde_json::from_str::<Up>(r#"{"type":"token","token":["secret"]}"#).unwrap_err();
        assert!(!odd.to_string().contains("secret"), "{odd}");
    }
}
