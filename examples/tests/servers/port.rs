//! Free loopback ports.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// A port below those that the system gives to connections: while the server is down, none of them takes its port.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // The process's id sets test programs apart that run at the same time.
    let offset = std::process::id() as u16;
    loop {
        // Relaxed: only the number counts, it publishes nothing.
        let port = FIRST + offset.wrapping_mul(64).wrapping_add(NEXT.fetch_add(1, Relaxed)) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
