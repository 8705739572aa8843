//! The last look at an address before it is dialled.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use rollcall_catalogue::{Reach, refusal};
use rollcall_net::probe::{Check, Outcome, attempt};

/// Puts one question to an address.
pub(super) trait Ask {
    fn ask(
        &self,
        target: SocketAddr,
        check: Check,
        limit: Duration,
    ) -> impl Future<Output = Outcome> + Send + 'static;
}

/// Dials what the rule lets pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialer {
    /// None: everything is dialled.
    rule: Option<Reach>,
}

// === impl Dialer ===

impl Dialer {
    /// One that keeps to the domain's rule. The index has refused such addresses before: a slip there must not make
    /// us a way to what listens on our own loopback, or to a cloud's credentials.
    pub(super) fn guarded(reach: Reach) -> Self {
        Self { rule: Some(reach) }
    }

    /// One that dials loopback too, where the tests have their servers.
    #[cfg(test)]
    pub(super) fn unguarded() -> Self {
        Self { rule: None }
    }
}

impl Ask for Dialer {
    fn ask(
        &self,
        target: SocketAddr,
        check: Check,
        limit: Duration,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let refused = self.rule.is_some_and(|reach| refusal(target.ip(), reach).is_some());
        async move {
            if refused {
                Outcome::Unasked { why: io::ErrorKind::PermissionDenied }
            } else {
                attempt(target, &check, limit).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const ENOUGH: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn what_the_rule_refuses_is_never_dialled() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let refused = Outcome::Unasked { why: io::ErrorKind::PermissionDenied };
        assert_eq!(Dialer::guarded(Reach::Cluster).ask(here, Check::Tcp, ENOUGH).await, refused);
        // The same address by a detour of its notation.
        let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), here.port());
        assert_eq!(Dialer::guarded(Reach::Cluster).ask(mapped, Check::Tcp, ENOUGH).await, refused);
        let credentials = "169.254.169.254:80".parse().unwrap();
        assert_eq!(Dialer::guarded(Reach::Cluster).ask(credentials, Check::Tcp, ENOUGH).await, refused);

        // The first to come is ourselves; and without the rule, the others would have been let in.
        let own = TcpStream::connect(here).await.unwrap();
        assert_eq!(
            listener.accept().await.unwrap().1,
            own.local_addr().unwrap(),
            "dialled in spite of the rule"
        );
        assert_eq!(Dialer::unguarded().ask(here, Check::Tcp, ENOUGH).await, Outcome::Passing);
        let machine = Dialer::guarded(Reach::Machine);
        assert_eq!(machine.ask(here, Check::Tcp, ENOUGH).await, Outcome::Passing);
        assert_eq!(machine.ask(credentials, Check::Tcp, ENOUGH).await, refused);
    }
}
