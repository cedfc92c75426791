//! Attacks on a node's content store by way of its interface, over real sockets. The table is
//! docs/attacks.md.

use std::{
    io::Write as _,
    net::SocketAddr,
    time::{Duration, Instant},
};

use soma_localnet::{Config, Localnet, testing::PATIENCE};
use soma_types::ContentHash;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

use crate::{
    common::{runtime, short_epochs, started},
    raw::{Answer, connect, get, send},
};

const STORE_BYTES: u64 = 1 << 20;

/// A network of one validator with a small store, in which an epoch takes seconds.
fn network(folder: &tempfile::TempDir) -> Localnet {
    let mut config = Config::new(folder.path());
    config.blueprint.validators = 1;
    config.blob_store_bytes_max = STORE_BYTES;
    config.blueprint.params = short_epochs();
    started(config)
}

fn target(content: &[u8]) -> String {
    format!("/v1/blobs/{}", ContentHash::of(content))
}

fn put(address: SocketAddr, content: &[u8]) -> Answer {
    let length = format!("content-length: {}\r\n", content.len());
    send(address, "PUT", &target(content), &length, content)
}

/// The status of the answer to someone who puts `content` from another address of this machine.
fn put_from(from: &str, address: SocketAddr, content: &[u8]) -> String {
    runtime().block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let head = format!(
            "PUT {} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            target(content),
            content.len()
        );
        stream
            .write_all(&[head.as_bytes(), content].concat())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer[9..12].to_owned()
    })
}

/// Attack: announcing content that never comes
/// Does: announces much content to a node over several connections, and sends none of it, or so slowly that
/// it takes days.
/// Outcome: what is announced takes no room, only what has come: others store theirs meanwhile.
#[test]
fn announcing_content_that_never_comes() {
    let folder = tempfile::tempdir().unwrap();
    let net = network(&folder);
    let address = net.apis()[0];
    let idle: Vec<_> = (0..5u8)
        .map(|number| {
            let mut stream = connect(address);
            let target = target(&[number]);
            write!(
                stream,
                "PUT {target} HTTP/1.1\r\nhost: a\r\ncontent-length: 250000\r\n\r\n"
            )
            .unwrap();
            stream.write_all(&[number; 1_000]).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(put(address, &vec![9; 100_000]).status, 201);
    drop(idle);
    net.stop().unwrap();
}

/// Attack: filling a content store
/// Does: stores content that nothing in the ledger names, as much as there is room for, for nothing.
/// Outcome: who does it gets half of what the others leave of half the store, and is told to wait (429). The
/// next still has room, and what the ledger names has the other half.
#[test]
fn filling_a_content_store() {
    let folder = tempfile::tempdir().unwrap();
    let net = network(&folder);
    let address = net.apis()[0];
    let mut stored = 0_usize;
    for number in 0..64u8 {
        let junk = vec![number; 1 << 15];
        let answer = put(address, &junk);
        if answer.status != 201 {
            assert!(
                answer.problem(429, "junk").contains("your share of"),
                "{answer:?}"
            );
            break;
        }
        stored += junk.len();
    }
    assert_eq!(stored as u64, STORE_BYTES / 4);
    assert_eq!(put_from("127.0.0.2", address, &vec![200; 100_000]), "201");
    net.stop().unwrap();
}

/// Attack: keeping junk in a content store
/// Does: stores what nothing in the ledger names, and from then on only says that they store it again, in
/// each epoch and without sending it, so that it stays for ever.
/// Outcome: it leaves within two epochs: only what is sent again whole is young again, and counts to their
/// share.
#[test]
fn keeping_junk_in_a_content_store() {
    let folder = tempfile::tempdir().unwrap();
    let net = network(&folder);
    let address = net.apis()[0];
    let junk = vec![7; 50_000];
    assert_eq!(put(address, &junk).status, 201);
    let start = Instant::now();
    while get(address, &target(&junk)).status == 200 {
        let again = send(address, "PUT", &target(&junk), "content-length: 0\r\n", b"");
        assert_ne!(again.status, 500, "{again:?}");
        assert!(start.elapsed() < PATIENCE, "the junk stays");
        std::thread::sleep(Duration::from_millis(250));
    }
    assert_eq!(put(address, &junk).status, 201, "it may come again");
    net.stop().unwrap();
}
