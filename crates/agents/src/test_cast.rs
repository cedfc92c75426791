//! Small random models, scored for real: scores cannot be made up, not even in tests. And a node that keeps
//! them.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use soma_blobs::{FetchPolicy, encrypt};
use soma_client::NodeClient;
use soma_model::{Contest, Directions, Model, Scorer};
use soma_types::{
    Architecture, ContentHash, Embedding, Epoch, Height, ModelId, Seed, Shannons, TargetId,
    api::TargetView,
    basis_points::BasisPoints,
    objects::{CommittedWeights, Difficulty, EpochState, Target, TargetStatus, Weights},
    upgrade::PROTOCOL_VERSION,
};

use crate::{Downloader, Experts};

/// Small enough to score in milliseconds.
pub const ARCHITECTURE: Architecture = Architecture {
    embedding_dim: 32,
    heads: 2,
    layers: 1,
    ffn_dim: 64,
    max_seq_len: 32,
    rope_wavelength: 10_000,
};

/// The data that was scored.
pub const DATA: &[u8] = b"Each round each of them looks for what the others do not know yet.";

/// Names for the models, in their order.
pub const MODELS: [ModelId; 3] = [ModelId([1; 32]), ModelId([2; 32]), ModelId([3; 32])];

/// The models.
pub fn models() -> &'static [Model; 3] {
    static MODELS: OnceLock<[Model; 3]> = OnceLock::new();
    MODELS.get_or_init(|| [0, 1, 2].map(|seed| Model::random(&ARCHITECTURE, seed)))
}

/// [`DATA`] scored with three random models.
pub fn contest() -> &'static Contest {
    static CONTEST: OnceLock<Contest> = OnceLock::new();
    CONTEST.get_or_init(|| {
        let directions = Directions::draw(&Seed([9; 32]), &ARCHITECTURE);
        let scorer = Scorer::new().expect("this machine scores exactly");
        scorer
            .score_all(&models().each_ref(), DATA, &directions)
            .expect("random models score")
    })
}

/// An open target of all [`MODELS`].
pub fn target(number: u8, threshold_q30: i64) -> TargetView {
    let seed = Seed([number; 32]);
    let target = Target {
        id: TargetId([number; 32]),
        epoch: Epoch(2),
        index: u64::from(number),
        slot: 0,
        seed,
        threshold_q30,
        models: MODELS.to_vec(),
        opened: Height(7),
        status: TargetStatus::Open,
        candidates: Vec::new(),
    };
    TargetView {
        target,
        embedding: Embedding::draw(&seed, ARCHITECTURE.embedding_dim as usize),
        commit_threshold_q30: threshold_q30,
        current: true,
    }
}

/// An epoch in progress.
pub fn epoch(number: u64) -> EpochState {
    EpochState {
        epoch: Epoch(number),
        first_height: Height(100),
        length_blocks: 80,
        protocol_version: PROTOCOL_VERSION,
        architecture: ARCHITECTURE,
        seed: Seed([9; 32]),
        started_ms: 0,
        fee_multiplier_q16: 1 << 16,
        rent_per_mib_epoch: Shannons::ZERO,
        audit_rate: BasisPoints::default(),
        auditors: 0,
        unbonding_epochs: 1,
        bond_floor: Shannons::ZERO,
        challenge_seed: None,
        difficulty: Difficulty {
            z_q16: 0,
            mean_hits_q16: 0,
            window: 0,
            window_hits: 0,
        },
        targets_opened: 0,
        submissions_committed: 0,
        submissions_revealed: 0,
        hits: 0,
        models: 1,
        committee: 4,
        transactions: 0,
        fees: Shannons::ZERO,
        rent: Shannons::ZERO,
        forfeits: Shannons::ZERO,
    }
}

/// A file as its owner has committed and revealed it, on [`ARCHITECTURE`], encrypted.
pub fn published(file: &[u8]) -> (Weights, Vec<u8>) {
    let (container, key) = encrypt(file).expect("the system has randomness");
    let hash = ContentHash::of(&container);
    let weights = Weights {
        committed: CommittedWeights {
            url: format!("soma:{hash}").parse().expect("short and ASCII"),
            size_bytes: container.len() as u64,
            hash,
            epoch: Epoch(1),
            architecture: ARCHITECTURE,
            sequence: 0,
            embedding: None,
        },
        key: (&key).into(),
        active_from: Epoch(2),
    };
    (weights, container)
}

/// A node's content store over HTTP: what it keeps, and how often it was asked.
pub struct Store {
    pub node: NodeClient,
    pub asked: Arc<AtomicUsize>,
}

impl Store {
    /// One that keeps `blobs`.
    pub fn keeping(blobs: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(AtomicUsize::new(0));
        let (blobs, count) = (Arc::new(blobs), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let blobs = Arc::clone(&blobs);
                thread::spawn(move || answer(stream, &blobs));
            }
        });
        let node = NodeClient::new(&format!("http://{address}"));
        Self {
            node: node.expect("a plain address"),
            asked,
        }
    }

    /// What loads models from it.
    pub fn experts(&self) -> Experts {
        let policy = FetchPolicy {
            private_addresses: true,
            ..FetchPolicy::default()
        };
        Experts::new(Downloader::new(self.node.clone(), policy).expect("this machine has TLS"))
    }
}

fn answer(mut stream: TcpStream, blobs: &[Vec<u8>]) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    while lines.next().is_some_and(|line| !line.is_empty()) {}
    let named = |blob: &&Vec<u8>| first.contains(&format!("/v1/blobs/{} ", ContentHash::of(blob)));
    let (status, body) = match blobs.iter().find(named) {
        Some(blob) => ("200 OK", &blob[..]),
        None => ("404 Not Found", &b"no such thing"[..]),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    // The client may have hung up.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body));
}
