//! Which addresses are in use: two sockets cannot listen on the same one.

use std::net::SocketAddr;

use crate::field::Field;

/// The addresses claimed so far, each with its key path.
#[derive(Default)]
pub(crate) struct Addresses(Vec<(SocketAddr, String)>);

impl Addresses {
    /// Adds an address, or reports a fault if it is already in use.
    pub(crate) fn claim(&mut self, field: &Field<'_>, address: SocketAddr) {
        match self.0.iter().find(|(other, _)| overlap(*other, address)) {
            Some((other, owner)) => {
                field.fail(format!("`{address}` is already used: {owner} is `{other}`"));
            }
            None => self.0.push((address, field.path().to_owned())),
        }
    }
}

/// The unspecified address occupies the port on every address of its family.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let ip = a.ip() == b.ip()
        || (a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()));
    a.port() == b.port() && ip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(a: &str, b: &str, expect: bool) {
        assert_eq!(overlap(a.parse().unwrap(), b.parse().unwrap()), expect);
        assert_eq!(overlap(b.parse().unwrap(), a.parse().unwrap()), expect);
    }

    #[test]
    fn the_unspecified_address_occupies_its_whole_family() {
        check("127.0.0.1:1", "127.0.0.1:1", true);
        check("127.0.0.1:1", "127.0.0.1:2", false);
        check("127.0.0.1:1", "127.0.0.2:1", false);
        check("0.0.0.0:1", "127.0.0.1:1", true);
        check("[::]:1", "[::1]:1", true);
        check("0.0.0.0:1", "[::1]:1", false);
    }
}
