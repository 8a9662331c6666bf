//! Streams that clients from PyPI read to their API's last word are complete, however late the
//! last chunk comes and whoever closes the connection; a client that leaves one event earlier left,
//! and an upstream that closes one event earlier is an error.
//!
//! The clients are real, the model is scripted. What each client made of an answer is compared with
//! what was recorded of it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "clients/mcp.rs"]
mod mcp;
#[path = "clients/model.rs"]
mod model;

use offpath_tests::clients::{Call, Client, installation};

/// Has a driver make these calls of the scripted model.
async fn check(driver: &str, calls: &[Call]) {
    let model = model::start().await;
    let client = Client {
        installation: &installation(),
        driver,
        calls,
        times: 3,
    };
    client.check(model.url()).await;
}

#[tokio::test]
async fn each_exchange_of_openais_client_ends_as_the_client_saw_it() {
    check(
        "drive_openai.py",
        &[
            Call::streamed("chat"),
            Call::streamed("completion"),
            Call::streamed("responses"),
            Call::streamed("chat_whole"),
            Call::streamed("embedding"),
        ],
    )
    .await;
}

#[tokio::test]
async fn each_exchange_of_openais_asynchronous_client_ends_as_the_client_saw_it() {
    check(
        "drive_openai_async.py",
        &[
            Call::streamed("chat"),
            Call::streamed("completion"),
            Call::streamed("responses"),
            Call::streamed("chat_whole"),
            Call::streamed("embedding"),
        ],
    )
    .await;
}

#[tokio::test]
async fn each_exchange_of_langchains_models_of_openai_ends_as_the_client_saw_it() {
    check(
        "drive_langchain.py",
        &[
            Call::streamed("chat"),
            Call::streamed("chat_async"),
            Call::streamed("responses"),
            Call::whole("chat_whole"),
            Call::whole("embedding"),
        ],
    )
    .await;
}

#[tokio::test]
async fn each_exchange_of_litellm_ends_as_the_client_saw_it() {
    check(
        "drive_litellm.py",
        &[
            Call::streamed("chat"),
            Call::streamed("chat_async"),
            Call::streamed("messages"),
            Call::streamed("messages_async").content_with_finish_reason(),
            Call::whole("chat_whole"),
        ],
    )
    .await;
}

#[tokio::test]
async fn each_exchange_of_anthropics_clients_ends_as_the_client_saw_it() {
    check(
        "drive_anthropic.py",
        &[
            Call::streamed("messages"),
            Call::streamed("messages_helper"),
            Call::streamed("messages_async"),
            Call::streamed("messages_whole"),
        ],
    )
    .await;
}

#[tokio::test]
async fn each_exchange_of_openais_agents_ends_as_the_client_saw_it() {
    check(
        "drive_agents.py",
        &[
            Call::streamed("responses").of(2),
            Call::streamed("chat").of(2),
            Call::whole("responses_whole").of(2),
            Call::whole("chat_whole").of(2),
        ],
    )
    .await;
}
