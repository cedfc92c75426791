//! What participants ask of the ledger (docs/protocol.md, section 3).
//!
//! A [`Transaction`] is signed over its canonical encoding under [`TRANSACTION_NAMESPACE`]; a
//! [`VerifiedTransaction`] is the proof that the signature was checked, and carries the bytes. Bytes that
//! decode are the one encoding of what they decode to, so they are never made a second time. Kinds are only
//! ever appended: the position of a variant is its code on the wire.

use std::{fmt, str::FromStr, sync::Arc};

use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Address, Architecture, ChainId, Commitment, ContentHash, DecryptionKey, Embedding, Epoch, Keypair,
    ModelId, PublicKey, Salt, Shannons, Signature, SubmissionId, TargetId, TransactionHash, Transcript, Url,
    bounded::URL_MAX_BYTES,
    embedding::MAX_EMBEDDING_DIM,
    equivocation::Equivocation,
    hash::domain_hash,
    keys::TRANSACTION_NAMESPACE,
    list::List,
    losses,
    params::MODELS_PER_TARGET_MAX,
    rejection::Rejection,
    upgrade::{Ballot, Upgrade},
};

pub use crate::basis_points::{BASIS_POINTS_ONE, BasisPoints, BasisPointsError};

/// The longest signed encoding. An embedding of the largest dimension takes half of it.
pub const TRANSACTION_BYTES_MAX: usize = 32 * 1024;
/// The most payments in one transfer.
pub const PAYMENTS_MAX: usize = 256;
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
/// Namespace of a validator's proof that it holds its network key.
pub const VALIDATOR_KEY_NAMESPACE: &[u8] = b"soma 2026 validator key";

/// A staking pool: every validator and every model has one.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum PoolId {
    /// The pool of the validator with this account.
    Validator(Address),
    /// The pool of this model.
    Model(ModelId),
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Validator(address) => write!(f, "validator {address}"),
            Self::Model(model) => write!(f, "model {model}"),
        }
    }
}

/// How much stake to take out of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withdrawal {
    /// Everything, with what was added this epoch and does not count yet.
    All,
    /// This much of the stake that counts.
    Amount(Shannons),
}

/// One part of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Payment {
    /// Who is paid.
    pub to: Address,
    /// How much.
    pub amount: Shannons,
}

/// What a submitter found, hidden by its commitment until revealed (docs/protocol.md, section 7).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct SubmissionReveal {
    /// Where the data can be downloaded.
    pub data_url: Url,
    /// Its length in bytes.
    pub data_size_bytes: u64,
    /// Its BLAKE3.
    pub data_hash: ContentHash,
    /// The loss of each of the target's models in nano-nats, in the target's order.
    pub losses_nano: List<u64, MODELS_PER_TARGET_MAX>,
    /// The cross-entropy part of the winner's loss, in nano-nats.
    pub cross_entropy_nano: u64,
    /// The winner's embedding of the data.
    pub embedding: Embedding,
}

impl SubmissionReveal {
    /// The position of the model that wins; `None` without losses.
    #[must_use]
    pub fn winner(&self) -> Option<usize> {
        losses::lowest(self.losses_nano.iter())
    }

    /// What [`TransactionKind::CommitSubmission`] carries for this reveal by `sender`.
    ///
    /// # Panics
    /// Never: encoding to memory does not fail.
    #[must_use]
    pub fn commitment(&self, sender: &Address, salt: &Salt) -> Commitment {
        let body = borsh::to_vec(self).expect("encoding to memory does not fail");
        Commitment(domain_hash(
            "soma 2026 submission commitment",
            &[&sender.0, &salt.0, &body],
        ))
    }
}

/// What an auditor found (docs/protocol.md, section 8).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Data, hash and scores are as claimed.
    Valid,
    /// The data could not be downloaded.
    DataUnavailable,
    /// The downloaded data has another size or hash.
    HashMismatch,
    /// A loss, the cross entropy or the embedding differs from the exact one.
    FalseScore,
}

