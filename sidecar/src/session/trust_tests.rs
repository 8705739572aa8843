use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rollcall_net::{TLS_NAME, server_config, server_name};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{HandshakeKind, ServerConfig},
};

use super::*;

/// A certificate that is its own authority, and a server that shows it.
fn made(name: &str, last_year: i32) -> (Vec<u8>, Arc<ServerConfig>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(last_year, 1, 1));
    let pem = params.self_signed(&key).unwrap().pem().into_bytes();
    let config = server_config(&pem, key.serialize_pem().as_bytes()).unwrap();
    (pem, config)
}

/// Shakes hands so often, and tells how; each peer gets one byte.
async fn serve(
    config: Arc<ServerConfig>,
    times: usize,
) -> (std::net::SocketAddr, JoinHandle<Vec<Option<HandshakeKind>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut kinds = Vec::new();
        for _ in 0..times {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = TlsAcceptor::from(config.clone()).accept(stream).await else {
                kinds.push(None);
                continue;
            };
            stream.write_all(b"x").await.unwrap();
            kinds.push(stream.get_ref().1.handshake_kind());
        }
        kinds
    });
    (address, server)
}

async fn shake(trust: &mut Trust, ca_pem: &[u8], address: std::net::SocketAddr) -> io::Result<()> {
    let connector = TlsConnector::from(trust.config(|| Ok(ca_pem.to_vec()), 0).unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = connector.connect(server_name().unwrap(), stream).await?;
    // The tickets come before the first byte.
    stream.read_exact(&mut [0]).await.map(drop)
}

#[tokio::test]
async fn who_comes_back_under_the_same_authority_needs_no_new_signature() {
    let (ca_pem, config) = made(TLS_NAME, 2900);
    let (address, server) = serve(config, 3).await;
    let mut trust = Trust::default();
    let other = made(TLS_NAME, 2900).0;
    shake(&mut trust, &ca_pem, address).await.unwrap();
    shake(&mut trust, &ca_pem, address).await.unwrap();
    trust.config(|| Ok(other), 0).unwrap();
    // What was believed by another authority is not believed by this one.
    shake(&mut trust, &ca_pem, address).await.unwrap();
    let [full, resumed] = [HandshakeKind::Full, HandshakeKind::Resumed].map(Some);
    assert_eq!(server.await.unwrap(), [full, resumed, full]);
}

#[tokio::test]
async fn an_authority_that_is_given_wins_and_an_empty_one_says_nothing() {
    let (ca_pem, config) = made(TLS_NAME, 2900);
    let (address, server) = serve(config, 3).await;
    let mut given = Trust::new(&String::from_utf8(ca_pem.clone()).unwrap()).unwrap();
    let other = made(TLS_NAME, 2900).0;
    shake(&mut given, &other, address).await.unwrap();
    for nothing in ["", " \n"] {
        shake(&mut Trust::new(nothing).unwrap(), &other, address).await.unwrap_err();
    }
    assert_eq!(server.await.unwrap(), [Some(HandshakeKind::Full), None, None]);
    for bad in [
        "no PEM",
        "-----BEGIN CERTIFICATE-----\nAA",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    ] {
        assert!(Trust::new(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn who_is_not_the_controller_is_refused_with_a_remedy() {
    let (ours, _) = made(TLS_NAME, 2900);
    let [another, elsewhere, expired] =
        [(TLS_NAME, 2900), ("web.shop.svc", 2900), (TLS_NAME, 2001)].map(|(name, year)| made(name, year));
    let table = [
        (&ours, another.1, "authority was replaced"),
        (&elsewhere.0, elsewhere.1, "another server's"),
        (&expired.0, expired.1, "not valid now"),
    ];
    for (ca_pem, config, remedy_says) in table {
        let (address, server) = serve(config, 1).await;
        let error = shake(&mut Trust::default(), ca_pem, address).await.unwrap_err();
        assert!(remedy(&error).contains(remedy_says), "{error}: {}", remedy(&error));
        assert_eq!(server.await.unwrap(), [None], "no session");
    }
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    });
    let error = shake(&mut Trust::default(), &ours, address).await.unwrap_err();
    assert!(remedy(&error).contains("port for sessions"), "{error}");
    drop(server);
}

/// An authority, what it is told by, and a server with a certificate of it.
struct House {
    pem: String,
    server: Arc<ServerConfig>,
}

fn house(name: &str) -> House {
    let authority = rollcall_controller::Authority::generate(name).unwrap();
    let leaf = authority.leaf(name).unwrap();
    let server = server_config(leaf.certificate_pem.as_bytes(), leaf.key_pem.as_bytes()).unwrap();
    House { pem: authority.certificate_pem, server }
}

/// Opens a session with this house, and says by what it was good; none where it is not believed.
async fn proof(trust: &mut Trust, house: &House) -> Option<(Proof, Option<HandshakeKind>)> {
    let (address, server) = serve(house.server.clone(), 1).await;
    let config = trust.config(|| Ok(Vec::new()), 0).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = TlsConnector::from(config).connect(server_name().unwrap(), stream).await.ok()?;
    stream.read_exact(&mut [0]).await.unwrap();
    let proof = Proof::of(stream.get_ref().1).unwrap();
    Some((proof, server.await.unwrap()[0]))
}

fn both(one: &House, two: &House) -> String {
    format!("{}{}", one.pem, two.pem)
}

const HOUR_MS: u64 = 60 * 60 * 1_000;

#[tokio::test]
async fn a_rotation_is_followed_from_its_announcement_to_its_end() {
    let [old, new] = ["old", "new"].map(house);
    let mut trust = Trust::new(&old.pem).unwrap();
    let given = trust.believed();
    assert_eq!((given.len(), trust.learned()), (1, None), "there is nothing to keep");
    let (shown, _) = proof(&mut trust, &old).await.unwrap();
    assert!(proof(&mut trust, &new).await.is_none());

    // Announced; then a replica that has not read of it; and then it is used.
    assert_eq!(trust.hear(&both(&new, &old), &shown, 0), Ok(true));
    assert_eq!(trust.believed().len(), 2);
    assert_eq!(trust.hear(&old.pem, &shown, 0), Ok(false));
    let (shown, _) = proof(&mut trust, &new).await.unwrap();
    assert_eq!(trust.hear(&both(&new, &old), &shown, HOUR_MS), Ok(false));

    // The old one is retired, and goes in time.
    assert_eq!(trust.hear(&new.pem, &shown, HOUR_MS), Ok(false));
    assert!(!trust.forget_untold(&shown, 2 * HOUR_MS - 1));
    let (by_old, _) = proof(&mut trust, &old).await.unwrap();
    assert!(!trust.forget_untold(&by_old, 2 * HOUR_MS), "not in a session that is good by it alone");
    assert!(trust.forget_untold(&shown, 2 * HOUR_MS));
    assert!(proof(&mut trust, &old).await.is_none(), "nor is what the pod was given");
    assert!(proof(&mut trust, &new).await.is_some());

    // The process after this one.
    let mut next = Trust::new(&old.pem).unwrap();
    next.restore(&trust.learned().unwrap());
    assert!(proof(&mut next, &new).await.is_some() && proof(&mut next, &old).await.is_none());
    assert_eq!(next.believed(), trust.believed());
    assert_ne!(next.believed(), given);
}

#[tokio::test]
async fn what_is_told_again_costs_no_new_handshake() {
    let [ours, another] = ["ours", "another"].map(house);
    let mut trust = Trust::new(&ours.pem).unwrap();
    let address = serve(ours.server.clone(), 4);
    let (address, server) = address.await;
    let mut kinds = Vec::new();
    for told in [Some(&ours.pem), Some(&ours.pem), None, Some(&both(&ours, &another))] {
        let config = trust.config(|| Ok(Vec::new()), 0).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = TlsConnector::from(config).connect(server_name().unwrap(), stream).await.unwrap();
        stream.read_exact(&mut [0]).await.unwrap();
        let proof = Proof::of(stream.get_ref().1).unwrap();
        kinds.push(stream.get_ref().1.handshake_kind());
        if let Some(told) = told {
            trust.hear(told, &proof, 0).unwrap();
        }
    }
    let [full, resumed] = [HandshakeKind::Full, HandshakeKind::Resumed].map(Some);
    assert_eq!(kinds, [full, resumed, resumed, resumed]);
    assert_eq!(server.await.unwrap().len(), 4);
}

#[tokio::test]
async fn what_is_no_bundle_of_this_session_changes_nothing() {
    let [ours, another] = ["ours", "another"].map(house);
    let mut trust = Trust::new(&ours.pem).unwrap();
    let (shown, _) = proof(&mut trust, &ours).await.unwrap();
    let most = |count: usize| (0..count).map(|number| house(&format!("a{number}")).pem).collect::<String>();
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (what, told, unfit) in [
        ("nothing", String::new(), Unfit::Unreadable),
        ("no PEM", "whom you like".to_owned(), Unfit::Unreadable),
        ("no certificate", garbage.to_owned(), Unfit::Unreadable),
        ("one that is none beside one that is", format!("{}{garbage}", ours.pem), Unfit::Unreadable),
        ("another authority", another.pem.clone(), Unfit::Stranger),
        ("too many", format!("{}{}", ours.pem, most(AUTHORITIES_MAX)), Unfit::TooLarge),
        ("too long", format!("{}{}", ours.pem, " ".repeat(CA_BYTES_MAX)), Unfit::TooLarge),
    ] {
        assert_eq!(trust.hear(&told, &shown, 0), Err(unfit), "{what}");
        assert_eq!(trust.learned(), None, "{what}");
    }
    assert!(proof(&mut trust, &ours).await.is_some() && proof(&mut trust, &another).await.is_none());
    // The same one twice is one.
    assert_eq!(trust.hear(&both(&ours, &ours), &shown, 0), Ok(false));
    assert_eq!(trust.believed().len(), 1);
}

#[tokio::test]
async fn a_session_by_an_old_ticket_does_not_keep_the_old_authority_for_ever() {
    let [old, new] = ["old", "new"].map(house);
    let mut trust = Trust::new(&old.pem).unwrap();
    let (shown, _) = proof(&mut trust, &old).await.unwrap();
    trust.hear(&both(&old, &new), &shown, 0).unwrap();
    let (_, first) = proof(&mut trust, &old).await.unwrap();
    let (shown, again) = proof(&mut trust, &old).await.unwrap();
    assert_eq!((first, again), (Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)));
    // Meanwhile the old one was retired, and this session is good by it.
    assert_eq!(trust.hear(&new.pem, &shown, 0), Ok(false));
    let (_, next) = proof(&mut trust, &old).await.unwrap();
    assert_eq!(next, Some(HandshakeKind::Full), "the next one shows what is so now");
}

#[tokio::test]
async fn a_session_that_outlives_its_authority_hears_of_the_one_after_the_next() {
    let [first, second, third, stranger] = ["first", "second", "third", "stranger"].map(house);
    let mut trust = Trust::new(&first.pem).unwrap();
    let (shown, _) = proof(&mut trust, &first).await.unwrap();
    // Two swaps by hand within one session.
    assert_eq!(trust.hear(&both(&second, &first), &shown, 0), Ok(true));
    assert_eq!(trust.hear(&both(&third, &second), &shown, 0), Ok(true));
    assert_eq!(trust.hear(&both(&stranger, &first), &shown, 1), Ok(true), "good by the session");
    assert_eq!(trust.hear(&third.pem, &shown, 1), Err(Unfit::Stranger), "of nobody who is told of now");
    assert_eq!(trust.hear(&both(&third, &first), &shown, 2), Ok(false));
    assert_eq!(trust.hear(&third.pem, &shown, 2), Ok(false));
    assert!(!trust.forget_untold(&shown, 2 * HOUR_MS), "this session is good by the first one alone");
    let (shown, _) = proof(&mut trust, &third).await.unwrap();
    assert_eq!(trust.hear(&third.pem, &shown, 2 * HOUR_MS), Ok(false));
    assert!(trust.forget_untold(&shown, 2 * HOUR_MS));
    assert_eq!(trust.believed().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_another_one_counts_beside_what_was_told_and_a_missing_one_does_not() {
    let [first, told, second] = ["first", "told", "second"].map(house);
    let missing = || Err(LinkError::Ended);
    let mut trust = Trust::default();
    trust.config(|| Ok(first.pem.clone().into_bytes()), 0).unwrap();
    let (shown, _) = proof_of(&first).await;
    trust.hear(&both(&first, &told), &shown, 0).unwrap();
    assert_eq!(trust.believed().len(), 2);
    trust.config(|| Ok(first.pem.clone().into_bytes()), 0).unwrap();
    assert_eq!(trust.believed().len(), 2, "it says nothing new");
    assert!(trust.config(missing, 0).is_ok(), "what was told is enough");
    assert!(trust.config(|| Ok(b"no PEM".to_vec()), 0).is_ok());
    trust.config(|| Ok(second.pem.clone().into_bytes()), 0).unwrap();
    assert_eq!(trust.believed().len(), 3, "somebody has replaced it");
    // Over a restart as well.
    let mut next = Trust::default();
    next.restore(&trust.learned().unwrap());
    next.config(|| Ok(second.pem.clone().into_bytes()), 0).unwrap();
    assert_eq!(next.believed(), trust.believed());
    assert!(Trust::default().config(missing, 0).is_err(), "without any word there is nobody to believe");
    next.restore(&Learned { given: [0; 32], ca_pem: "damaged".to_owned() });
    assert_eq!(next.believed(), trust.believed());
}

/// What somebody sees of this house who believes it.
async fn proof_of(house: &House) -> (Proof, Option<HandshakeKind>) {
    proof(&mut Trust::new(&house.pem).unwrap(), house).await.unwrap()
}
