//! Where a server listens, and why it cannot.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

/// Why a server cannot listen, with what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(.error))]
pub struct CannotListen {
    /// Where it was to.
    pub address: SocketAddr,
    /// The system's answer.
    pub error: io::Error,
}

/// Listens on `address`.
///
/// # Errors
/// If the system refuses.
pub fn listen(address: SocketAddr) -> Result<TcpListener, CannotListen> {
    TcpListener::bind(address).map_err(|error| CannotListen { address, error })
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use: stop who uses it, or choose another".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied: choose a port above 1023".to_owned(),
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: `ip address` shows those it has".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_way_is_named() {
        let held = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let taken = held.local_addr().unwrap();
        let text = listen(taken).unwrap_err().to_string();
        assert!(
            text.contains(&taken.to_string()) && text.contains("in use"),
            "{text}"
        );
        // Of a range for documents.
        let text = listen(([192, 0, 2, 1], 0).into()).unwrap_err().to_string();
        assert!(text.contains("no such address"), "{text}");
    }
}
