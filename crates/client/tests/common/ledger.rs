//! The little of a ledger that clients see, behind a [`serve`]d interface.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use soma_client::{Account, Journal, NodeClient};
use soma_types::{
    Address, Architecture, ContentHash, Epoch, Height, Keypair, ModelId, Receipt, Rejection, Shannons,
    SignedTransaction, SubmissionId, Transaction, TransactionHash,
    amount::SHANNONS_PER_SOMA,
    api::{AccountView, DataView, ModelView, Page, Simulated, SubmissionView, Submitted, TransactionView},
    event::Event,
    objects::{
        Commission, CommittedWeights, Model, ModelStatus, Pool, Submission, SubmissionStatus, Weights,
    },
    params::{ONE_Q16, Params},
    receipt::{Created, Outcome},
    transaction::{BasisPoints, TransactionKind},
};

use super::{Answer, CHAIN, Request, epoch_view, missing, ok, options, problem, rejected, serve, status};

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
    /// How submissions stand that are revealed.
    pub race: SubmissionStatus,
    /// Include at once; otherwise transactions wait.
    pub includes: bool,
    /// Paths asked for, in order, with their methods.
    pub log: Vec<String>,
}

/// Whose account it is.
const SECRET: [u8; 32] = [1; 32];
/// The model that every ledger has.
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
            race: SubmissionStatus::Won,
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
        let keys = Keypair::from_secret_bytes(SECRET);
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
            ("GET", ["submissions"]) => {
                let commits = self.included.iter().map(|view| SubmissionId(view.hash.0));
                ok(&Page {
                    items: commits.filter_map(|id| self.submission(id)).collect(),
                    next: None,
                })
            }
            ("GET", ["submissions", id]) => match self.submission(id.parse().unwrap()) {
                Some(view) => ok(&view),
                None => missing(),
            },
            ("POST", ["transactions", "simulate"]) => self.simulate(&request.body),
            ("GET", ["accounts", _, "transactions"]) => ok(&Page {
                items: self.included.iter().rev().cloned().collect(),
                next: None,
            }),
            ("GET", ["accounts", address]) => ok(&AccountView {
                address: address.parse().unwrap(),
                balance: self.balance,
                nonce: self.nonce,
                nonce_pending: self.nonce + self.waiting.len() as u64,
                stakes: vec![],
                unbonding: vec![],
            }),
            // None competes, and so no target is open.
            ("GET", ["models" | "targets"]) => ok(&Page::<ModelView> {
                items: Vec::new(),
                next: None,
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

    fn submission(&self, id: SubmissionId) -> Option<SubmissionView> {
        let applied = |view: &&TransactionView| view.receipt.as_ref().is_some_and(Receipt::applied);
        let mut revealed = false;
        for view in self.included.iter().filter(applied).rev() {
            match &view.transaction.kind {
                TransactionKind::RevealSubmission { submission, .. } => revealed |= *submission == id,
                TransactionKind::CommitSubmission { target, commitment } if view.hash.0 == id.0 => {
                    let status = match revealed {
                        true => self.race,
                        false => SubmissionStatus::Committed,
                    };
                    let submission = Submission {
                        id,
                        target: *target,
                        submitter: view.transaction.sender.address(),
                        commitment: *commitment,
                        committed: Height(1),
                        sequence: 0,
                        threshold_q30: 0,
                        deposit: Shannons(0),
                        bond: Shannons(0),
                        status,
                        found: None,
                        challenge: None,
                    };
                    return Some(SubmissionView {
                        submission,
                        embedding: None,
                        audit_stage: None,
                        auditors: Vec::new(),
                        audits: Vec::new(),
                        audit_outcome: None,
                    });
                }
                _ => {}
            }
        }
        None
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

    /// Includes another transaction of the account, from another machine, in place of what waits.
    pub fn include_another(&mut self) {
        let keys = Keypair::from_secret_bytes(SECRET);
        let another = Transaction {
            chain: CHAIN,
            sender: keys.public_key(),
            nonce: self.nonce,
            expires: self.epoch,
            max_fee: Shannons(1),
            kind: TransactionKind::LeaveValidator,
        };
        self.waiting = vec![another.sign(&keys)];
        self.include();
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
                embedding,
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
                    embedding,
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
                reports: Vec::new(),
                faulted: None,
                hits: 0,
                hits_total: 0,
                rewards_total: Shannons(0),
            },
            pool: Pool::default(),
            embedding: None,
        }
    }
}
