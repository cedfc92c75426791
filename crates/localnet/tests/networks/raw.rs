//! HTTP byte by byte, for what no client would send.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// What a server says.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that this is a problem document with `status`; what it says.
    pub fn problem(&self, status: u16, asked: &str) -> String {
        assert_eq!(self.status, status, "{asked}: {self:?}");
        assert!(
            self.head.contains("content-type: application/problem+json"),
            "{asked}: {self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], status, "{asked}: {problem}");
        let detail = problem["detail"].as_str().unwrap().to_owned();
        assert!(!detail.is_empty() && detail.chars().count() <= 1_000, "{asked}");
        assert!(!detail.chars().any(char::is_control), "{asked}: {detail:?}");
        detail
    }
}

/// A connection on which an answer is waited for, but not for ever.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends bytes as they are; the answer, or none where the connection ends without one.
pub fn raw(address: SocketAddr, request: &[u8]) -> Option<Answer> {
    let mut stream = connect(address);
    // The node may have refused before it has read all.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
    Some(Answer {
        status: head[9..12].parse().unwrap(),
        head,
        body: bytes[end + 4..].to_vec(),
    })
}

/// Sends a request with more lines of head, each with its line end.
pub fn send(address: SocketAddr, method: &str, target: &str, lines: &str, body: &[u8]) -> Answer {
    let head = format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{lines}\r\n");
    raw(address, &[head.as_bytes(), body].concat())
        .unwrap_or_else(|| panic!("no answer to {method} {target}"))
}

/// Asks for what is at `target`.
pub fn get(address: SocketAddr, target: &str) -> Answer {
    send(address, "GET", target, "", b"")
}
