//! What participants ask of the ledger (docs/protocol.md, section 3).
//!
//! A [`Transaction`] is signed over its canonical encoding under [`TRANSACTION_NAMESPACE`]; a
//! [`VerifiedTransaction`] is the proof that the signature was checked. Kinds are only ever appended:
//! the position of a variant is its code on the wire.

use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
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
    rejection::Rejection,
    upgrade::{Ballot, Upgrade},
};

pub use crate::basis_points::{BASIS_POINTS_ONE, BasisPoints, BasisPointsError};

/// The longest signed encoding. An embedding of the largest dimension takes half of it.
pub const TRANSACTION_BYTES_MAX: usize = 32 * 1024;
/// The most payments in one transfer.
pub const PAYMENTS_MAX: usize = 256;
/// The most models a target can have: the bound on the losses in a reveal.
pub const MODELS_PER_TARGET_MAX: usize = 16;
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
    /// The position of the model with the lowest loss, ties to the earlier; `None` without losses.
    #[must_use]
    pub fn winner(&self) -> Option<usize> {
        self.losses_nano
            .iter()
            .enumerate()
            .min_by_key(|&(index, loss)| (*loss, index))
            .map(|(index, _)| index)
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

impl TransactionKind {
    /// A short stable name, for logs and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Transfer { .. } => "transfer",
            Self::AddStake { .. } => "add_stake",
            Self::WithdrawStake { .. } => "withdraw_stake",
            Self::CreateModel { .. } => "create_model",
            Self::CommitModel { .. } => "commit_model",
            Self::RevealModel { .. } => "reveal_model",
            Self::SetModelCommission { .. } => "set_model_commission",
            Self::DeactivateModel { .. } => "deactivate_model",
            Self::CommitSubmission { .. } => "commit_submission",
            Self::RevealSubmission { .. } => "reveal_submission",
            Self::CommitAudit { .. } => "commit_audit",
            Self::RevealAudit { .. } => "reveal_audit",
            Self::ReportModel { .. } => "report_model",
            Self::RegisterValidator { .. } => "register_validator",
            Self::LeaveValidator => "leave_validator",
            Self::SetValidatorCommission { .. } => "set_validator_commission",
            Self::SetRentVote { .. } => "set_rent_vote",
            Self::ChallengeSubmission { .. } => "challenge_submission",
            Self::ProposeUpgrade { .. } => "propose_upgrade",
            Self::VoteUpgrade { .. } => "vote_upgrade",
            Self::ReportEquivocation { .. } => "report_equivocation",
        }
    }
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
        if bytes.len() > TRANSACTION_BYTES_MAX {
            return Err(Rejection::TooLarge {
                size_bytes: bytes.len() as u64,
                limit_bytes: TRANSACTION_BYTES_MAX as u64,
            });
        }
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

    /// Its name: the domain-separated hash of its encoding.
    #[must_use]
    pub fn hash(&self) -> TransactionHash {
        TransactionHash(domain_hash("soma 2026 transaction hash", &[&self.encode()]))
    }

    /// Checks size and signature.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`] or [`Rejection::BadSignature`].
    pub fn verify(self) -> Result<VerifiedTransaction, Rejection> {
        let verified = VerifiedTransaction::assume_verified(self);
        if verified.size_bytes > TRANSACTION_BYTES_MAX as u64 {
            return Err(Rejection::TooLarge {
                size_bytes: verified.size_bytes,
                limit_bytes: TRANSACTION_BYTES_MAX as u64,
            });
        }
        let transaction = &verified.signed.transaction;
        let message = borsh::to_vec(transaction).expect("encoding to memory does not fail");
        if transaction
            .sender
            .verify(TRANSACTION_NAMESPACE, &message, &verified.signed.signature)
        {
            Ok(verified)
        } else {
            Err(Rejection::BadSignature {})
        }
    }
}

/// A transaction whose signature has been checked, with what was computed on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedTransaction {
    signed: SignedTransaction,
    hash: TransactionHash,
    sender: Address,
    size_bytes: u64,
}

impl VerifiedTransaction {
    /// For one who has checked the signature by other means (in a batch, or in an earlier life).
    #[must_use]
    pub fn assume_verified(signed: SignedTransaction) -> Self {
        let encoded = signed.encode();
        Self {
            hash: TransactionHash(domain_hash("soma 2026 transaction hash", &[&encoded])),
            sender: signed.transaction.sender.address(),
            size_bytes: encoded.len() as u64,
            signed,
        }
    }

    /// The transaction.
    #[must_use]
    pub const fn transaction(&self) -> &Transaction {
        &self.signed.transaction
    }