impl Verdict {
    /// Whether forming this verdict took scoring the data, so that it carries a transcript.
    #[must_use]
    pub const fn has_transcript(self) -> bool {
        matches!(self, Self::Valid | Self::FalseScore)
    }

    /// Whether this verdict is that the winner must not stand.
    #[must_use]
    pub const fn accuses(self) -> bool {
        !matches!(self, Self::Valid)
    }

    /// What [`TransactionKind::CommitAudit`] carries for this verdict by `auditor`. `transcript` is
    /// all zeros for verdicts without one.
    #[must_use]
    pub fn commitment(
        self,
        auditor: &Address,
        submission: &SubmissionId,
        transcript: &Transcript,
        salt: &Salt,
    ) -> Commitment {
        Commitment(domain_hash(
            "soma 2026 audit commitment",
            &[&auditor.0, &submission.0, &[self as u8], &transcript.0, &salt.0],
        ))
    }
}

/// What is wrong with revealed weights (docs/protocol.md, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFault {
    /// The encrypted file could not be downloaded.
    Unavailable,
    /// The encrypted file has another size or hash.
    HashMismatch,
    /// The revealed key is not the one the file's header commits to.
    WrongKey,
    /// The weights do not parse, or do not fit the architecture.
    BadWeights,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TransactionKind {
    /// Pays others.
    Transfer {
        /// Who and how much.
        payments: List<Payment, PAYMENTS_MAX>,
    },
    /// Adds stake to a pool. It counts from the next epoch.
    AddStake {
        /// The pool.
        pool: PoolId,
        /// How much.
        amount: Shannons,
    },
    /// Takes stake out of a pool. It stops counting at the next boundary and then unbonds.
    WithdrawStake {
        /// The pool.
        pool: PoolId,
        /// How much.
        amount: Withdrawal,
    },
    /// Creates a model owned by the sender.
    CreateModel {
        /// The owner's share of the model's rewards.
        commission: BasisPoints,
        /// The owner's first stake in its pool.
        stake: Shannons,
        /// Must be the network's.
        architecture: Architecture,
    },
    /// Commits to encrypted weights, the first or an update. Pays rent.
    CommitModel {
        /// The model.
        model: ModelId,
        /// Where the encrypted weights can be downloaded.
        url: Url,
        /// Their length in bytes.
        size_bytes: u64,
        /// Their BLAKE3.
        hash: ContentHash,
    },
    /// Opens the commitment of the epoch before.
    RevealModel {
        /// The model.
        model: ModelId,
        /// Decrypts the committed file.
        key: DecryptionKey,
        /// Where in the shared space the model specialises.
        embedding: Embedding,
    },
    /// Changes the owner's share from the next epoch.
    SetModelCommission {
        /// The model.
        model: ModelId,
        /// The new share.
        commission: BasisPoints,
    },
    /// Stops competing at the next boundary.
    DeactivateModel {
        /// The model.
        model: ModelId,
    },
    /// First step of a submission.
    CommitSubmission {
        /// The target.
        target: TargetId,
        /// [`SubmissionReveal::commitment`].
        commitment: Commitment,
    },
    /// Second step of a submission.
    RevealSubmission {
        /// Named by the transaction that committed it.
        submission: SubmissionId,
        /// Hides the commitment.
        salt: Salt,
        /// What was committed to.
        reveal: SubmissionReveal,
    },
    /// First step of an audit.
    CommitAudit {
        /// The winner under audit.
        submission: SubmissionId,
        /// [`Verdict::commitment`].
        commitment: Commitment,
    },
    /// Second step of an audit.
    RevealAudit {
        /// The winner under audit.
        submission: SubmissionId,
        /// Hides the commitment.
        salt: Salt,
        /// The finding.
        verdict: Verdict,
        /// Shows that the auditor scored the data; zeros for verdicts without one.
        transcript: Transcript,
    },
    /// A committee member's report that a model's revealed weights are unusable.
    ReportModel {
        /// The model.
        model: ModelId,
        /// What is wrong.
        fault: ModelFault,
    },
    /// Makes the sender a validator from the next epoch.
    RegisterValidator {
        /// The key its node signs with.
        network_key: PublicKey,
        /// [`validator_key_message`] signed by that key under [`VALIDATOR_KEY_NAMESPACE`].
        proof: Signature,
        /// Its share of its pool's rewards.
        commission: BasisPoints,
        /// Its first stake.
        stake: Shannons,
    },
    /// Leaves the committee at the next boundary.
    LeaveValidator,
    /// Changes the sender's share from the next epoch.
    SetValidatorCommission {
        /// The new share.
        commission: BasisPoints,
    },
    /// A validator's vote on the price of storing weights; the median counts from the next epoch.
    SetRentVote {
        /// Shannons per MiB and epoch.
        rent_per_mib_epoch: Shannons,
    },
    /// Demands that a winner be audited, and locks a bond.
    ChallengeSubmission {
        /// The winner.
        submission: SubmissionId,
    },
    /// A seat's proposal to change the protocol. Its proposer is for it.
    ProposeUpgrade {
        /// What changes, and when.
        upgrade: Upgrade,
    },
    /// A seat's vote on a proposal.
    VoteUpgrade {
        /// The proposal's number.
        proposal: u64,
        /// For it or not.
        ballot: Ballot,
    },
    /// Anyone's evidence that a validator voted for two blocks in one view.
    ReportEquivocation {
        /// The two votes.
        evidence: Equivocation,
    },
}

