//! A transaction on its way: asked, signed, verified.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{TRANSACTION_BYTES_MAX, TransactionKind};
use crate::{
    Address, ChainId, Epoch, Keypair, ModelId, PublicKey, Shannons, Signature, SubmissionId, TransactionHash,
    hash::domain_hash,
    keys::{self, TRANSACTION_NAMESPACE},
    rejection::Rejection,
};

/// A request to the ledger, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Transaction {
    /// The network it is for.
    pub chain: ChainId,
    /// Who asks and pays the fee.
    pub sender: PublicKey,
    /// The number of transactions this sender has had included before.
    pub nonce: u64,
    /// The last epoch in which it may be included.
    pub expires: Epoch,
    /// The most the sender is willing to pay as a fee.
    pub max_fee: Shannons,
    /// What it does.
    #[cfg_attr(
        feature = "test-support",
        borsh(
            serialize_with = "crate::tally::encode",
            deserialize_with = "crate::tally::decode"
        )
    )]
    pub kind: TransactionKind,
}

impl Transaction {
    /// Signs it.
    ///
    /// # Panics
    /// Never: encoding to memory does not fail.
    #[must_use]
    pub fn sign(self, keys: &Keypair) -> SignedTransaction {
        let message = borsh::to_vec(&self).expect("encoding to memory does not fail");
        SignedTransaction {
            signature: keys.sign(TRANSACTION_NAMESPACE, &message),
            transaction: self,
        }
    }
}

/// A transaction as it travels.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedTransaction {
    /// What is asked.
    pub transaction: Transaction,
    /// The sender's signature over its encoding.
    pub signature: Signature,
}

impl SignedTransaction {
    /// Decodes bytes from outside.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`] or [`Rejection::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Rejection> {
        check_size(bytes)?;
        borsh::from_slice(bytes).map_err(|_| Rejection::Malformed {})
    }

    /// [`Self::decode`], meant for network `chain`.
    fn decode_for(chain: &ChainId, bytes: &[u8]) -> Result<Self, Rejection> {
        let signed = Self::decode(bytes)?;
        if signed.transaction.chain != *chain {
            return Err(Rejection::WrongChain {
                given: signed.transaction.chain,
                expected: *chain,
            });
        }
        Ok(signed)
    }

    /// Whose signature of what this is: of all of its encoding but the signature.
    fn signed_by<'a>(&'a self, encoded: &'a [u8]) -> (&'a PublicKey, &'a [u8], &'a Signature) {
        let message = &encoded[..encoded.len() - self.signature.0.len()];
        (&self.transaction.sender, message, &self.signature)
    }

    /// The canonical encoding.
    ///
    /// # Panics
    /// Never: encoding to memory does not fail.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("encoding to memory does not fail")
    }

    /// Its name.
    #[must_use]
    pub fn hash(&self) -> TransactionHash {
        TransactionHash::of(&self.encode())
    }

    /// Checks size and signature.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`] or [`Rejection::BadSignature`].
    pub fn verify(self) -> Result<VerifiedTransaction, Rejection> {
        let encoded = Bytes::from(self.encode());
        check_size(&encoded)?;
        VerifiedTransaction::check(self, encoded)
    }
}

impl TransactionHash {
    /// The name of the transaction with this signed encoding: its domain-separated hash.
    #[must_use]
    pub fn of(encoded: &[u8]) -> Self {
        Self(domain_hash("soma 2026 transaction hash", &[encoded]))
    }
}

fn check_size(encoded: &[u8]) -> Result<(), Rejection> {
    if encoded.len() > TRANSACTION_BYTES_MAX {
        return Err(Rejection::TooLarge {
            size_bytes: encoded.len() as u64,
            limit_bytes: TRANSACTION_BYTES_MAX as u64,
        });
    }
    Ok(())
}

/// A transaction whose signature has been checked, with its bytes and what was computed on the way. Clones
/// share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedTransaction(Arc<Verified>);

