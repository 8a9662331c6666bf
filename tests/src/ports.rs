//! Addresses for processes that must be told one before they start.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Below what the kernel gives to outgoing connections, which could otherwise take a port
/// between the look and the start.
const FIRST: u32 = 10_000;
const COUNT: u32 = 20_000;

/// A loopback address that nothing listens on now, and that is given out once per process.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);

    // Two test processes side by side begin in different places.
    let begin = std::process::id().wrapping_mul(997);
    for _ in 0..COUNT {
        let turn = begin.wrapping_add(NEXT.fetch_add(1, Relaxed));
        let port = u16::try_from(FIRST + turn % COUNT).expect("the range ends below 65536");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}
