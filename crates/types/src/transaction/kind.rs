//! What a transaction can ask for.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use super::{ModelFault, PoolId, SubmissionReveal, Verdict, Withdrawal};
use crate::{
    Address, Architecture, ChainId, Commitment, ContentHash, DecryptionKey, Embedding, ModelId, PublicKey,
    Salt, Shannons, Signature, SubmissionId, TargetId, Transcript, Url,
    basis_points::BasisPoints,
    equivocation::Equivocation,
    list::List,
    upgrade::{Ballot, Upgrade},
};

/// The most payments in one transfer.
pub const PAYMENTS_MAX: usize = 256;
/// Namespace of a validator's proof that it holds its network key.
pub const VALIDATOR_KEY_NAMESPACE: &[u8] = b"soma 2026 validator key";

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
        /// [`embedding_commitment`](crate::objects::embedding_commitment) of where they specialise; none
        /// where the network lets the reveal choose.
        embedding: Option<Commitment>,
    },
    /// Opens the commitment of the epoch before, in the part of the epoch in which that is taken.
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

/// One part of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Payment {
    /// Who is paid.
    pub to: Address,
    /// How much.
    pub amount: Shannons,
}

/// What a validator's network key signs to prove that it is held: the chain and the account.
#[must_use]
pub fn validator_key_message(chain: &ChainId, validator: &Address) -> Vec<u8> {
    [chain.0, validator.0].concat()
}
