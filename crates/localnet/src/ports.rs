//! Loopback ports that are let go and bound again: by the engine, by a process, by one that is started anew.
//!
//! A port that the system chooses lies where it takes those of outgoing connections from too, so that any
//! connection of anybody's may have it by then. Those chosen here lie below, and networks that are started
//! side by side look for them in different places.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use soma_http::{CannotListen, listen};

/// Not used for outgoing connections: these begin at 32768 on Linux and at 49152 elsewhere.
const LASTING: Range<u16> = 10_000..32_000;
/// What a process has for itself before it comes to where the next one begins.
const STRIDE: u32 = 64;
/// Places that are tried before the last one's fault is told.
const TRIES: usize = 100;

/// Where in this process's own ports to look next.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Binds one port for each of `count`: `first` and the following, or any in a row where that is 0.
///
/// # Errors
/// If one of them is taken or not ours to take.
pub(crate) fn bind(first: u16, count: usize) -> Result<Vec<TcpListener>, CannotListen> {
    if first != 0 {
        return row(first, count);
    }
    let mut bound = row(place(count), count);
    for _ in 1..TRIES {
        if bound.is_ok() {
            break;
        }
        bound = row(place(count), count);
    }
    bound
}

/// Where a row of `count` may begin, another one each time.
fn place(count: usize) -> u16 {
    let mine = process::id().wrapping_mul(STRIDE);
    let next = mine.wrapping_add(NEXT.fetch_add(count as u32, Ordering::Relaxed));
    let room = LASTING.len().saturating_sub(count).max(1);
    LASTING.start + (next % room as u32) as u16
}

fn row(first: u16, count: usize) -> Result<Vec<TcpListener>, CannotListen> {
    (0..count)
        .map(|index| {
            let port = first.saturating_add(index as u16);
            listen((Ipv4Addr::LOCALHOST, port).into())
        })
        .collect()
}

/// The address that a listener has.
pub(crate) fn address_of(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound listener has an address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_free_and_apart() {
        let rows: Vec<Vec<TcpListener>> = (0..20).map(|_| bind(0, 7).unwrap()).collect();
        let mut ports: Vec<u16> = rows.iter().flatten().map(|one| address_of(one).port()).collect();
        assert!(ports.iter().all(|port| LASTING.contains(port)), "{ports:?}");
        for row in ports.chunks(7) {
            assert!(row.is_sorted_by(|one, next| next - one == 1), "{row:?}");
        }
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 140);
        drop(rows);
        // Looked for in the same places again, they are not the same as long as they are held.
        let held = bind(0, 3).unwrap();
        NEXT.fetch_sub(3, Ordering::Relaxed);
        let beside = bind(0, 3).unwrap();
        assert!(address_of(&beside[0]).port() > address_of(&held[2]).port());
        let taken = bind(address_of(&held[0]).port(), 1).unwrap_err();
        assert!(taken.to_string().contains("in use"), "{taken}");
    }
}