macro_rules! names {
    ($($kind:ident => $name:literal,)*) => {
        impl TransactionKind {
            /// The names of all kinds, in the order of their codes.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// A short stable name, for logs and metrics.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind { .. } => $name,)*
                }
            }
        }
    };
}

names! {
    Transfer => "transfer",
    AddStake => "add_stake",
    WithdrawStake => "withdraw_stake",
    CreateModel => "create_model",
    CommitModel => "commit_model",
    RevealModel => "reveal_model",
    SetModelCommission => "set_model_commission",
    DeactivateModel => "deactivate_model",
    CommitSubmission => "commit_submission",
    RevealSubmission => "reveal_submission",
    CommitAudit => "commit_audit",
    RevealAudit => "reveal_audit",
    ReportModel => "report_model",
    RegisterValidator => "register_validator",
    LeaveValidator => "leave_validator",
    SetValidatorCommission => "set_validator_commission",
    SetRentVote => "set_rent_vote",
    ChallengeSubmission => "challenge_submission",
    ProposeUpgrade => "propose_upgrade",
    VoteUpgrade => "vote_upgrade",
    ReportEquivocation => "report_equivocation",
}

/// What a validator's network key signs to prove that it is held: the chain and the account.
#[must_use]
pub fn validator_key_message(chain: &ChainId, validator: &Address) -> Vec<u8> {
    [chain.0, validator.0].concat()
}

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
        let signed = SignedTransaction::decode(&encoded)?;
        if signed.transaction.chain != *chain {
            return Err(Rejection::WrongChain {
                given: signed.transaction.chain,
                expected: *chain,
            });
        }
        Self::check(signed, encoded)
    }

    /// Checks the signature of `signed`, whose encoding is `encoded`: over all of it but the signature.
    fn check(signed: SignedTransaction, encoded: Bytes) -> Result<Self, Rejection> {
        #[cfg(feature = "test-support")]
        crate::tally::CHECKED.count();
        let SignedTransaction {
            transaction,
            signature,
        } = &signed;
        let message = &encoded[..encoded.len() - signature.0.len()];
        if transaction
            .sender
            .verify(TRANSACTION_NAMESPACE, message, signature)
        {
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

impl FromStr for PoolId {
    type Err = crate::id::ParseIdError;

    /// Reads `validator ADDRESS` or `model ID`; a space or a colon separates.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once([' ', ':']) {
            Some(("validator", address)) => address.parse().map(Self::Validator),
            Some(("model", model)) => model.parse().map(Self::Model),
            _ => Err(crate::id::ParseIdError {
                what: "a pool ('validator:ADDRESS' or 'model:ID')",
                text: crate::secrecy::repeatable(text),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        samples::{Matter, one_of_each},
        upgrade::ProtocolVersion,
    };

    fn kinds() -> Vec<TransactionKind> {
        one_of_each(&Matter {
            byte: 9,
            amount: Shannons(7),
            architecture: Architecture::NANO,
            embedding: Embedding::from_q15(vec![i16::MAX, 0]).unwrap(),
            version: ProtocolVersion(2),
        })
    }

    fn transaction(kind: TransactionKind) -> Transaction {
        Transaction {
            chain: ChainId([9; 32]),
            sender: Keypair::from_secret_bytes([1; 32]).public_key(),
            nonce: 4,
            expires: Epoch(5),
            max_fee: Shannons(6),
            kind,
        }
    }

    /// Encodings are signed and stored: a change here breaks every client and every chain.
    #[test]
    fn encodings_are_pinned() {
        assert!(
            kinds()
                .iter()
                .map(TransactionKind::name)
                .eq(TransactionKind::NAMES.iter().copied())
        );
        let mut lines = Vec::new();
        for (code, kind) in kinds().into_iter().enumerate() {
            let bytes = borsh::to_vec(&kind).unwrap();
            assert_eq!(usize::from(bytes[0]), code, "kinds are only ever appended");
            let signed = transaction(kind.clone()).sign(&Keypair::from_secret_bytes([1; 32]));
            lines.push(format!(
                "{} {} {}",
                kind.name(),
                hex::encode(&bytes),
                signed.hash()
            ));
        }
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn what_is_signed_cannot_be_changed() {
        let keys = Keypair::from_secret_bytes([1; 32]);
        for kind in kinds() {
            let signed = transaction(kind).sign(&keys);
            let bytes = signed.encode();
            assert_eq!(SignedTransaction::decode(&bytes), Ok(signed.clone()));
            let json = serde_json::to_string(&signed.transaction).unwrap();
            assert_eq!(
                serde_json::from_str::<Transaction>(&json).unwrap(),
                signed.transaction
            );
            let chain = signed.transaction.chain;
            // Any single changed byte either does not decode or does not verify.
            for index in (0..bytes.len()).step_by(7) {
                let mut changed = bytes.clone();
                changed[index] ^= 1;
                let verified = SignedTransaction::decode(&changed).and_then(SignedTransaction::verify);
                assert!(verified.is_err(), "byte {index}");
                assert!(
                    VerifiedTransaction::decode(changed.into(), &chain).is_err(),
                    "byte {index}"
                );
            }
            assert!(SignedTransaction::decode(&bytes[..bytes.len() - 1]).is_err());
            // However it comes to be verified, it is the same value.
            let verified = VerifiedTransaction::decode(bytes.clone().into(), &chain).unwrap();
            assert_eq!(verified.encoded(), &bytes);
            assert_eq!(verified.hash(), signed.hash());
            assert_eq!(signed.verify(), Ok(verified));
        }
    }

    /// What is signed, named and stored are the bytes that came, so nothing may have two encodings.
    #[test]
    fn bytes_that_decode_are_the_one_encoding() {
        for kind in kinds() {
            let bytes = transaction(kind)
                .sign(&Keypair::from_secret_bytes([1; 32]))
                .encode();
            for index in 0..bytes.len() {
                for change in [1, 2, 0x80, 0xff] {
                    let mut changed = bytes.clone();
                    changed[index] ^= change;
                    if let Ok(decoded) = SignedTransaction::decode(&changed) {
                        assert_eq!(decoded.encode(), changed, "byte {index}");
                    }
                }
            }
        }
    }

    #[test]
    fn hostile_lengths_do_not_allocate() {
        let mut bytes = borsh::to_vec(&transaction(TransactionKind::LeaveValidator)).unwrap();
        bytes.pop();
        bytes.push(0); // A transfer ..
        bytes.extend(u32::MAX.to_le_bytes()); // .. with four billion payments.
        assert_eq!(SignedTransaction::decode(&bytes), Err(Rejection::Malformed {}));
    }
}
