use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::*;
use crate::probe::idle;

const ENOUGH: Duration = Duration::from_secs(30);

#[tokio::test]
async fn its_end_is_told_at_once_however_the_other_side_ends_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    // Behind a greeting; and behind more words than anybody greets with.
    for floods in [false, true] {
        let (lived, ()) = tokio::join!(idle(here, ENOUGH), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 ready\r\n").await.unwrap();
            while floods && stream.write_all(&[0; 1_024]).await.is_ok() {}
        });
        assert!(lived.unwrap() < ENOUGH, "{floods}");
    }
}

#[tokio::test]
async fn where_nobody_listens_there_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(idle(here, ENOUGH).await, Err(Outcome::Refused));
}
