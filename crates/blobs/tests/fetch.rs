//! The guarded fetch against hosts that misbehave, over real sockets.

use std::{
    future::Future,
    net::SocketAddr,
    time::{Duration, Instant},
};

use soma_blobs::{
    Expected,
    fetch::{FetchError, FetchPolicy, Fetcher},
    store::{Store, StoreError},
};
use soma_types::ContentHash;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

const BLOB: &[u8] = b"the bytes that were announced on chain";

/// A host that reads one request per connection, then does as `answer` says with the socket.
async fn host<F>(answer: impl Fn(TcpStream, String) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                match socket.read(&mut buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.extend_from_slice(&buffer[..count]),
                }
            }
            tokio::spawn(answer(socket, String::from_utf8_lossy(&request).into_owned()));
        }
    });
    address
}

/// A host that writes `head` and `body`, then closes.
async fn canned(head: String, body: Vec<u8>) -> Url {
    let address = host(move |mut socket, _| {
        let (head, body) = (head.clone(), body.clone());
        async move {
            // The fetcher may hang up early, which is what some tests want.
            let _ = socket
                .write_all(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes())
                .await;
            let _ = socket.write_all(&body).await;
            let _ = socket.shutdown().await;
        }
    })
    .await;
    url(address)
}

fn url(address: SocketAddr) -> Url {
    format!("http://{address}/blob").parse().unwrap()
}

fn policy() -> FetchPolicy {
    FetchPolicy {
        timeout: Duration::from_secs(10),
        private_addresses: true,
        ..FetchPolicy::default()
    }
}

/// What both forms of fetch make of `url`; they must agree, and a failure must leave the store empty.
async fn fetch_with(policy: FetchPolicy, url: &Url) -> Result<Vec<u8>, FetchError> {
    let fetcher = Fetcher::new(policy).unwrap();
    let expected = Expected::of(BLOB);
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), 1 << 20).unwrap();
    let stored = fetcher.fetch_into(url, expected, &store).await;
    let fetched = fetcher.fetch(url, expected).await;
    let fetched = fetched.map(|blob| blob.bytes().unwrap().to_vec());
    match (&stored, &fetched) {
        (Ok(()), Ok(bytes)) => assert_eq!(store.get(&expected.hash).unwrap().as_ref(), Some(bytes)),
        (Err(stored), Err(fetched)) => {
            assert_eq!(
                std::mem::discriminant(&**stored),
                std::mem::discriminant(fetched),
                "{stored} | {fetched}"
            );
            assert_eq!(store.used_bytes(), 0);
        }
        _ => panic!("the two forms disagree: {stored:?} and {fetched:?}"),
    }
    fetched
}

async fn fetch(url: &Url) -> Result<Vec<u8>, FetchError> {
    fetch_with(policy(), url).await
}

