use std::time::Duration;

use rollcall_net::{Accept, Network, Stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

use super::*;
use crate::host::Host;

const ONE: &str = "198.18.1.1";
const OTHER: &str = "198.18.2.1";

/// Holds two machines on two nodes, of which the other has a port.
struct Pair {
    net: Net,
    now_ms: Millis,
    hosts: Vec<Host>,
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn port() -> SocketAddr {
    SocketAddr::new(ip(OTHER), 7310)
}

// === impl Pair ===

impl Pair {
    fn new() -> Self {
        let net = Net::new(1);
        net.place(ip(ONE), "n1");
        net.place(ip(OTHER), "n2");
        Self { net, now_ms: 0, hosts: Vec::new() }
    }

    fn start(&mut self, main: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.hosts.push(Host::start(self.now_ms, main));
    }

    /// A machine that gives back all that it is told, until nothing more is said.
    fn echo(&mut self) {
        let listener = self.net.listen(port()).unwrap();
        self.start(async move {
            loop {
                let mut stream = listener.accept().await?.stream;
                tokio::spawn(async move {
                    let mut bytes = vec![0; 100_000];
                    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                        if stream.write_all(&bytes[..length]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
    }

    /// What becomes of a dial, and of each word that is said then: when it was back, or why it never was.
    fn talk(&mut self, words: usize) -> mpsc::UnboundedReceiver<String> {
        let (told, heard) = mpsc::unbounded_channel();
        let endpoint = self.net.endpoint(ip(ONE));
        self.start(async move {
            let dialled = endpoint.dial(port()).await;
            let mut stream = match dialled {
                Ok(stream) => stream,
                Err(error) => return Ok(told.send(error.kind().to_string())?),
            };
            told.send("open".to_owned())?;
            for number in 0..words {
                let said = said_back(&mut stream, number).await;
                told.send(said.map_or_else(|error| error.kind().to_string(), |()| format!("back {number}")))?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        });
        heard
    }

    fn play(&mut self, for_ms: Millis) {
        let until_ms = self.now_ms + for_ms;
        while self.now_ms < until_ms {
            self.now_ms += 10;
            self.net.advance(self.now_ms);
            self.hosts.iter_mut().for_each(|host| host.run_until(self.now_ms));
        }
    }
}

async fn said_back(stream: &mut Box<dyn Stream>, number: usize) -> std::io::Result<()> {
    let word = format!("{number:08}");
    stream.write_all(word.as_bytes()).await?;
    let mut back = [0; 8];
    stream.read_exact(&mut back).await?;
    assert_eq!(back, word.as_bytes());
    Ok(())
}

fn all(heard: &mut mpsc::UnboundedReceiver<String>) -> Vec<String> {
    std::iter::from_fn(|| heard.try_recv().ok()).collect()
}

#[test]
fn words_come_back_and_a_port_that_nobody_has_refuses() {
    let mut pair = Pair::new();
    let mut refused = pair.talk(1);
    pair.play(100);
    assert_eq!(all(&mut refused), ["connection refused"]);
    pair.echo();
    let mut heard = pair.talk(2);
    pair.play(1_500);
    assert_eq!(all(&mut heard), ["open", "back 0", "back 1"]);
}

#[test]
fn a_service_stands_for_whoever_is_behind_it() {
    let mut pair = Pair::new();
    let service: SocketAddr = "198.19.0.1:7310".parse().unwrap();
    pair.net.set_service(service, Vec::new());
    let dial = |net: &Net| {
        let (endpoint, (told, heard)) = (net.endpoint(ip(ONE)), mpsc::unbounded_channel());
        let main = async move {
            let dialled = endpoint.dial(service).await;
            Ok(told.send(dialled.map_or_else(|error| error.kind().to_string(), |_| "open".to_owned()))?)
        };
        (main, heard)
    };
    let (main, mut heard) = dial(&pair.net);
    pair.start(main);
    pair.play(100);
    assert_eq!(all(&mut heard), ["connection refused"]);
    pair.echo();
    pair.net.set_service(service, vec![port()]);
    let (main, mut heard) = dial(&pair.net);
    pair.start(main);
    pair.play(100);
    assert_eq!(all(&mut heard), ["open"]);
}

#[test]
fn a_cut_is_silent_and_what_was_said_meanwhile_arrives_after_it() {
    for (from, to) in [(ONE, OTHER), (OTHER, ONE)] {
        let mut pair = Pair::new();
        pair.echo();
        let mut heard = pair.talk(3);
        pair.play(500);
        let cut = pair.net.cut(Whom::One(ip(from)), Whom::One(ip(to)));
        pair.play(9_000);
        assert_eq!(all(&mut heard), ["open", "back 0"], "nobody is told anything");
        let mut dialled = pair.talk(0);
        pair.play(1_000);
        assert_eq!(all(&mut dialled), [""; 0]);
        pair.net.heal(&[cut]);
        // The kernel's pause has grown with the time that nothing arrived.
        pair.play(15_000);
        assert_eq!(all(&mut heard), ["back 1", "back 2"]);
        assert_eq!(all(&mut dialled), ["open"]);
    }
}

#[test]
fn who_is_killed_is_answered_for_and_a_dark_node_answers_nobody() {
    let mut pair = Pair::new();
    pair.echo();
    let mut heard = pair.talk(9);
    pair.play(500);
    pair.net.kill(ip(OTHER));
    pair.hosts.remove(0);
    pair.play(1_000);
    assert_eq!(all(&mut heard)[2..], ["broken pipe"]);

    let mut pair = Pair::new();
    pair.echo();
    let mut heard = pair.talk(9);
    pair.play(500);
    pair.net.set_dark("n2", true);
    pair.hosts.remove(0);
    pair.play(60_000);
    assert_eq!(all(&mut heard), ["open", "back 0"]);
    // The machine is back, and has never heard of it: the next word that arrives is answered so.
    pair.net.set_dark("n2", false);
    pair.play(120_000);
    assert_eq!(all(&mut heard)[..1], ["connection reset"]);
}

#[test]
fn the_reset_of_who_was_killed_behind_a_cut_comes_with_the_next_word_after_it() {
    let mut pair = Pair::new();
    pair.echo();
    let mut heard = pair.talk(9);
    pair.play(500);
    let cuts = pair.net.cut_both(&Whom::Node("n1".into()), &Whom::All);
    pair.net.kill(ip(OTHER));
    pair.hosts.remove(0);
    pair.play(5_000);
    assert_eq!(all(&mut heard), ["open", "back 0"]);
    pair.net.heal(&cuts);
    pair.play(15_000);
    assert_eq!(all(&mut heard)[..1], ["connection reset"]);
}

#[test]
fn who_closes_is_read_to_the_end_and_one_who_reads_nothing_is_waited_for() {
    let mut pair = Pair::new();
    let listener = pair.net.listen(port()).unwrap();
    let (told, mut heard) = mpsc::unbounded_channel();
    pair.start(async move {
        let mut stream = listener.accept().await?.stream;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        Ok(told.send(bytes.len())?)
    });
    let endpoint = pair.net.endpoint(ip(ONE));
    let (done, mut written) = mpsc::unbounded_channel();
    pair.start(async move {
        let mut stream = endpoint.dial(port()).await?;
        stream.write_all(&[7; 200_000]).await?;
        done.send(())?;
        drop(stream);
        Ok(())
    });
    pair.play(4_000);
    assert!(written.try_recv().is_err(), "the window is full");
    pair.play(2_000);
    assert!(written.try_recv().is_ok());
    assert_eq!(heard.try_recv(), Ok(200_000));
}

#[test]
fn a_long_or_narrow_way_takes_its_time() {
    let mut pair = Pair::new();
    pair.net.set_way(Whom::Node("n1".into()), Whom::All, Way { latency_ms: 400, bytes_per_ms: None });
    pair.echo();
    let mut heard = pair.talk(1);
    pair.play(790);
    assert_eq!(all(&mut heard), [""; 0]);
    pair.play(820);
    assert_eq!(all(&mut heard), ["open", "back 0"]);
    pair.net.heal_all();
    pair.net.set_way(Whom::All, Whom::One(ip(OTHER)), Way { latency_ms: 1, bytes_per_ms: Some(1) });
    let endpoint = pair.net.endpoint(ip(ONE));
    let (told, mut heard) = mpsc::unbounded_channel();
    pair.start(async move {
        let mut stream = endpoint.dial(port()).await?;
        stream.write_all(&[7; 10_000]).await?;
        stream.read_exact(&mut [0; 10_000]).await?;
        Ok(told.send(())?)
    });
    pair.play(19_000);
    assert!(heard.try_recv().is_err());
    pair.play(2_000);
    assert!(heard.try_recv().is_ok());
}
