use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{task::JoinHandle, time::Instant};

use super::*;

const NAME: &str = "rollcall-controller.rollcall-system.svc.cluster.local";

/// Says what a server knows of the name.
#[derive(Debug, Clone, Copy)]
enum Knows {
    Addresses,
    NoSuchName,
    Nothing,
    /// The first packets are lost.
    AfterSo(usize),
}

/// A server on loopback, and how often it was asked.
async fn server(knows: Knows) -> (SocketAddr, Arc<AtomicUsize>, JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (socket.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counted = asked.clone();
    let task = tokio::spawn(async move {
        let mut buffer = [0; PACKET_BYTES];
        loop {
            let (bytes, from) = socket.recv_from(&mut buffer).await.unwrap();
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let mut packet = buffer[..bytes].to_vec();
            let is_ours =
                |kind| question(u16::from_be_bytes([packet[0], packet[1]]), NAME, kind).unwrap() == packet;
            let (a, aaaa) = (is_ours(Kind::A), is_ours(Kind::Aaaa));
            let code = match knows {
                Knows::AfterSo(lost) if number < lost => continue,
                Knows::Addresses | Knows::AfterSo(_) if a || aaaa => 0,
                Knows::Nothing => 2,
                _ => 3,
            };
            packet[2..4].copy_from_slice(&(0x8180_u16 | code).to_be_bytes());
            if code == 0 {
                packet[7] = 1;
                let (kind, data) = if a { (1, vec![10, 96, 0, 7]) } else { (28, vec![0xFD; 16]) };
                packet.extend([0xC0, 12, 0, kind, 0, 1, 0, 0, 0, 5, 0, u8::try_from(data.len()).unwrap()]);
                packet.extend(data);
            }
            socket.send_to(&packet, from).await.unwrap();
        }
    });
    (address, asked, task)
}

fn finder(name: &str, servers: &[SocketAddr]) -> Finder {
    let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
    Finder::new(name.parse().unwrap(), servers.join(",").parse().unwrap()).unwrap()
}

fn sorted(mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    found.sort();
    found
}

fn both(port: u16) -> Vec<SocketAddr> {
    vec![SocketAddr::new([10, 96, 0, 7].into(), port), SocketAddr::new(IpAddr::from([0xFD; 16]), port)]
}

#[tokio::test]
async fn both_families_are_found_at_whoever_knows() {
    let (good, ..) = server(Knows::Addresses).await;
    let (bad, asked, _) = server(Knows::Nothing).await;
    // Nobody listens there.
    let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (servers, name, port) in [
        (&[good][..], NAME, 7310),
        (&[bad, good], NAME, 7310),
        (&[gone, good], NAME, 7310),
        (&[good], "rollcall-controller.rollcall-system.svc.cluster.local:443", 443),
    ] {
        let found = finder(name, servers).find(7310).await;
        assert_eq!(sorted(found), both(port), "{servers:?}");
    }
    assert!(asked.load(Ordering::SeqCst) >= 1);
}

#[tokio::test]
async fn a_lost_packet_is_sent_again() {
    let (address, asked, _) = server(Knows::AfterSo(2)).await;
    assert_eq!(sorted(finder(NAME, &[address]).find(7310).await), both(7310));
    assert!(asked.load(Ordering::SeqCst) >= 4);
}

#[tokio::test]
async fn where_there_is_nobody_that_is_known_in_bounded_time() {
    let (knows, asked, _) = server(Knows::NoSuchName).await;
    let (other, unasked, _) = server(Knows::Addresses).await;
    assert_eq!(finder(NAME, &[knows, other]).find(7310).await, []);
    assert!(asked.load(Ordering::SeqCst) > 0);
    assert_eq!(unasked.load(Ordering::SeqCst), 0, "who knows that there is none is believed");
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let begin = Instant::now();
    assert_eq!(finder(NAME, &[silent.local_addr().unwrap()]).find(7310).await, []);
    assert!(begin.elapsed() < ALL_MAX * 2, "{:?}", begin.elapsed());
}

#[test]
fn without_a_name_nobody_is_asked() {
    assert!(Finder::new("".parse().unwrap(), Servers::default()).is_none());
}
