//! Clients that hold connections without need, on real sockets.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use futures::StreamExt as _;
use soma_http::connections::{Bounds, serve};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

const BOUNDS: Bounds = Bounds {
    connections: 4,
    head_time: Duration::from_millis(600),
    body_grace: Duration::from_millis(600),
    write_time: Duration::from_millis(600),
    stop_time: Duration::from_millis(600),
};
/// Long enough for every bound above, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
}

fn start() -> Server {
    start_with(BOUNDS)
}

fn start_with(bounds: Bounds) -> Server {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let drops = || {
        let every = futures::stream::unfold((), async |()| {
            sleep(Duration::from_millis(200)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"drop\n")), ()))
        });
        Body::from_stream(every)
    };
    let flood = || {
        let pieces = futures::stream::repeat(Bytes::from(vec![7; 1 << 16])).take(4_096);
        Body::from_stream(pieces.map(Ok::<_, Infallible>))
    };
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/drops", get(move || async move { drops() }))
        .route("/flood", get(move || async move { flood() }));
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(serve(listener, router, bounds, async {
        let _ = stopped.await;
    }));
    Server { address, stop, ended }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// What the server says to a request of its own connection.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.send(request).await;
        let mut answer = Vec::new();
        // A refused connection may be reset.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Asks until there is a place.
    async fn answers(&self) {
        let start = Instant::now();
        while !self.ask(HELLO_ONCE).await.ends_with("hello") {
            assert!(start.elapsed() < PATIENCE, "no place becomes free");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

const HELLO: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HELLO_ONCE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const UPLOAD: &str =
    "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n";

/// Waits for the other side to end the connection.
async fn closes(mut stream: TcpStream) {
    let mut rest = [0; 4_096];
    let end = async { while !matches!(stream.read(&mut rest).await, Ok(0) | Err(_)) {} };
    timeout(PATIENCE, end)
        .await
        .expect("it holds the connection for ever");
}

#[tokio::test]
async fn a_place_that_is_held_without_need_becomes_free() {
    let server = start();
    for opening in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\nX: ", HELLO, UPLOAD] {
        let mut held = Vec::new();
        for _ in 0..BOUNDS.connections {
            held.push(server.send(opening).await);
        }
        server.answers().await;
        for stream in held {
            closes(stream).await;
        }
    }
}

#[tokio::test]
async fn a_trickle_is_no_progress() {
    let server = start();
    for opening in ["GET / HTTP/1.1\r\nX: ", UPLOAD] {
        let (mut reader, mut writer) = server.send(opening).await.into_split();
        let trickle = tokio::spawn(async move {
            while writer.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(50)).await;
            }
        });
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, reader.read_to_end(&mut answer)).await.unwrap();
        timeout(PATIENCE, trickle).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn who_finds_no_place_is_told() {
    let server = start();
    let mut held = Vec::new();
    for _ in 0..BOUNDS.connections {
        held.push(server.send("GET /drops HTTP/1.1\r\nHost: a\r\n\r\n").await);
    }
    for stream in &mut held {
        stream.read_u8().await.unwrap();
    }
    let answer = server.ask(HELLO).await.to_lowercase();
    assert!(
        answer.starts_with("http/1.1 503") && answer.contains("retry-after: 1"),
        "{answer}"
    );
    assert!(
        answer.contains("application/problem+json") && answer.contains("4 clients"),
        "{answer}"
    );
    drop(held);
    server.answers().await;
}

#[tokio::test]
async fn a_stream_goes_on_for_a_slow_reader_and_a_slow_sender_who_keeps_up_is_heard() {
    let server = start();
    let mut stream = server.send("GET /drops HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let start = Instant::now();
    while start.elapsed() < 4 * BOUNDS.write_time {
        sleep(BOUNDS.write_time / 2).await;
        let mut piece = [0; 4_096];
        assert_ne!(
            timeout(PATIENCE, stream.read(&mut piece)).await.unwrap().unwrap(),
            0
        );
    }

    let mut stream = server.send(UPLOAD).await;
    for _ in 0..10 {
        stream.write_all(&[1; 100_000]).await.unwrap();
        sleep(BOUNDS.body_grace / 4).await;
    }
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.ends_with("1000000"), "{answer}");
}

#[tokio::test]
async fn who_never_reads_is_let_go() {
    let server = start();
    let mut held = Vec::new();
    for _ in 0..BOUNDS.connections {
        held.push(server.send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n").await);
    }
    server.answers().await;
}

/// Where places are short, nobody keeps one between two requests, however long they might elsewhere.
#[tokio::test]
async fn kept_connections_make_room() {
    let server = start_with(Bounds {
        head_time: 100 * PATIENCE,
        ..BOUNDS
    });
    let mut held = Vec::new();
    for _ in 0..BOUNDS.connections {
        let mut stream = server.send(HELLO).await;
        stream.read_u8().await.unwrap();
        held.push(stream);
    }
    server.answers().await;
    for stream in held {
        closes(stream).await;
    }
}

#[tokio::test]
async fn it_stops_though_clients_stay() {
    let server = start();
    let idle = server.send(HELLO).await;
    let silent = server.connect().await;
    server.answers().await;
    server.stop.send(()).unwrap();
    timeout(PATIENCE, server.ended).await.unwrap().unwrap().unwrap();
    closes(idle).await;
    closes(silent).await;
}

/// An answer without an end, whose reader takes all of it, ends with its server.
#[tokio::test]
async fn it_stops_though_an_answer_does_not() {
    let server = start();
    let mut stream = server.send("GET /drops HTTP/1.1\r\nHost: a\r\n\r\n").await;
    stream.read_u8().await.unwrap();
    let reader = tokio::spawn(closes(stream));
    server.stop.send(()).unwrap();
    timeout(PATIENCE, server.ended).await.unwrap().unwrap().unwrap();
    reader.await.unwrap();
}
