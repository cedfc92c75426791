//! An HTTP server on a real socket that answers as a test's closure says.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use soma_types::{Rejection, RejectionCode, api::Problem};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request as a server sees it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Lines of the head after the first.
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut headers = self.headers.iter().filter_map(|line| line.split_once(':'));
        headers
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    }
}

/// What a server does.
pub enum Answer {
    Json(u16, String),
    Bytes(Vec<u8>),
    /// Anything: these bytes, then the connection closes.
    Raw(Vec<u8>),
    /// Nothing, for a minute.
    Silence,
}

pub fn ok(value: &impl Serialize) -> Answer {
    Answer::Json(200, serde_json::to_string(value).unwrap())
}

pub fn problem(status: u16, code: Option<RejectionCode>, detail: &str) -> Answer {
    let problem = Problem {
        kind: "about:blank".into(),
        title: "no".into(),
        status,
        detail: detail.into(),
        code,
        name: None,
    };
    Answer::Json(status, serde_json::to_string(&problem).unwrap())
}

pub fn rejected(rejection: &Rejection) -> Answer {
    problem(422, Some(rejection.code()), &rejection.to_string())
}

pub fn missing() -> Answer {
    problem(404, None, "there is no such thing")
}

/// Serves `answer` until the test ends; the address.
pub async fn serve(answer: impl Fn(Request) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let Some(request) = read(&mut socket).await else {
                    return;
                };
                let bytes = match answer(request) {
                    Answer::Json(status, body) => {
                        let kind = if status < 300 {
                            "application/json"
                        } else {
                            "application/problem+json"
                        };
                        head(status, kind, body.len())
                            .into_bytes()
                            .into_iter()
                            .chain(body.into_bytes())
                            .collect()
                    }
                    Answer::Bytes(body) => {
                        let head = head(200, "application/octet-stream", body.len());
                        head.into_bytes().into_iter().chain(body).collect()
                    }
                    Answer::Raw(bytes) => bytes,
                    Answer::Silence => {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                        return;
                    }
                };
                // The client may have hung up; that is the client's business.
                let _ = socket.write_all(&bytes).await;
                let _ = socket.shutdown().await;
            });
        }
    });
    address
}

fn head(status: u16, kind: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )
}

async fn read(socket: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let count = socket.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse::<usize>().unwrap());
    let mut body = bytes.split_off(end);
    while body.len() < length {
        let count = socket.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        body.extend_from_slice(&buffer[..count]);
    }
    let mut words = head.split(' ');
    Some(Request {
        method: words.next()?.into(),
        path: words.next()?.into(),
        headers: head.lines().skip(1).map(str::to_owned).collect(),
        body,
    })
}
