//! Everything that can go wrong between this machine and the ledger, and what to do about it.

use std::time::Duration;

use soma_blobs::ContainerError;
use soma_blobs::http::HttpError;
use soma_files::FileError;
use soma_types::api::Problem;
use soma_types::rejection::Rejection;
use soma_types::{ContentHash, Epoch, ModelId, Receipt, TransactionHash};

use crate::sse::MessageTooLong;

/// Why a request, a transaction or a flow did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The node's address is none.
    #[error("'{text}' is not a node's address: {reason}")]
    BadUrl {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No HTTP client could be built.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No connection, or one that broke.
    #[error("the node at {node} cannot be reached: {reason}")]
    Unreachable {
        /// The node's address.
        node: String,
        /// The transport's words.
        reason: String,
    },
    /// The node did not answer in time.
    #[error("the node at {node} did not answer within {} s", timeout.as_secs_f32())]
    TimedOut {
        /// The node's address.
        node: String,
        /// The limit.
        timeout: Duration,
    },
    /// The node said no.
    #[error("{}", .0.detail)]
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
    #[error("the node's answer to {request} makes no sense: {reason}")]
    BadAnswer {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The bytes are not those that were asked for.
    #[error("the bytes hash to {found}, not to {expected}")]
    WrongHash {
        /// Asked for.
        expected: ContentHash,
        /// Received.
        found: ContentHash,
    },
    /// The transaction was included and failed: it paid its fee and changed nothing.
    #[error("{rejection}")]
    Failed {
        /// Why.
        rejection: Rejection,
        /// Its receipt.
        receipt: Box<Receipt>,
    },
    /// The ledger would say no to what has to follow, so it was not begun.
    #[error("{rejection}")]
    Unaffordable {
        /// Why.
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
    /// The wait was given up; the transaction may still be included.
    #[error("transaction {hash} is still waiting after {} s", waited.as_secs())]
    StillWaiting {
        /// The transaction.
        hash: TransactionHash,
        /// How long was waited.
        waited: Duration,
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
    /// A file of the wallet's folder could not be used.
    #[error(transparent)]
    File(#[from] FileError),
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

impl ClientError {
    /// The ledger's stable rejection code, if the ledger said no.
    pub fn rejection_code(&self) -> Option<u16> {
        match self {
            Self::Problem(problem) => problem.code,
            Self::Failed { rejection, .. } | Self::Unaffordable { rejection } => Some(rejection.code()),
            _ => None,
        }
    }

    /// The stable name of the ledger's rejection, if the ledger said no.
    pub fn rejection_name(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => problem.name.as_deref(),
            Self::Failed { rejection, .. } | Self::Unaffordable { rejection } => Some(rejection.name()),
            _ => None,
        }
    }

    /// Whether the node said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.status == 404)
    }

    /// Whether the node has this transaction, or another with its nonce.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.status == 409 || problem.code == Some(104))
    }

    /// What the user can do, where the message alone does not say.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadUrl { .. } => "give --network local, or a URL such as http://127.0.0.1:9000",
            Self::Unreachable { .. } => {
                "is the node running? `soma localnet` starts a local network; --network names another"
            }
            Self::TimedOut { .. } => "the node may be overloaded or stuck: `soma status` shows its height",
            Self::Problem(problem) => match problem.code {
                Some(104 | 105) => "another program may be sending from this account; try again",
                Some(108 | 200) => "`soma balance` shows the balance; on a localnet, `soma faucet` fills it",
                None if problem.status == 429 || problem.status == 503 => "wait a moment and try again",
                None if problem.status == 404 => "check the id, and that --network names the right network",
                _ => return None,
            },
            Self::AnswerTooLarge { .. } | Self::BadAnswer { .. } | Self::Event(_) => {
                "the node may run another version, or be no SOMA node: compare `soma status` and `soma --version`"
            }
            Self::WrongHash { .. } => "the host sent other bytes; try another node",
            Self::Failed { .. } => return None,
            Self::Unaffordable { .. } => {
                "`soma balance` shows the balance; on a localnet, `soma faucet` fills it. Bonds come back two epochs later"
            }
            Self::Expired { .. } => "send it again",
            Self::StillWaiting { .. } => "the network may be slow or stuck: `soma status` shows its height",
            Self::SecretMissing { .. } => {
                "reveal from the machine and wallet folder that committed, or commit again in the next epoch"
            }
            _ => return None,
        })
    }
}
