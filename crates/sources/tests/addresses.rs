//! Files at http addresses, on servers that behave and servers that do not.

mod common;

use std::{
    io::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use common::{Reply, Server, get, jsonl, parquet, text, texts};
use parquet::basic::Compression;
use soma_data::{DataError, Rules};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn all(count: usize) -> Vec<String> {
    (0..count).map(text).collect()
}

fn fails(source: &str, says: &str) -> String {
    let started = Instant::now();
    let error = get(source).unwrap_err().to_string();
    assert!(error.contains(says), "{error}\nshould say: {says}");
    assert!(error.contains(source), "{error}\nshould name {source}");
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    error
}

#[test]
fn honest_servers_are_read_from() {
    let lines = jsonl(300);
    let packed = zstd::encode_all(&lines[..], 1).unwrap();
    let (plain, gz) = (lines.clone(), gzip(&lines));
    let server = Server::start(move |request| match request.path.as_str() {
        "/ranges.jsonl" => Reply::file(request, &plain, "\"1\""),
        "/plain.jsonl" => Reply::ok(plain.clone()),
        "/named.jsonl.gz" => Reply::file(request, &gz, "\"1\""),
        "/also-said.jsonl.gz" => Reply::ok(gz.clone()).with("content-encoding", "gzip"),
        "/sent-packed.jsonl" => Reply::ok(gz.clone()).with("content-encoding", "gzip"),
        "/a.jsonl.zst" => Reply::file(request, &packed, "\"1\""),
        "/moved.jsonl" => Reply::to("/ranges.jsonl"),
        "/book.txt" => Reply::ok("a whole book").with("content-type", "text/plain"),
        _ => Reply::status(404),
    });
    for name in [
        "ranges.jsonl",
        "plain.jsonl",
        "named.jsonl.gz",
        "also-said.jsonl.gz",
        "sent-packed.jsonl",
        "a.jsonl.zst",
        "a.jsonl.zst?download=true",
        "moved.jsonl",
    ] {
        let reading = get(&server.url(name)).unwrap();
        assert_eq!(texts(&reading), all(300), "{name}");
        let first = &reading.dataset.documents()[0].origin;
        assert_eq!(first.to_string(), format!("{}:1", server.url(name)));
        let provenance = first.provenance.as_ref().unwrap();
        assert_eq!(provenance.source, Some(server.url(name)));
        assert_eq!(provenance.id.as_deref(), Some("0"));
    }
    assert_eq!(texts(&get(&server.url("book.txt")).unwrap()), ["a whole book"]);
}

#[test]
fn tables_are_read_by_parts_or_from_a_copy() {
    let bytes = parquet(400, 50, Compression::SNAPPY);
    let expected: Vec<_> = (0..400).filter(|i| i % 10 != 9).map(text).collect();
    let (with, without, packed) = (bytes.clone(), bytes.clone(), gzip(&bytes));
    let server = Server::start(move |request| match request.path.as_str() {
        "/with.parquet" => Reply::file(request, &with, "\"1\""),
        "/without.parquet" => Reply::ok(without.clone()),
        _ => Reply::ok(packed.clone()).with("content-encoding", "gzip"),
    });
    for name in ["with.parquet", "without.parquet", "packed.parquet"] {
        assert_eq!(texts(&get(&server.url(name)).unwrap()), expected, "{name}");
    }
}

/// A connection that ends, or hangs, in the middle is taken up where it stopped.
#[test]
fn what_breaks_off_goes_on() {
    for hangs in [false, true] {
        let lines = jsonl(500);
        let length = lines.len();
        let server = Server::start(move |request| {
            let mut reply = Reply::file(request, &lines, "\"1\"");
            let some = 20_000.min(reply.body.len());
            if hangs {
                reply.hang = Some(some);
            } else {
                reply.cut = Some(some);
            }
            reply
        });
        assert_eq!(texts(&get(&server.url("a.jsonl")).unwrap()), all(500));
        assert!(server.count() as usize >= length / 20_000, "{}", server.count());
    }
    // From a server that always begins anew, what was read is passed over.
    let tries = AtomicU64::new(0);
    let lines = jsonl(500);
    let server = Server::start(move |_| {
        let mut reply = Reply::ok(lines.clone());
        reply.cut = (tries.fetch_add(1, Ordering::Relaxed) < 3).then_some(60_000);
        reply
    });
    let error = get(&server.url("a.jsonl"));
    assert_eq!(texts(&error.unwrap()), all(500));
}

#[test]
fn what_ends_early_or_hangs_is_named() {
    let server = Server::start(|request| {
        let mut reply = Reply::ok(jsonl(100)).with("etag", "\"1\"");
        match request.path.as_str() {
            "/cut.jsonl" => reply.cut = Some(1000),
            "/silent.jsonl" => reply.hang = Some(0),
            "/busy.jsonl" => return Reply::status(503),
            "/later.jsonl" => return Reply::status(429).with("retry-after", "3600"),
            _ => reply = Reply::status(404),
        }
        reply
    });
    fails(
        &server.url("cut.jsonl"),
        "the connection ended after 1000 bytes of",
    );
    fails(&server.url("silent.jsonl"), "nothing came for 0.4 s");
    fails(
        &server.url("busy.jsonl"),
        "cannot answer now (503): try again later",
    );
    let before = server.count();
    fails(&server.url("later.jsonl"), "cannot answer now (429)");
    assert_eq!(server.count(), before + 1, "it asked to wait for an hour");
    fails(
        &server.url("nothing.jsonl"),
        "there is nothing there (404): check the address",
    );
    fails("http://127.0.0.1:1/a.jsonl", "the server cannot be reached");
    fails("http://nowhere.invalid/a.jsonl", "the server cannot be reached");
}

/// A file that becomes another while it is read is not read on.
#[test]
fn changes_are_noticed() {
    for kind in ["tag", "size", "shorter"] {
        let requests = AtomicU64::new(0);
        let server = Server::start(move |request| {
            let first = requests.fetch_add(1, Ordering::Relaxed) == 0;
            let mut reply = match (kind, first) {
                (_, true) => Reply::file(request, &jsonl(200), "\"1\""),
                ("tag", _) => Reply::file(request, &jsonl(200), "\"2\""),
                ("size", _) => Reply::file(request, &jsonl(201), "\"1\""),
                _ => Reply::file(request, &jsonl(10), "\"1\""),
            };
            reply.cut = first.then_some(10_000);
            reply
        });
        let error = get(&server.url("a.jsonl")).unwrap_err();
        assert!(matches!(error, DataError::Changed(_)), "{kind}: {error}");
    }
}

#[test]
fn lies_are_told() {
    let server = Server::start(|request| match request.path.as_str() {
        "/login.parquet" => Reply::ok("<html>").with("content-type", "text/html; charset=utf-8"),
        "/text.parquet" => Reply::ok("no parquet but some text of some length"),
        "/text.jsonl.gz" => Reply::ok("no gzip"),
        "/other.jsonl" => {
            let mut reply = Reply::file(request, &jsonl(9), "\"1\"");
            reply.headers.retain(|(name, _)| *name != "content-range");
            reply.with("content-range", "bytes 5-100/200")
        }
        "/which.jsonl" => Reply {
            status: 206,
            ..Reply::ok("x")
        },
        "/round" => Reply::to("/round"),
        "/file" => Reply::to("file:///etc/passwd"),
        _ => Reply::status(500),
    });
    fails(
        &server.url("login.parquet"),
        "a web page (text/html; charset=utf-8), not data",
    );
    fails(&server.url("text.parquet"), "no sound Parquet file");
    fails(&server.url("text.jsonl.gz"), "no gzip file");
    fails(
        &server.url("other.jsonl"),
        "another part than it was asked for: from byte 5, not 0",
    );
    fails(&server.url("which.jsonl"), "it does not say which");
    fails(&server.url("round"), "redirects more than 5 times");
    fails(&server.url("file"), "the server answers 302");
    fails("ftp://host/a.jsonl", "is an address, which is not read");
    let secret = get("https://me:secret@example.org/a.jsonl")
        .unwrap_err()
        .to_string();
    assert!(secret.contains("an address with a password"), "{secret}");
}

/// Small on the wire, endless once unpacked: it ends at the limit.
#[test]
fn bombs_end_at_the_limit() {
    let zeros = gzip(&vec![b' '; 1 << 24]).repeat(8);
    let server = Server::start(move |_| Reply::ok(zeros.clone()).with("content-encoding", "gzip"));
    let rules = Rules {
        document_bytes_max: 1 << 20,
        ..Rules::default()
    };
    for name in ["a.txt", "a.jsonl"] {
        let error = common::reading(&[&server.url(name)], &rules, common::settings()).unwrap_err();
        assert!(matches!(error, DataError::TooLong { .. }), "{error}");
    }
}

/// Who reads slowly is waited for: the sender gets no further than the buffers on the way.
#[test]
fn nothing_is_read_far_ahead() {
    use std::{io::Read as _, net::TcpListener, sync::Arc};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let _ = socket.read(&mut [0; 4096]);
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n");
        let block = jsonl(100);
        while socket.write_all(&block).is_ok() {
            count.fetch_add(block.len() as u64, Ordering::Relaxed);
        }
    });
    let mut documents = common::open(&[&format!("http://{address}/a.jsonl")], &Rules::default()).unwrap();
    documents.next().unwrap().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let after_one = sent.load(Ordering::Relaxed);
    assert!(
        after_one < 32 << 20,
        "{after_one} bytes were sent for one document"
    );
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(sent.load(Ordering::Relaxed), after_one, "and no more come");
}
