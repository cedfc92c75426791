//! The vocabulary of SOMA: amounts, time, ids, embeddings, transactions, receipts and stored objects,
//! with one canonical codec (borsh) and one JSON form. No I/O.
//!
//! Types carry proofs: a value that exists has passed its checks, wherever it came from.
//!
//! ```
//! use soma_types::{ChainId, Epoch, Keypair, SignedTransaction, Transaction, TransactionKind};
//!
//! let keys = Keypair::from_secret_bytes([1; 32]);
//! let transaction = Transaction {
//!     chain: ChainId([2; 32]),
//!     sender: keys.public_key(),
//!     nonce: 0,
//!     expires: Epoch(7),
//!     max_fee: "0.0001".parse()?,
//!     kind: TransactionKind::AddStake {
//!         pool: format!("validator:{}", keys.address()).parse()?,
//!         amount: "12.5".parse()?,
//!     },
//! };
//! let bytes = transaction.sign(&keys).encode();
//! // What is received becomes a `VerifiedTransaction`, or is refused with a reason.
//! let verified = SignedTransaction::decode(&bytes)?.verify()?;
//! assert_eq!(verified.sender(), keys.address());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod amount;
pub mod api;
pub mod architecture;
pub mod basis_points;
pub mod bounded;
pub mod embedding;
pub mod equivocation;
pub mod event;
pub mod genesis;
pub mod hash;
pub mod id;
pub mod keys;
pub mod list;
pub mod losses;
pub mod objects;
pub mod params;
pub mod phase;
pub mod provenance;
pub mod receipt;
pub mod rejection;
#[cfg(any(test, feature = "test-support"))]
pub mod samples;
#[cfg(feature = "openapi")]
pub mod schema;
pub mod secrecy;
#[cfg(feature = "test-support")]
pub mod tally;
pub mod text;
pub mod time;
pub mod transaction;
pub mod upgrade;

pub use amount::Shannons;
pub use architecture::Architecture;
pub use bounded::Url;
pub use embedding::Embedding;
pub use id::{
    Address, BlockHash, ChainId, Commitment, ContentHash, DecryptionKey, ModelId, Salt, Seed, StateRoot,
    SubmissionId, TargetId, TransactionHash, Transcript,
};
pub use keys::{Keypair, PublicKey, Signature};
pub use receipt::Receipt;
pub use rejection::{Rejection, RejectionCode};
pub use time::{Epoch, Height};
pub use transaction::{SignedTransaction, Transaction, TransactionKind, VerifiedTransaction};
