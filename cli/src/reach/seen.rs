//! What came of asking the API server for something.

use kube::client::UpgradeConnectionError;

/// Says what is known of something after the API server was asked for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen<T> {
    Here(T),
    /// It is not there; or its kind is not.
    Missing,
    /// The user may not see it, which says nothing of it.
    Forbidden(String),
    /// There was no answer, or none that makes sense.
    Unknown(String),
}

// === impl Seen ===

impl<T> Seen<T> {
    pub(crate) fn of(result: kube::Result<T>) -> Self {
        match result {
            Ok(value) => Self::Here(value),
            Err(kube::Error::Api(status)) if status.is_not_found() => Self::Missing,
            Err(kube::Error::Api(status)) if status.code == 401 => {
                Self::Unknown(format!("your credentials are not taken: {}", status.message))
            }
            Err(kube::Error::Api(status)) if status.is_forbidden() || status.code == 403 => {
                Self::Forbidden(status.message)
            }
            Err(error) => Self::Unknown(cause(&error)),
        }
    }

    pub(crate) fn here(&self) -> Option<&T> {
        match self {
            Self::Here(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Self::Here(value) => Seen::Here(change(value)),
            Self::Missing => Seen::Missing,
            Self::Forbidden(why) => Seen::Forbidden(why),
            Self::Unknown(why) => Seen::Unknown(why),
        }
    }
}

/// The status that an upgrade was refused with, where it was.
pub(super) fn refused_upgrade(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => {
            Some(status.as_u16())
        }
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// The innermost of its causes: the others say that there is one.
pub(super) fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused(code: u16, reason: &str) -> kube::Result<()> {
        let status =
            Status { code, reason: reason.to_owned(), message: "why".to_owned(), ..Status::default() };
        Err(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn who_may_not_look_knows_nothing() {
        assert_eq!(Seen::of(refused(404, "NotFound")), Seen::Missing);
        assert_eq!(Seen::of(refused(403, "Forbidden")), Seen::Forbidden("why".to_owned()));
        assert_eq!(Seen::of(refused(403, "Failed to parse error data")), Seen::Forbidden("why".to_owned()));
        assert!(
            matches!(Seen::of(refused(401, "Unauthorized")), Seen::Unknown(why) if why.contains("credentials"))
        );
        assert!(matches!(Seen::of(refused(500, "InternalError")), Seen::Unknown(_)));
        assert_eq!(Seen::of(Ok(1)).map(|one| one + 1).here(), Some(&2));
    }
}
