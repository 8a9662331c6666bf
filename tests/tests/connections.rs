//! What a client's connection may do besides one request after the other.

use std::cell::Cell;
use std::time::Duration;

use offpath_tests::{Gateway, Upstream, Wire, eventually, http2};

fn post(body: &str) -> String {
    let length = body.len();
    format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// RFC 9112, section 9.3.2.
#[tokio::test]
async fn requests_that_are_sent_at_once_are_answered_in_their_order() {
    let upstream = Upstream::echo().await;
    let gateway = Gateway::before(upstream.url()).start().await;
    let mut client = Wire::connect(gateway.address()).await;
    let bodies = ["first", "", "third", "4"];
    let requests: String = bodies.iter().map(|body| post(body)).collect();
    client.send(requests).await;
    for body in bodies {
        let head = client.head().await;
        assert_eq!(
            (head.status(), client.body(&head).await),
            (200, body.into())
        );
    }
    let seen: Vec<_> = upstream.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(seen, bodies);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_http2_connection_without_a_stream_is_closed_after_five_minutes() {
    let world = offpath_tests::World::build();
    let upstream = Upstream::echo().await;
    let gateway = Gateway::before(upstream.url()).within(&world).start().await;
    let mut client = http2::Client::plain(gateway.address()).await;
    let get = || {
        http::Request::get("http://a/")
            .body(http2::full(""))
            .unwrap()
    };
    let status = async |client: &mut http2::Client| {
        let response = client.send(get()).await.ok()?;
        let status = response.status();
        http2::collect(response.into_body()).await;
        Some(status)
    };
    assert!(status(&mut client).await.is_some());
    world.pass(Duration::from_secs(4 * 60), &gateway);
    assert!(status(&mut client).await.is_some());
    // From its last stream on.
    world.pass(Duration::from_secs(4 * 60), &gateway);
    assert!(status(&mut client).await.is_some());
    // The gateway may see the end of the last stream after the client does, and counts from there.
    // An hour is enough for both.
    let left = Cell::new(10);
    eventually("the connection to be closed", async || {
        if left.get() > 0 {
            left.set(left.get() - 1);
            world.pass(Duration::from_secs(6 * 60), &gateway);
        }
        client.is_closed().then_some(())
    })
    .await;
}
