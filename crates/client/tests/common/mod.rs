//! An HTTP server on a real socket that answers as a test's closure says, and values to answer with.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use soma_client::{Account, Journal, NodeClient, NodeOptions};
use soma_types::amount::SHANNONS_PER_SOMA;
use soma_types::api::{
    AccountView, DataView, EpochView, ModelView, Page, Problem, Simulated, Status, SubmissionView, Submitted,
    TransactionView,
};
use soma_types::event::Event;
use soma_types::keys::Keypair;
use soma_types::objects::{
    Commission, CommittedWeights, Difficulty, EpochState, Model, ModelStatus, Pool, Weights,
};
use soma_types::params::{ONE_Q16, Params};
use soma_types::receipt::{Created, Outcome};
use soma_types::transaction::{BasisPoints, TransactionKind};
use soma_types::{
    Address, Architecture, BlockHash, ChainId, ContentHash, Embedding, Epoch, Height, ModelId, Receipt,
    Rejection, Seed, Shannons, SignedTransaction, StateRoot, SubmissionId, TransactionHash,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const CHAIN: ChainId = ChainId([3; 32]);

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

pub fn problem(status: u16, code: Option<u16>, detail: &str) -> Answer {
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

pub fn options() -> NodeOptions {
    NodeOptions {
        retry_window: Duration::from_millis(500),
        timeout: Duration::from_secs(5),
        ..NodeOptions::default()
    }
}

pub fn status(epoch: Epoch, height: Height) -> Status {
    Status {
        network: "test".into(),
        chain: CHAIN,
        version: "0.1.0".into(),
        network_key: "00".into(),
        height,
        block: BlockHash([1; 32]),
        state_root: StateRoot([2; 32]),
        timestamp_ms: 1,
        epoch,
        epoch_first_height: Height(epoch.0 * 80),
        epoch_length_blocks: 80,
        validators: 4,
        network_identity: None,
        mempool_transactions: 0,
        finality_ms: soma_types::api::Percentiles { p50: 1, p95: 2 },
        block_ms: soma_types::api::Percentiles { p50: 1, p95: 2 },
        network_bytes_sent: 0,
        network_bytes_received: 0,
        protocol_version: soma_types::upgrade::ProtocolVersion::FIRST,
        protocol_version_supported: soma_types::upgrade::ProtocolVersion::FIRST,
        upgrade: None,
    }
}

pub fn epoch_view(epoch: Epoch) -> EpochView {
    let state = EpochState {
        epoch,
        first_height: Height(epoch.0 * 80),
        length_blocks: 80,
        protocol_version: soma_types::upgrade::ProtocolVersion::FIRST,
        architecture: Architecture::NANO,
        seed: Seed([5; 32]),
        started_ms: 0,
        fee_multiplier_q16: 2 * ONE_Q16 as u64,
        rent_per_mib_epoch: Shannons(1),
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
        models: 0,
        committee: 4,
        transactions: 0,
        fees: Shannons(0),
        rent: Shannons(0),
        forfeits: Shannons(0),
        audit_rate: BasisPoints::default(),
        auditors: 0,
        unbonding_epochs: 1,
        bond_floor: Shannons::ZERO,
        challenge_seed: None,
    };
    EpochView {
        epoch,
        current: true,
        state,
        record: None,
    }
}

pub fn embedding() -> Embedding {
    Embedding::draw(&Seed([9; 32]), 128)
}

/// What a [`Ledger`] says to a transaction; `None`: it takes effect.
type Judge = Box<dyn Fn(&TransactionKind, &Inner) -> Option<Rejection> + Send>;
/// What becomes of a [`Ledger`]'s answer on its way.
type Hop = Box<dyn FnMut(&Request, Answer) -> Answer + Send>;
/// What a [`Ledger`] says to a transaction before it looks at it.
type Gate = Box<dyn FnMut() -> Option<Answer> + Send>;

/// The little of a ledger that clients see: nonces, receipts, one model, submissions, blobs.
#[derive(Clone)]
pub struct Ledger(pub Arc<Mutex<Inner>>);

pub struct Inner {
    pub epoch: Epoch,
    /// What every account can spend.
    pub balance: Shannons,
    pub nonce: u64,
    /// Taken up and not included, by name.
    pub waiting: Vec<SignedTransaction>,
    pub included: Vec<TransactionView>,
    pub blobs: Vec<Vec<u8>>,
    /// What the owner's host serves as the model's weights.
    pub hosted: Option<Vec<u8>>,
    pub committed: Option<CommittedWeights>,
    pub revealed: Option<Weights>,
    pub judge: Judge,
    pub hop: Hop,
    pub gate: Gate,
    /// Of what a fee is made, in 1/65536.
    pub fee_multiplier_q16: u64,
    /// Whose data is whose.
    pub claims: Vec<DataView>,
    /// Include at once; otherwise transactions wait.
    pub includes: bool,
    /// Paths asked for, in order, with their methods.
    pub log: Vec<String>,
}

pub const MODEL: ModelId = ModelId([7; 32]);

fn receipt(signed: &SignedTransaction, outcome: Outcome) -> Receipt {
    Receipt {
        transaction: signed.hash(),
        sender: signed.transaction.sender.address(),
        height: Height(1),
        index: 0,
        fee: Shannons(1),
        outcome,
        events: Vec::<Event>::new(),
    }
}

impl Ledger {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            epoch: Epoch(4),
            balance: Shannons(SHANNONS_PER_SOMA),
            nonce: 10,
            waiting: Vec::new(),
            included: Vec::new(),
            blobs: Vec::new(),
            hosted: None,
            committed: None,
            revealed: None,
            judge: Box::new(|_, _| None),
            hop: Box::new(|_, answer| answer),
            gate: Box::new(|| None),
            fee_multiplier_q16: 2 * ONE_Q16 as u64,
            claims: Vec::new(),
            includes: true,
            log: Vec::new(),
        })))
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub fn kinds(&self) -> Vec<&'static str> {
        self.with(|inner| {
            inner
                .included
                .iter()
                .map(|view| view.transaction.kind.name())
                .collect()
        })
    }

    pub async fn serve(&self) -> NodeClient {
        let ledger = self.clone();
        let answer = move |request: Request| {
            ledger.with(|inner| {
                let answer = inner.answer(&request);
                (inner.hop)(&request, answer)
            })
        };
        let address = serve(answer).await;
        NodeClient::with_options(&address, options()).unwrap()
    }

    pub async fn account(&self, journal: &std::path::Path) -> Account {
        let keys = Keypair::from_secret_bytes([1; 32]);
        Account::new(self.serve().await, keys, Journal::new(journal)).with_wait(Duration::from_secs(10))
    }
}