#[tokio::test]
async fn honest_hosts_are_served_from() {
    let plain = canned(format!("200 OK\r\ncontent-length: {}", BLOB.len()), BLOB.to_vec()).await;
    assert_eq!(fetch(&plain).await.unwrap(), BLOB);
    let until_close = canned("200 OK\r\nconnection: close".to_owned(), BLOB.to_vec()).await;
    assert_eq!(fetch(&until_close).await.unwrap(), BLOB);
    let mut chunks = Vec::new();
    for chunk in BLOB.chunks(7) {
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    let chunked = canned("200 OK\r\ntransfer-encoding: chunked".to_owned(), chunks).await;
    assert_eq!(fetch(&chunked).await.unwrap(), BLOB);
}

#[tokio::test]
async fn large_blobs_stream_into_the_store() {
    let blob: Vec<u8> = (0..5_000_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let url = canned(format!("200 OK\r\ncontent-length: {}", blob.len()), blob.clone()).await;
    let fetcher = Fetcher::new(FetchPolicy {
        size_bytes_max: 1 << 24,
        ..policy()
    })
    .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), 1 << 24).unwrap();
    let expected = Expected::of(&blob);
    fetcher.fetch_into(&url, expected, &store).await.unwrap();
    assert!(store.get(&expected.hash).unwrap().unwrap() == blob);
    // A second fetch needs no host.
    fetcher
        .fetch_into(&"http://127.0.0.1:1/".parse().unwrap(), expected, &store)
        .await
        .unwrap();
    let small = Store::open(tempfile::tempdir().unwrap().path(), 1000).unwrap();
    let error = fetcher.fetch_into(&url, expected, &small).await.unwrap_err();
    assert!(
        matches!(*error, FetchError::Store(StoreError::Full { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn an_announced_excess_is_refused_before_the_body() {
    let url = canned("200 OK\r\ncontent-length: 4000000000000".to_owned(), Vec::new()).await;
    let error = fetch(&url).await.unwrap_err();
    assert!(
        matches!(
            error,
            FetchError::TooLarge {
                found: Some(4_000_000_000_000),
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let address = host(|mut socket, _| async move {
        let _ = socket
            .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
            .await;
        while socket.write_all(&[0; 4096]).await.is_ok() {}
    })
    .await;
    let error = fetch(&url(address)).await.unwrap_err();
    assert!(
        matches!(error, FetchError::TooLarge { found: None, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn announcements_past_the_cap_are_never_asked_for() {
    let fetcher = Fetcher::new(FetchPolicy {
        size_bytes_max: 10,
        ..policy()
    })
    .unwrap();
    let error = fetcher
        .fetch(&"http://127.0.0.1:1/".parse().unwrap(), Expected::of(BLOB))
        .await
        .unwrap_err();
    assert!(
        matches!(error, FetchError::AnnouncedTooLarge { limit_bytes: 10, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn stalling_and_trickling_hosts_time_out() {
    let timeout = Duration::from_millis(400);
    let silent = host(|socket, _| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(socket);
    })
    .await;
    let trickling = host(|mut socket, _| async move {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", BLOB.len());
        let _ = socket.write_all(head.as_bytes()).await;
        for byte in BLOB {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if socket.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    })
    .await;
    for (address, pace) in [
        (silent, None),
        (trickling, None),
        (silent, Some(timeout)),
        (trickling, Some(timeout)),
    ] {
        let start = Instant::now();
        let policy = match pace {
            None => FetchPolicy { timeout, ..policy() },
            pace => FetchPolicy { pace, ..policy() },
        };
        let error = fetch_with(policy, &url(address)).await.unwrap_err();
        match pace {
            None => assert!(matches!(error, FetchError::TimedOut { .. }), "{error}"),
            Some(_) => assert!(matches!(error, FetchError::Slow { .. }), "{error}"),
        }
        // Two fetches; far less than the 3.8 s that one trickle takes.
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn other_bytes_are_refused() {
    let mut other = BLOB.to_vec();
    other[5] ^= 1;
    let url = canned(
        format!("200 OK\r\ncontent-length: {}", other.len()),
        other.clone(),
    )
    .await;
    let error = fetch(&url).await.unwrap_err();
    assert!(
        matches!(error, FetchError::WrongHash { found, .. } if found == ContentHash::of(&other)),
        "{error}"
    );
}

#[tokio::test]
async fn statuses_are_reported() {
    for (head, expected) in [
        ("404 Not Found\r\ncontent-length: 0", 404),
        ("503 Busy\r\ncontent-length: 0", 503),
        ("206 Partial Content\r\ncontent-length: 0", 206),
        ("204 No Content", 204),
        ("304 Not Modified", 304),
    ] {
        let url = canned(head.to_owned(), Vec::new()).await;
        let error = fetch(&url).await.unwrap_err();
        assert!(
            matches!(error, FetchError::Status { status } if status == expected),
            "{head}: {error}"
        );
    }
}

#[tokio::test]
async fn short_bodies_are_named() {
    let length = BLOB.len();
    let hung_up = canned(format!("200 OK\r\ncontent-length: {length}"), BLOB[..9].to_vec()).await;
    let error = fetch(&hung_up).await.unwrap_err();
    assert!(
        matches!(error, FetchError::Truncated { found_bytes: 9, .. }),
        "{error}"
    );
    assert!(!error.is_mismatch());
    let closed = canned("200 OK\r\nconnection: close".to_owned(), BLOB[..9].to_vec()).await;
    let announced = canned("200 OK\r\ncontent-length: 9".to_owned(), BLOB[..9].to_vec()).await;
    for url in [closed, announced] {
        let error = fetch(&url).await.unwrap_err();
        assert!(
            matches!(error, FetchError::TooSmall { found_bytes: 9, .. }),
            "{error}"
        );
        assert!(error.is_mismatch());
    }
}

#[tokio::test]
async fn nonsense_and_absence_are_unreachable() {
    let nonsense = host(|mut socket, _| async move {
        let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await;
    })
    .await;
    let error = fetch(&url(nonsense)).await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let error = fetch(&url(gone)).await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
}

/// `/N` redirects to `/N-1`; `/0` has the blob; `/loop` to itself; `/to?X` to X.
async fn redirecting() -> SocketAddr {
    host(|mut socket, request| async move {
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let location = match path.trim_start_matches('/').parse::<u32>() {
            Ok(0) => None,
            Ok(count) => Some(format!("/{}", count - 1)),
            Err(_) => Some(path.strip_prefix("/to?").unwrap_or("/loop").to_owned()),
        };
        let head = match location {
            Some(location) => {
                format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
            }
            None => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", BLOB.len()),
        };
        let _ = socket.write_all(head.as_bytes()).await;
        if path == "/0" {
            let _ = socket.write_all(BLOB).await;
        }
        let _ = socket.shutdown().await;
    })
    .await
}

#[tokio::test]
async fn redirects_are_counted() {
    let address = redirecting().await;
    let at = |path: &str| format!("http://{address}/{path}").parse::<Url>().unwrap();
    assert_eq!(fetch(&at("3")).await.unwrap(), BLOB);
    for path in ["4", "loop"] {
        let error = fetch(&at(path)).await.unwrap_err();
        assert!(
            matches!(error, FetchError::Redirects { limit: 3 }),
            "{path}: {error}"
        );
    }
    let error = fetch(&at("to?file:///etc/passwd")).await.unwrap_err();
    // Not a place HTTP leads to: the redirect itself is the answer.
    assert!(matches!(error, FetchError::Status { status: 302 }), "{error}");
}

#[tokio::test]
async fn private_addresses_are_refused_however_they_are_named() {
    let public = FetchPolicy {
        private_addresses: false,
        ..policy()
    };
    for text in [
        "http://127.0.0.1:1/",
        "http://[::1]:1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:1/",
    ] {
        let error = fetch_with(public.clone(), &text.parse().unwrap())
            .await
            .unwrap_err();
        assert!(
            matches!(error, FetchError::PrivateAddress { .. }),
            "{text}: {error}"
        );
    }
    let error = fetch_with(public, &"ftp://example.org/x".parse().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Scheme { .. }), "{error}");
}
