//! The vocabulary of SOMA: amounts, time, ids, embeddings, transactions, receipts and stored objects,
//! with one canonical codec (borsh) and one JSON form. No I/O.
//!
//! Types carry proofs: a value that exists has passed its checks, wherever it came from.
//!
//! ```
//! use soma_types::{Epoch, Shannons, amount::AmountError};
//!
//! let amount: Shannons = "1.5".parse()?;
//! assert_eq!((amount.0, amount.to_string()), (1_500_000_000, "1.5".to_owned()));
//! assert_eq!(Epoch(4).next(), Epoch(5));
//! # Ok::<(), AmountError>(())
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
pub mod objects;
pub mod params;
pub mod phase;
pub mod receipt;
pub mod rejection;
pub mod secrecy;
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