impl Inner {
    fn answer(&mut self, request: &Request) -> Answer {
        self.log.push(format!("{} {}", request.method, request.path));
        let path = request.path.split('?').next().unwrap();
        let parts: Vec<_> = path.trim_start_matches("/v1/").split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["status"]) => ok(&status(self.epoch, Height(self.epoch.0 * 80))),
            ("GET", ["params"]) => ok(&Params::local()),
            ("GET", ["epochs", "latest"]) => {
                let mut view = epoch_view(self.epoch);
                view.state.fee_multiplier_q16 = self.fee_multiplier_q16;
                ok(&view)
            }
            ("GET", ["data", hash]) => {
                let hash: ContentHash = hash.parse().unwrap();
                match self.claims.iter().find(|view| view.hash == hash) {
                    Some(view) => ok(view),
                    None => missing(),
                }
            }
            ("GET", ["submissions"]) => ok(&Page::<SubmissionView> {
                items: Vec::new(),
                next: None,
            }),
            ("POST", ["transactions", "simulate"]) => self.simulate(&request.body),
            ("GET", ["accounts", address]) => ok(&AccountView {
                address: address.parse().unwrap(),
                balance: self.balance,
                nonce: self.nonce,
                nonce_pending: self.nonce + self.waiting.len() as u64,
                stakes: vec![],
                unbonding: vec![],
            }),
            ("GET", ["models", _, "weights"]) => match &self.hosted {
                Some(hosted) => Answer::Bytes(hosted.clone()),
                None => missing(),
            },
            ("GET", ["models", _]) => ok(&self.model()),
            ("GET", ["transactions", hash]) => self.transaction(hash.parse().unwrap()),
            ("POST", ["transactions"]) => match (self.gate)() {
                Some(answer) => answer,
                None => self.submit(&request.body),
            },
            ("PUT", ["blobs", hash]) => {
                let found = ContentHash::of(&request.body);
                assert_eq!(found, hash.parse().unwrap());
                self.blobs.push(request.body.clone());
                ok(&soma_types::api::BlobView {
                    hash: found,
                    size_bytes: request.body.len() as u64,
                })
            }
            ("GET", ["blobs", hash]) => {
                let hash: ContentHash = hash.parse().unwrap();
                match self.blobs.iter().find(|blob| ContentHash::of(blob) == hash) {
                    Some(blob) => Answer::Bytes(blob.clone()),
                    None => missing(),
                }
            }
            _ => missing(),
        }
    }

    fn transaction(&self, hash: TransactionHash) -> Answer {
        if let Some(view) = self.included.iter().find(|view| view.hash == hash) {
            return ok(view);
        }
        match self.waiting.iter().find(|waiting| waiting.hash() == hash) {
            Some(waiting) => ok(&TransactionView {
                hash,
                transaction: waiting.transaction.clone(),
                receipt: None,
                timestamp_ms: None,
            }),
            None => missing(),
        }
    }

    fn submit(&mut self, body: &[u8]) -> Answer {
        let signed = SignedTransaction::decode(body).unwrap();
        let hash = signed.hash();
        signed.clone().verify().unwrap();
        let transaction = &signed.transaction;
        assert_eq!(transaction.chain, CHAIN);
        if self.waiting.contains(&signed) {
            return problem(409, None, "waits already");
        }
        let expected = self.nonce + self.waiting.len() as u64;
        let given = transaction.nonce;
        if given < expected {
            return rejected(&Rejection::NonceUsed { given, expected });
        }
        if given > expected {
            return rejected(&Rejection::NonceAhead { given, expected });
        }
        if transaction.expires < self.epoch {
            return rejected(&Rejection::Expired {
                expires: transaction.expires,
                now: self.epoch,
            });
        }
        let params = Params::local();
        let fee = Shannons(2 * (params.fee_base.0 + params.fee_per_byte.0 * body.len() as u64));
        if transaction.max_fee < fee {
            return rejected(&Rejection::FeeAboveLimit {
                fee,
                max_fee: transaction.max_fee,
            });
        }
        self.waiting.push(signed);
        if self.includes {
            self.include();
        }
        Answer::Json(202, serde_json::to_string(&Submitted { hash }).unwrap())
    }

    fn simulate(&self, body: &[u8]) -> Answer {
        let signed = SignedTransaction::decode(body).unwrap();
        let (given, expected) = (signed.transaction.nonce, self.nonce);
        if given > expected {
            return rejected(&Rejection::NonceAhead { given, expected });
        }
        let outcome = match (self.judge)(&signed.transaction.kind, self) {
            Some(rejection) => Outcome::Failed { rejection },
            None => Outcome::Applied { created: None },
        };
        ok(&Simulated {
            receipt: receipt(&signed, outcome),
        })
    }

    /// Includes what waits.
    pub fn include(&mut self) {
        for signed in std::mem::take(&mut self.waiting) {
            self.nonce += 1;
            let hash = signed.hash();
            let kind = &signed.transaction.kind;
            let outcome = match (self.judge)(kind, self) {
                Some(rejection) => Outcome::Failed { rejection },
                None => Outcome::Applied {
                    created: self.apply(kind.clone(), hash),
                },
            };
            let receipt = receipt(&signed, outcome);
            self.included.push(TransactionView {
                hash,
                transaction: signed.transaction,
                receipt: Some(receipt),
                timestamp_ms: Some(1),
            });
        }
    }

    fn apply(&mut self, kind: TransactionKind, hash: TransactionHash) -> Option<Created> {
        match kind {
            TransactionKind::CreateModel { .. } => Some(Created::Model(ModelId(hash.0))),
            TransactionKind::CommitSubmission { .. } => Some(Created::Submission(SubmissionId(hash.0))),
            TransactionKind::CommitModel {
                url,
                size_bytes,
                hash,
                ..
            } => {
                let epoch = self.epoch;
                self.committed = Some(CommittedWeights {
                    url,
                    size_bytes,
                    hash,
                    epoch,
                    architecture: Architecture::NANO,
                    sequence: 0,
                });
                None
            }
            TransactionKind::RevealModel { key, .. } => {
                let committed = self.committed.take().unwrap();
                self.revealed = Some(Weights {
                    committed,
                    key,
                    active_from: self.epoch.next(),
                });
                None
            }
            _ => None,
        }
    }

    pub fn model(&self) -> ModelView {
        ModelView {
            model: Model {
                id: MODEL,
                index: 0,
                owner: Address([1; 32]),
                commission: Commission::new(BasisPoints::default(), Epoch(0)),
                architecture: Architecture::NANO,
                created: Epoch(0),
                status: ModelStatus::Created,
                retiring: None,
                weights: None,
                previous: None,
                revealed: self.revealed.clone(),
                committed: self.committed.clone(),
                hits: 0,
                hits_total: 0,
                rewards_total: Shannons(0),
            },
            pool: Pool::default(),
            embedding: None,
        }
    }
}
