//! Everything that can go wrong between this machine and the ledger.
//!
//! What the ledger says no to has a code ([`ClientError::rejection_code`]), whether the node said so
//! beforehand, a rehearsal showed it, or a receipt did.

use std::time::Duration;

use soma_blobs::{ContainerError, Mismatch, http::HttpError};
use soma_files::{FileError, LockError};
use soma_types::{
    Address, ChainId, ContentHash, Epoch, Height, ModelId, Receipt, Rejection, RejectionCode, Shannons,
    SubmissionId, TransactionHash, api::Problem, text::excerpt,
};

use crate::{sse::MessageTooLong, wallet::WalletError};

/// Most of a node's own words that a message repeats, in characters.
const NODE_WORDS_CHARACTERS_MAX: usize = 600;

/// Why a request, a transaction or a flow did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The node's address is none.
    #[error("'{text}' is not a node's address: {reason}")]
    BadUrl {
        /// What was given, without user name and password.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No HTTP client could be built.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No connection: nothing was asked.
    #[error("the node at {node} cannot be reached: {reason}")]
    Unreachable {
        /// The node's address.
        node: String,
        /// The transport's words.
        reason: String,
    },
    /// A connection that broke before the whole answer came. What was asked may have been done.
    #[error("the connection to the node at {node} broke before it had answered: {reason}")]
    Broken {
        /// The node's address.
        node: String,
        /// The transport's words.
        reason: String,
    },
    /// Something between here and the node answered in its place. What was asked may have been done.
    #[error(
        "{request} got no answer from the node, but '{status}' from something before it{}",
        said(text)
    )]
    Hop {
        /// Method and path.
        request: String,
        /// The HTTP status in words.
        status: String,
        /// What it said besides.
        text: String,
    },
    /// The node did not answer in time. What was asked may have been done.
    #[error("the node at {node} did not answer within {} s", timeout.as_secs_f32())]
    TimedOut {
        /// The node's address.
        node: String,
        /// The limit.
        timeout: Duration,
    },
    /// The node said no.
    #[error("{}", excerpt(&.0.detail, NODE_WORDS_CHARACTERS_MAX))]
    Problem(Box<Problem>),
    /// The node's answer is longer than this client accepts.
    #[error("the node's answer to {request} is longer than {limit_bytes} bytes")]
    AnswerTooLarge {
        /// Method and path.
        request: String,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The node's answer is not what its interface promises.
    #[error(
        "the node's answer to {request} makes no sense: {}",
        excerpt(reason, NODE_WORDS_CHARACTERS_MAX)
    )]
    BadAnswer {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The node is on another network than the one that was asked for.
    #[error("the node is on chain {found}, not on {expected}: nothing was signed")]
    OtherChain {
        /// Asked for.
        expected: ChainId,
        /// The node's.
        found: ChainId,
    },
    /// The node's state is too old to sign by.
    #[error("the last block of {node}, {height}, is {} s old: nothing was signed", age.as_secs())]
    Behind {
        /// The node.
        node: String,
        /// Its last block.
        height: Height,
        /// How old that is, by the clock here.
        age: Duration,
    },
    /// The bytes are not those that were asked for.
    #[error("the bytes hash to {found}, not to {expected}")]
    WrongHash {
        /// Asked for.
        expected: ContentHash,
        /// What they are.
        found: ContentHash,
    },
    /// What has the hash that was asked for is of another size: what named both contradicts itself.
    #[error("the bytes named {hash} are {found_bytes}, not {expected_bytes}")]
    WrongSize {
        /// The hash.
        hash: ContentHash,
        /// The size asked for.
        expected_bytes: u64,
        /// Their number.
        found_bytes: u64,
    },
    /// The transaction was included and failed: it paid its fee and changed nothing.
    #[error("{rejection}")]
    Failed {
        /// The ledger's reason.
        rejection: Rejection,
        /// Its receipt.
        receipt: Box<Receipt>,
    },
    /// The transaction would have failed, so it was not sent: nothing was paid.
    #[error("{rejection}")]
    WouldFail {
        /// The ledger's reason.
        rejection: Rejection,
    },
    /// The fee is more than it may cost, so it was not sent.
    #[error(
        "the fee is {fee} SOMA now, more than the {limit} SOMA that a transaction may cost here; nothing was sent"
    )]
    FeeTooHigh {
        /// By the node's word.
        fee: Shannons,
        /// What was allowed.
        limit: Shannons,
    },
    /// Another process sends from the account, and did not finish.
    #[error("another process has been sending from {address} for {} s; nothing was sent", waited.as_secs())]
    Busy {
        /// The account.
        address: Address,
        /// How long was waited for a turn.
        waited: Duration,
    },
    /// The ledger would say no to what has to follow, so it was not begun.
    #[error("{rejection}")]
    Unaffordable {
        /// The ledger's reason.
        rejection: Rejection,
    },
    /// The transaction could not be included before it expired.
    #[error("transaction {hash} was not included by the end of epoch {expires}, and now never will be")]
    Expired {
        /// The transaction.
        hash: TransactionHash,
        /// Its last epoch.
        expires: Epoch,
    },
    /// The transaction was handed in, or may have been, and then answers were lost: it may still happen.
    #[error("transaction {hash} may still happen, until epoch {expires} ends: {cause}")]
    OutcomeUnknown {
        /// The transaction.
        hash: TransactionHash,
        /// Its last epoch.
        expires: Epoch,
        /// The last that was heard.
        #[source]
        cause: Box<ClientError>,
    },
    /// The wait was given up; the transaction may still be included.
    #[error("transaction {hash} is still waiting after {} s, and may still happen until epoch {expires} ends", waited.as_secs())]
    StillWaiting {
        /// The transaction.
        hash: TransactionHash,
        /// Its last epoch.
        expires: Epoch,
        /// How long was waited.
        waited: Duration,
    },
    /// The data is someone's already: a commit to it would cost its deposit.
    #[error("the data {hash} is not new: {}", whose(submission.as_ref()))]
    DataKnown {
        /// BLAKE3 of the data.
        hash: ContentHash,
        /// Whose it is; none where this account has submitted it, and that is not over.
        submission: Option<SubmissionId>,
    },
    /// Something else did not happen in time.
    #[error("{what} did not happen within {} s", waited.as_secs())]
    GaveUp {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// The model has nothing to fetch or reveal.
    #[error("model {model} has no {what}")]
    ModelLacks {
        /// The model.
        model: ModelId,
        /// What it lacks.
        what: &'static str,
    },
    /// The secrets of a commitment are not on this machine.
    #[error("the key of model {model}'s committed weights ({hash}) is not on this machine")]
    SecretMissing {
        /// The model.
        model: ModelId,
        /// The committed hash.
        hash: ContentHash,
    },
    /// Encrypted weights could not be made or opened.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The account's folder could not be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file of the wallet's folder could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder of wallets did not do as asked.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The node's event stream is malformed.
    #[error(transparent)]
    Event(#[from] MessageTooLong),
    /// The operating system gave no random bytes.
    #[error("no randomness from the operating system: {0}")]
    Randomness(getrandom::Error),
    /// A value given by the caller is out of its bounds.
    #[error("{0}")]
    Argument(String),
}

impl From<Mismatch> for ClientError {
    fn from(mismatch: Mismatch) -> Self {
        match mismatch {
            Mismatch::Hash { expected, found } => Self::WrongHash { expected, found },
            Mismatch::Size {
                hash,
                expected_bytes,
                found_bytes,
            } => Self::WrongSize {
                hash,
                expected_bytes,
                found_bytes,
            },
        }
    }
}

impl ClientError {
    /// The ledger's stable rejection code, if the ledger said no.
    pub fn rejection_code(&self) -> Option<RejectionCode> {
        match self {
            Self::Problem(problem) => problem.code,
            Self::Failed { rejection, .. }
            | Self::WouldFail { rejection }
            | Self::Unaffordable { rejection } => Some(rejection.code()),
            _ => None,
        }
    }

    /// The stable name of the ledger's rejection, if the ledger said no.
    pub fn rejection_name(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => problem.name.as_deref(),
            Self::Failed { rejection, .. }
            | Self::WouldFail { rejection }
            | Self::Unaffordable { rejection } => Some(rejection.name()),
            _ => None,
        }
    }

    /// Whether the node said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.status == 404)
    }

    /// Whether the node's operator has taken down what was asked for.
    pub fn is_withdrawn(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.status == 451)
    }

    /// Whether content that was asked for cannot be had here, however often it is asked for: it is gone or
    /// taken down, its owner's host does not serve it, or what came is something else.
    pub fn is_of_content(&self) -> bool {
        match self {
            Self::WrongHash { .. } | Self::WrongSize { .. } => true,
            Self::Problem(problem) => problem.code.is_none() && matches!(problem.status, 404 | 451 | 502),
            _ => false,
        }
    }

    /// Whether the node has this transaction, or another with its nonce.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.status == 409 || problem.code == Some(RejectionCode::NonceUsed))
    }

    /// Whether what was asked may have been done although no good answer came.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Broken { .. }
            | Self::Hop { .. }
            | Self::TimedOut { .. }
            | Self::AnswerTooLarge { .. }
            | Self::BadAnswer { .. } => true,
            // By 503 a node says that it is full or has not begun.
            Self::Problem(problem) => problem.status >= 500 && problem.status != 503,
            _ => false,
        }
    }

    /// Whether the same may do better a moment later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Hop { .. } | Self::Behind { .. } => true,
            Self::Problem(problem) => {
                problem.code.is_none() && matches!(problem.status, 429 | 502 | 503 | 504)
            }
            _ => false,
        }
    }

    /// Whether a transaction may still happen ([`ClientError::transaction`] names it).
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. } | Self::StillWaiting { .. })
    }

    /// The transaction that this is about.
    pub fn transaction(&self) -> Option<TransactionHash> {
        match self {
            Self::OutcomeUnknown { hash, .. }
            | Self::StillWaiting { hash, .. }
            | Self::Expired { hash, .. } => Some(*hash),
            Self::Failed { receipt, .. } => Some(receipt.transaction),
            _ => None,
        }
    }

    /// The receipt of the transaction that was included and failed.
    pub fn receipt(&self) -> Option<&Receipt> {
        match self {
            Self::Failed { receipt, .. } => Some(receipt),
            _ => None,
        }
    }
}

/// An answer that an honest node does not give.
pub(crate) fn unexpected(missing: &str) -> ClientError {
    ClientError::BadAnswer {
        request: "a transaction that took effect".to_owned(),
        reason: format!("{missing} is missing"),
    }
}

/// What else was said, after a colon.
fn said(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

fn whose(submission: Option<&SubmissionId>) -> String {
    match submission {
        Some(submission) => format!("it belongs to submission {submission}"),
        None => "this account has submitted it, and that is not over".to_owned(),
    }
}
