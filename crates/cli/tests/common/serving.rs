//! `soma serve` as its own process, asked as curl would.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Stdio},
};

use serde_json::Value;

use super::Bench;

/// A server, which ends with the test.
pub struct Server {
    pub process: Child,
    /// What it said at its start.
    pub output: Value,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// Serves what `models` name on a free port.
    pub fn start(bench: &Bench, models: &[&str]) -> Self {
        let args = [&["serve", "--listen", "127.0.0.1:0", "--json"], models].concat();
        let mut process = bench.command(&args).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let (mut text, mut line) = (String::new(), String::new());
        while serde_json::from_str::<Value>(&text).is_err() {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it ended: {text}");
            text += &line;
        }
        let output: Value = serde_json::from_str(&text).unwrap();
        let url = output["url"].as_str().unwrap();
        let address = url
            .trim_start_matches("http://")
            .trim_end_matches("/v1")
            .to_owned();
        Self {
            process,
            output,
            address,
        }
    }

    /// Status and body.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let mut stream = self.send(method, path, &body);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        (status, if chunked { joined(body) } else { body.to_owned() })
    }

    /// Asks, and hears nothing yet.
    pub fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        stream
    }

    pub fn complete(&self, body: &Value) -> Value {
        let (status, answer) = self.ask("POST", "/v1/completions", body);
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str(&answer).unwrap()
    }
}

/// A body that came in chunks.
fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        body += &rest[..length];
        chunks = rest[length..].trim_start_matches("\r\n");
    }
    body
}
