//! What participants ask of the ledger (docs/protocol.md, section 3).
//!
//! A [`Transaction`] is signed over its canonical encoding under
//! [`TRANSACTION_NAMESPACE`](crate::keys::TRANSACTION_NAMESPACE); a [`VerifiedTransaction`] is the proof that
//! the signature was checked, and carries the bytes. Bytes that decode are the one encoding of what they
//! decode to, so they are never made a second time. Kinds are only ever appended: the position of a variant
//! is its code on the wire.

mod kind;
mod pool;
mod reveal;
mod signed;
#[cfg(test)]
mod tests;
mod verdict;

use crate::{bounded::URL_MAX_BYTES, embedding::MAX_EMBEDDING_DIM, params::MODELS_PER_TARGET_MAX};

pub use self::{
    kind::{PAYMENTS_MAX, Payment, TransactionKind, VALIDATOR_KEY_NAMESPACE, validator_key_message},
    pool::{PoolId, Withdrawal},
    reveal::SubmissionReveal,
    signed::{SignedTransaction, Transaction, VerifiedTransaction},
    verdict::{ModelFault, Verdict},
};
pub use crate::basis_points::{BASIS_POINTS_ONE, BasisPoints, BasisPointsError};

/// The longest signed encoding. An embedding of the largest dimension takes half of it.
pub const TRANSACTION_BYTES_MAX: usize = 32 * 1024;
/// The longest reveal fits: embedding, losses, URL, and half a KiB for all the rest.
const _: () = assert!(
    2 * MAX_EMBEDDING_DIM + 8 * MODELS_PER_TARGET_MAX + URL_MAX_BYTES + 512 <= TRANSACTION_BYTES_MAX,
    "a reveal with the largest embedding must fit into a transaction"
);
/// So does the longest transfer.
const _: () = assert!(
    40 * PAYMENTS_MAX + 512 <= TRANSACTION_BYTES_MAX,
    "a full transfer must fit"
);
