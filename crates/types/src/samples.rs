//! One transaction of each kind, for tests and fuzzers.

use crate::{
    Address, Architecture, BlockHash, Commitment, ContentHash, DecryptionKey, Embedding, Epoch, ModelId,
    PublicKey, Salt, Shannons, Signature, SubmissionId, TargetId, TransactionKind as Kind, Transcript, Url,
    equivocation::{Equivocation, SignedDigest},
    list::List,
    transaction::{BasisPoints, ModelFault, Payment, PoolId, SubmissionReveal, Verdict, Withdrawal},
    upgrade::{Ballot, ParamChange, ProtocolVersion, Upgrade},
};

/// What the transactions are made of.
#[derive(Clone, Debug)]
pub struct Matter {
    /// Each byte of every id, key, hash and signature.
    pub byte: u8,
    /// Every amount.
    pub amount: Shannons,
    /// Every shape.
    pub architecture: Architecture,
    /// Every embedding.
    pub embedding: Embedding,
    /// The version that an upgrade names.
    pub version: ProtocolVersion,
}

/// One of each kind, in the order of their codes.
///
/// # Panics
/// Never: every list is short.
#[must_use]
pub fn one_of_each(matter: &Matter) -> Vec<Kind> {
    let bytes = [matter.byte; 32];
    let (model, target, submission) = (ModelId(bytes), TargetId(bytes), SubmissionId(bytes));
    let (pool, amount) = (PoolId::Model(model), matter.amount);
    let commission = BasisPoints::new(250).expect("a fortieth");
    let (commitment, salt, embedding) = (Commitment(bytes), Salt(bytes), matter.embedding.clone());
    let url: Url = "soma:x".parse().expect("a URL");
    let reveal = SubmissionReveal {
        data_url: url.clone(),
        data_size_bytes: 3,
        data_hash: ContentHash(bytes),
        losses_nano: List::new(vec![2, 1, 1]).expect("few enough"),
        cross_entropy_nano: 1,
        embedding: embedding.clone(),
    };
    let vote = |digest: u8| SignedDigest {
        digest: BlockHash([digest; 32]),
        signature: Signature([matter.byte; 64]),
    };
    vec![
        Kind::Transfer {
            payments: List::new(vec![Payment {
                to: Address(bytes),
                amount,
            }])
            .expect("few enough"),
        },
        Kind::AddStake {
            pool: PoolId::Validator(Address(bytes)),
            amount,
        },
        Kind::WithdrawStake {
            pool,
            amount: Withdrawal::Amount(amount),
        },
        Kind::CreateModel {
            commission,
            stake: amount,
            architecture: matter.architecture,
        },
        Kind::CommitModel {
            model,
            url,
            size_bytes: 5,
            hash: ContentHash(bytes),
            embedding: Some(commitment),
        },
        Kind::RevealModel {
            model,
            key: DecryptionKey(bytes),
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
            transcript: Transcript(bytes),
        },
        Kind::ReportModel {
            model,
            fault: ModelFault::WrongKey,
        },
        Kind::RegisterValidator {
            network_key: PublicKey(bytes),
            proof: Signature([matter.byte; 64]),
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
                version: matter.version,
                architecture: Some(matter.architecture),
                params: List::new(vec![
                    ParamChange::FeeBase(amount),
                    ParamChange::AuditRate(commission),
                ])
                .expect("few enough"),
                activation: Epoch(9),
            },
        },
        Kind::VoteUpgrade {
            proposal: 3,
            ballot: Ballot::Withdraw,
        },
        Kind::ReportEquivocation {
            evidence: Equivocation {
                network_key: PublicKey(bytes),
                epoch: Epoch(5),
                view: 6,
                first: vote(1),
                second: vote(2),
            },
        },
    ]
}