#[derive(Debug, PartialEq, Eq)]
struct Verified {
    signed: SignedTransaction,
    encoded: Bytes,
    hash: TransactionHash,
    sender: Address,
}

impl VerifiedTransaction {
    /// Checks bytes from outside: their size, their form, that they are meant for network `chain`, and the
    /// signature.
    ///
    /// # Errors
    /// The first check that fails: [`Rejection::TooLarge`], [`Rejection::Malformed`],
    /// [`Rejection::WrongChain`] or [`Rejection::BadSignature`].
    pub fn decode(encoded: Bytes, chain: &ChainId) -> Result<Self, Rejection> {
        let signed = SignedTransaction::decode_for(chain, &encoded)?;
        Self::check(signed, encoded)
    }

    /// [`Self::decode`] of each of `encoded`, with the signatures checked together: of some dozens it takes
    /// half of the time, unless one is wrong.
    pub fn decode_all(encoded: Vec<Bytes>, chain: &ChainId) -> Vec<Result<Self, Rejection>> {
        let decoded: Vec<_> = encoded
            .into_iter()
            .map(|encoded| Ok((SignedTransaction::decode_for(chain, &encoded)?, encoded)))
            .collect();
        let signed: Vec<_> = decoded
            .iter()
            .flatten()
            .map(|(signed, encoded)| signed.signed_by(encoded))
            .collect();
        let all_verify = keys::verify_all(TRANSACTION_NAMESPACE, &signed);
        #[cfg(feature = "test-support")]
        if all_verify {
            signed.iter().for_each(|_| crate::tally::CHECKED.count());
        }
        decoded
            .into_iter()
            .map(|decoded| {
                let (signed, encoded) = decoded?;
                if all_verify {
                    Ok(Self::known(signed, encoded))
                } else {
                    Self::check(signed, encoded)
                }
            })
            .collect()
    }

    /// Checks the signature of `signed`, whose encoding is `encoded`.
    fn check(signed: SignedTransaction, encoded: Bytes) -> Result<Self, Rejection> {
        #[cfg(feature = "test-support")]
        crate::tally::CHECKED.count();
        let (key, message, signature) = signed.signed_by(&encoded);
        if key.verify(TRANSACTION_NAMESPACE, message, signature) {
            Ok(Self::known(signed, encoded))
        } else {
            Err(Rejection::BadSignature {})
        }
    }

    fn known(signed: SignedTransaction, encoded: Bytes) -> Self {
        Self(Arc::new(Verified {
            hash: TransactionHash::of(&encoded),
            sender: signed.transaction.sender.address(),
            signed,
            encoded,
        }))
    }

    /// For one who has checked the signature by other means (in a batch, or in an earlier life).
    #[must_use]
    pub fn assume_verified(signed: SignedTransaction) -> Self {
        let encoded = signed.encode().into();
        Self::known(signed, encoded)
    }

    /// The transaction.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.0.signed.transaction
    }

    /// Its signed encoding.
    #[must_use]
    pub fn encoded(&self) -> &Bytes {
        &self.0.encoded
    }

    /// Its name.
    #[must_use]
    pub fn hash(&self) -> TransactionHash {
        self.0.hash
    }

    /// The sender's account.
    #[must_use]
    pub fn sender(&self) -> Address {
        self.0.sender
    }

    /// The length of its signed encoding.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.0.encoded.len() as u64
    }
}

impl ModelId {
    /// The model that a [`TransactionKind::CreateModel`] with this hash creates.
    #[must_use]
    pub fn created_by(transaction: &TransactionHash) -> Self {
        Self(domain_hash("soma 2026 model id", &[&transaction.0]))
    }
}

impl SubmissionId {
    /// The submission that a [`TransactionKind::CommitSubmission`] with this hash starts.
    #[must_use]
    pub fn created_by(transaction: &TransactionHash) -> Self {
        Self(domain_hash("soma 2026 submission id", &[&transaction.0]))
    }
}
