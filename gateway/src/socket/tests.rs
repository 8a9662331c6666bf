use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use proptest::prelude::*;
use tokio::net::TcpSocket;

use super::*;

/// A client, and its socket as the proxy has it. The kernel takes little of it at a time.
async fn pair() -> (TcpStream, ClientSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(1).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    let (stream, address) = accepted.unwrap();
    (client.unwrap(), ClientSocket::new(stream, address))
}

#[tokio::test]
async fn what_one_turn_writes_leaves_at_its_end_in_one_piece() {
    let (client, mut socket) = pair().await;
    // On the loopback what is sent has come; a std socket says so without a runtime.
    let mut client = client.into_std().unwrap();
    let turns = socket.turns();
    let task = async {
        socket.write_all(b"head ").await.unwrap();
        socket.write_all(b"body").await.unwrap();
        let early = client.peek(&mut [0]).unwrap_err();
        assert_eq!(early.kind(), ErrorKind::WouldBlock);
        std::future::pending::<()>().await;
    };
    let mut task = Box::pin(turns.run(task));
    let first = poll_fn(|turn| Poll::Ready(task.as_mut().poll(turn))).await;
    assert!(first.is_pending());
    drop(task);
    let mut came = [0; 20];
    let count = std::io::Read::read(&mut client, &mut came).unwrap();
    assert_eq!(&came[..count], b"head body");
}

#[tokio::test]
async fn a_flush_does_not_wait_for_the_turns_end() {
    let (mut client, mut socket) = pair().await;
    let turns = socket.turns();
    let task = async {
        socket.write_all(b"now").await.unwrap();
        socket.flush().await.unwrap();
        let mut came = [0; 3];
        client.read_exact(&mut came).await.unwrap();
        came
    };
    assert_eq!(&turns.run(task).await, b"now");
}

#[tokio::test]
async fn outside_of_a_turn_nothing_is_held() {
    let (mut client, mut socket) = pair().await;
    socket.write_all(b"a spawned task's").await.unwrap();
    let mut came = [0; 16];
    client.read_exact(&mut came).await.unwrap();
    assert_eq!(&came, b"a spawned task's");
}

#[tokio::test]
async fn a_socket_that_is_dropped_sends_what_it_holds_and_closes() {
    let (mut client, mut socket) = pair().await;
    let turns = socket.turns();
    let task = async {
        socket.write_all(b"last words").await.unwrap();
        drop(socket);
        let mut came = Vec::new();
        client.read_to_end(&mut came).await.unwrap();
        came
    };
    assert_eq!(turns.run(task).await, b"last words");
}

#[tokio::test]
async fn a_client_that_went_away_is_told_by_a_later_write() {
    let (client, mut socket) = pair().await;
    client.set_zero_linger().unwrap();
    drop(client);
    let turns = socket.turns();
    let task = async {
        // The first is only held.
        while socket.write_all(b"anyone?").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    turns.run(task).await;
}

#[tokio::test]
async fn what_a_turns_end_could_not_send_is_not_flushed() {
    let (client, mut socket) = pair().await;
    client.set_zero_linger().unwrap();
    drop(client);
    let turns = socket.turns();
    let task = async {
        socket.write_all(b"held").await.unwrap();
        tokio::task::yield_now().await;
        socket.flush().await
    };
    turns.run(task).await.unwrap_err();
}

/// Writes of these lengths, each followed by a pause where it says so, and how they arrive at a
/// client that reads `step` bytes at a time; and the most that was ever held.
async fn pass(writes: &[(usize, bool)], step: usize) -> (Vec<u8>, Vec<u8>, usize) {
    let (mut client, mut socket) = pair().await;
    let turns = socket.turns();
    let (held, most) = (turns.clone(), AtomicUsize::new(0));
    let sent: Vec<u8> = (0..=250)
        .cycle()
        .take(writes.iter().map(|(len, _)| len).sum())
        .collect();
    let task = async {
        let mut rest = &*sent;
        for (length, pause) in writes {
            let (piece, after) = rest.split_at(*length);
            socket.write_all(piece).await.unwrap();
            most.fetch_max(held.0.lock().held.len(), SeqCst);
            rest = after;
            if *pause {
                tokio::task::yield_now().await;
            }
        }
        AsyncWriteExt::shutdown(&mut socket).await.unwrap();
    };
    let reading = async {
        let (mut came, mut piece) = (Vec::new(), vec![0; step]);
        loop {
            match client.read(&mut piece).await.unwrap() {
                0 => return came,
                count => came.extend_from_slice(&piece[..count]),
            }
            tokio::task::yield_now().await;
        }
    };
    let ((), came) = tokio::join!(turns.run(task), reading);
    (sent, came, most.into_inner())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_arrives_in_order_and_little_is_held(
        writes in prop::collection::vec((0_usize..3 * HELD_MAX, any::<bool>()), 0..40),
        step in 1_usize..50_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (sent, came, most) = runtime.unwrap().block_on(pass(&writes, step));
        prop_assert!(sent == came, "{} bytes of {} came", came.len(), sent.len());
        prop_assert!(most <= HELD_MAX);
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_everything() {
    // More than the kernel takes: the socket is full time and again.
    let writes: Vec<_> = (0..2_000).map(|number| (number % 5_000, false)).collect();
    let (sent, came, most) = pass(&writes, 3_000).await;
    assert!(sent == came, "{} bytes of {} came", came.len(), sent.len());
    assert!(most <= HELD_MAX);
}

/// What pingora sees of a connection that begins with these pieces: the first bytes that it looks
/// at, then all of it.
async fn peeked(pieces: &[&[u8]]) -> (io::Result<[u8; 24]>, Vec<u8>) {
    let (mut client, mut socket) = pair().await;
    let writing = async {
        for piece in pieces {
            client.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        drop(client);
    };
    let reading = async {
        let mut seen = [0; 24];
        let peeked = socket.try_peek(&mut seen).await.map(|_| seen);
        let mut all = Vec::new();
        socket.read_to_end(&mut all).await.unwrap();
        (peeked, all)
    };
    tokio::join!(reading, writing).0
}

#[tokio::test]
async fn a_look_ahead_takes_nothing_away() {
    let preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let shortest: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
    for (pieces, is_http2) in [
        (vec![preface, b"frames"], true),
        (
            vec![&preface[..1], &preface[1..5], &preface[5..], b"frames"],
            true,
        ),
        (
            vec![&b"PRI * HTTP/2.0\r\n\r\nno"[..], b"t it, and more"],
            false,
        ),
        (vec![shortest], false),
        (vec![&b"POST / HTTP/1.1\r\nhost: a\r\n"[..], b"\r\n"], false),
    ] {
        let (seen, all) = peeked(&pieces).await;
        assert_eq!(seen.unwrap() == preface, is_http2, "{pieces:?}");
        assert_eq!(all, pieces.concat());
    }
}

#[tokio::test]
async fn a_client_that_leaves_without_a_word_is_an_error() {
    for pieces in [vec![], vec![&b"PRI * "[..]]] {
        let (seen, _) = peeked(&pieces).await;
        assert_eq!(seen.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_not_waited_for() {
    let (_client, mut socket) = pair().await;
    let began = tokio::time::Instant::now();
    let error = socket.try_peek(&mut [0; 24]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(began.elapsed().as_secs(), FIRST_WORDS.as_secs());
}
