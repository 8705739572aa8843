use rollcall_catalogue::liveness::ProbeWitness;
use rollcall_wire::peer::OutsideWord;

use super::*;
use crate::index::testing::{outside, registered};

const ADDRESSES: u8 = 50;

fn address(number: u8) -> IpAddr {
    [198, 51, 100, number].into()
}

fn database() -> Change {
    registered("db", outside(&(0..ADDRESSES).collect::<Vec<_>>()))
}

/// Each telling has all of them, however many there are.
#[tokio::test(start_paused = true)]
async fn answers_that_follow_each_other_are_told_together_and_none_is_left_out() {
    let world = World::new();
    let [one, two] = world.fleet(2).await.try_into().ok().unwrap();
    for replica in [&one, &two] {
        replica.index.apply(database()).await.unwrap();
        let mut view = replica.index.view();
        view.wait_for(|view| view.outside.len() == usize::from(ADDRESSES)).await.unwrap();
    }
    let mut heard = two.index.outside_words();
    let began = Instant::now();
    let answered = async {
        for number in 0..ADDRESSES {
            let word = OutsideWord {
                service: "db.shop".parse().unwrap(),
                address: address(number),
                probe: ProbeWitness::Passing,
            };
            one.index.outside_told(vec![word], false).await.unwrap();
            sleep(Duration::from_millis(2)).await;
        }
    };
    let told = async {
        let mut times = 0;
        while heard.borrow_and_update().len() < usize::from(ADDRESSES) {
            heard.changed().await.unwrap();
            times += 1;
        }
        times
    };
    let (times, ()) = tokio::join!(told, answered);
    let took = began.elapsed();
    assert!(took < Duration::from_millis(200), "{took:?}");
    assert!((5..=15).contains(&times), "told {times} times in {took:?}");
}
