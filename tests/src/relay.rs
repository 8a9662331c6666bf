//! A hop before a real server that ends its streamed answers otherwise than the server does.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::ending::{Ending, chunk};
use crate::{Head, Upstream, Wire, chunked};

/// Starts a relay before the server at `server`. It passes messages on as they are, chunk by chunk, and
/// ends each chunked answer as its request asks by [`Ending::FIELD`].
pub async fn relay(server: SocketAddr) -> Upstream {
    Upstream::script(move |_, mut client| async move {
        while let Some(request) = client.try_head().await {
            let body = client.body(&request).await;
            if !pass(&mut client, &request, &body, server).await {
                return;
            }
        }
    })
    .await
}

/// One exchange. `false`: the client's connection is at its end.
async fn pass(client: &mut Wire, request: &Head, body: &[u8], server: SocketAddr) -> bool {
    let mut server = Wire::connect(server).await;
    server.send(&request.raw).await;
    server
        .send(match request.field("transfer-encoding") {
            Some(_) => chunked(body, &[usize::MAX]),
            None => Bytes::copy_from_slice(body),
        })
        .await;
    let answer = server.head().await;
    client.send(&answer.raw).await;
    if answer.field("transfer-encoding").is_none() {
        if !matches!(answer.status(), 204 | 304) {
            let body = server.body(&answer).await;
            client.send(body).await;
        }
        return true;
    }
    match Ending::asked(request) {
        Ending::Tail(tail) => stream(client, &mut server, tail).await,
        ending => all_but_the_last(client, &mut server, ending).await,
    }
}

/// Passes each chunk on as it comes, the coding's last one after `tail`.
async fn stream(client: &mut Wire, server: &mut Wire, tail: Duration) -> bool {
    while let Some(data) = next(client, server).await {
        if data.is_empty() {
            tokio::time::sleep(tail).await;
            client.send("0\r\n\r\n").await;
            return true;
        }
        client.send(chunk(&data)).await;
    }
    false
}

/// Passes everything on but the last event, or the last chunk where it is no event.
async fn all_but_the_last(client: &mut Wire, server: &mut Wire, ending: Ending) -> bool {
    let mut before: Option<Bytes> = None;
    while let Some(data) = next(client, server).await {
        let last = data.is_empty();
        match before.replace(data) {
            Some(piece) if last => {
                let (others, event) = piece.split_at(last_event(&piece));
                if !others.is_empty() {
                    client.send(chunk(others)).await;
                }
                return ending.finish(client, event).await;
            }
            Some(piece) => client.send(chunk(&piece)).await,
            None => {}
        }
    }
    false
}

/// The server's next chunk; `None` where either end is gone.
async fn next(client: &mut Wire, server: &mut Wire) -> Option<Bytes> {
    tokio::select! {
        chunk = server.chunk() => chunk,
        _ = client.rest() => None,
    }
}

/// Where the last server-sent event of a chunk begins. A server may write several at once.
fn last_event(chunk: &[u8]) -> usize {
    let others = chunk.strip_suffix(b"\n\n").unwrap_or(chunk);
    let end = others.windows(2).rposition(|pair| pair == b"\n\n");
    end.map_or(0, |end| end + 2)
}
