//! Ports of this machine for the processes of a sandbox.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// Below the range that Linux hands out by itself: a port from there could become the near end of
/// any outgoing connection between our choice and its use.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// Chooses ports of 127.0.0.1 that nobody listens on. Another process can still take one before
/// its server does: whoever starts servers on them must be ready to choose again.
///
/// # Errors
/// If there are not so many free ports.
pub fn free<const N: usize>() -> io::Result<[u16; N]> {
    let size = RANGE.end - RANGE.start;
    // Two sandboxes that start together should not try the same ports.
    let start = u16::try_from(RandomState::new().hash_one(0) % u64::from(size)).unwrap_or_default();
    let mut found = [0; N];
    let mut held = Vec::with_capacity(N);
    let mut candidates = (0..size).map(|i| RANGE.start + (start + i) % size);
    for slot in &mut found {
        let listener =
            candidates.find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
        let listener =
            listener.ok_or_else(|| io::Error::other("no free port left on 127.0.0.1"))?;
        *slot = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(found)
}

/// Whether a server could listen on this port of 127.0.0.1.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Whether a log says that its process found its port taken.
#[must_use]
pub fn lost_in(log: &str) -> bool {
    log.to_ascii_lowercase().contains("address already in use")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ_and_can_be_used() {
        let mut ports = free::<32>().unwrap();
        assert!(ports.iter().all(|port| RANGE.contains(port)));
        let held: Vec<_> = ports
            .iter()
            .map(|p| TcpListener::bind((Ipv4Addr::LOCALHOST, *p)).unwrap())
            .collect();
        assert!(ports.iter().all(|port| !is_free(*port)));
        drop(held);
        ports.sort_unstable();
        assert!(ports.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_lost_port_is_read_from_what_servers_say() {
        for line in [
            "listen tcp 127.0.0.1:2380: bind: address already in use",
            "Error: cannot listen on `127.0.0.1:8443`: Address already in use (os error 98)",
        ] {
            assert!(lost_in(line), "{line}");
        }
        assert!(!lost_in("permission denied"));
    }
}
