//! Attacks by way of a node's downloads, over real sockets. The table is docs/attacks.md.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use soma_blobs::{Expected, FetchError, FetchPolicy, Fetcher, Store};
use url::Url;

const CONTENT: &[u8] = b"what an owner says is there";

/// A host that takes its time to answer with `head` and the content, and counts who asks.
fn host(head: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::Relaxed);
            thread::spawn(move || {
                let _ = socket.read(&mut [0; 1024]);
                thread::sleep(Duration::from_millis(300));
                let _ = write!(
                    socket,
                    "HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n",
                    CONTENT.len()
                );
                let _ = socket.write_all(CONTENT);
            });
        }
    });
    (address, asked)
}

/// A fetcher, a store, and where `host` has the content.
struct Node {
    fetcher: Fetcher,
    store: Store,
    url: Url,
    _folder: tempfile::TempDir,
}

impl Node {
    fn new(host: SocketAddr) -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let policy = FetchPolicy {
            private_addresses: true,
            ..FetchPolicy::default()
        };
        Arc::new(Self {
            fetcher: Fetcher::new(policy).unwrap(),
            store: Store::open(folder.path(), 1 << 20).unwrap(),
            url: format!("http://{host}/").parse().unwrap(),
            _folder: folder,
        })
    }

    async fn fetch(&self) -> Result<(), Arc<FetchError>> {
        let content = Expected::of(CONTENT);
        self.fetcher.fetch_into(&self.url, content, &self.store).await
    }
}

/// Attack: a node's downloads as a flood
/// Does: names content on somebody else's host in a claim, and asks nodes for it again and again, hanging up
/// in between, so that they load that host with downloads.
/// Outcome: who asks for what is on its way waits for it: each node downloads once, for as long as anyone
/// waits.
#[test]
fn downloads_as_a_flood() {
    let (address, asked) = host("200 OK");
    let node = Node::new(address);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let ask = || {
            let node = node.clone();
            tokio::spawn(async move { node.fetch().await })
        };
        let first = ask();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let others: Vec<_> = (0..50).map(|_| ask()).collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        first.abort();
        for other in others {
            other.await.unwrap().unwrap();
        }
    });
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(node.store.contains(&Expected::of(CONTENT).hash));
}

/// Attack: a node's failures as a flood
/// Does: names content that a host does not have, and asks nodes for it again and again.
/// Outcome: a node asks once a second at most, and tells everyone else of the failure. What the host answered
/// it does not tell: nobody can have it look around in its own network.
#[test]
fn failures_as_a_flood() {
    let (address, asked) = host("404 Not Found");
    let node = Node::new(address);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        for _ in 0..20 {
            let error = node.fetch().await.unwrap_err();
            assert!(matches!(*error, FetchError::Status { status: 404 }), "{error}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        node.fetch().await.unwrap_err();
        assert_eq!(
            asked.load(Ordering::Relaxed),
            2,
            "the host may have come to itself"
        );
    });
}