    /// The transaction with its signature.
    #[must_use]
    pub const fn signed(&self) -> &SignedTransaction {
        &self.signed
    }

    /// Its name.
    #[must_use]
    pub const fn hash(&self) -> TransactionHash {
        self.hash
    }

    /// The sender's account.
    #[must_use]
    pub const fn sender(&self) -> Address {
        self.sender
    }

    /// The length of its signed encoding.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
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
        equivocation::SignedDigest,
        upgrade::{ParamChange, ProtocolVersion},
    };

    fn id<T>(make: impl Fn([u8; 32]) -> T) -> T {
        make([9; 32])
    }

    /// One of each kind, in wire order.
    fn kinds() -> Vec<TransactionKind> {
        use TransactionKind as Kind;
        let (model, target, submission) = (id(ModelId), id(TargetId), id(SubmissionId));
        let (pool, amount, commission) = (PoolId::Model(model), Shannons(7), BasisPoints::new(250).unwrap());
        let (commitment, salt) = (id(Commitment), id(Salt));
        let embedding = Embedding::from_q15(vec![i16::MAX, 0]).unwrap();
        let url: Url = "soma:x".parse().unwrap();
        let reveal = SubmissionReveal {
            data_url: url.clone(),
            data_size_bytes: 3,
            data_hash: id(ContentHash),
            losses_nano: List::new(vec![2, 1, 1]).unwrap(),
            cross_entropy_nano: 1,
            embedding: embedding.clone(),
        };
        assert_eq!(reveal.winner(), Some(1), "ties go to the earlier");
        let vote = |digest: u8| SignedDigest {
            digest: crate::BlockHash([digest; 32]),
            signature: Signature([9; 64]),
        };
        vec![
            Kind::Transfer {
                payments: List::new(vec![Payment {
                    to: id(Address),
                    amount,
                }])
                .unwrap(),
            },
            Kind::AddStake {
                pool: PoolId::Validator(id(Address)),
                amount,
            },
            Kind::WithdrawStake {
                pool,
                amount: Withdrawal::Amount(amount),
            },
            Kind::CreateModel {
                commission,
                stake: amount,
                architecture: Architecture::NANO,
            },
            Kind::CommitModel {
                model,
                url,
                size_bytes: 5,
                hash: id(ContentHash),
            },
            Kind::RevealModel {
                model,
                key: id(DecryptionKey),
                embedding,
            },
            Kind::SetModelCommission { model, commission },
            Kind::DeactivateModel { model },
            Kind::CommitSubmission { target, commitment },
            Kind::RevealSubmission {
                submission,
                salt,
                reveal,
            },
            Kind::CommitAudit {
                submission,
                commitment,
            },
            Kind::RevealAudit {
                submission,
                salt,
                verdict: Verdict::FalseScore,
                transcript: id(Transcript),
            },
            Kind::ReportModel {
                model,
                fault: ModelFault::WrongKey,
            },
            Kind::RegisterValidator {
                network_key: PublicKey([9; 32]),
                proof: Signature([9; 64]),
                commission,
                stake: amount,
            },
            Kind::LeaveValidator,
            Kind::SetValidatorCommission { commission },
            Kind::SetRentVote {
                rent_per_mib_epoch: amount,
            },
            Kind::ChallengeSubmission { submission },
            Kind::ProposeUpgrade {
                upgrade: Upgrade {
                    version: ProtocolVersion(2),
                    architecture: Some(Architecture::NANO),
                    params: List::new(vec![
                        ParamChange::FeeBase(amount),
                        ParamChange::AuditRate(commission),
                    ])
                    .unwrap(),
                    activation: Epoch(9),
                },
            },
            Kind::VoteUpgrade {
                proposal: 3,
                ballot: Ballot::Withdraw,
            },
            Kind::ReportEquivocation {
                evidence: Equivocation {
                    network_key: PublicKey([9; 32]),
                    epoch: Epoch(5),
                    view: 6,
                    first: vote(1),
                    second: vote(2),
                },
            },
        ]
    }

    fn transaction(kind: TransactionKind) -> Transaction {
        Transaction {
            chain: id(ChainId),
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
            // Any single changed byte either does not decode or does not verify.
            for index in (0..bytes.len()).step_by(7) {
                let mut changed = bytes.clone();
                changed[index] ^= 1;
                let verified = SignedTransaction::decode(&changed).and_then(SignedTransaction::verify);
                assert!(verified.is_err(), "byte {index}");
            }
            assert!(SignedTransaction::decode(&bytes[..bytes.len() - 1]).is_err());
            assert!(signed.verify().is_ok());
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
