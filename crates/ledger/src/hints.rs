//! What a transaction will read, as far as it says so itself: so that a node can load a block's values
//! in one go before executing it. A hint too few costs a retry, one too many a read.

use soma_types::{
    VerifiedTransaction,
    objects::AuditStage,
    transaction::{PoolId, TransactionKind as Kind},
};

use crate::{
    ledger::Hot,
    tables::{
        ACCOUNTS, AUDIT_VOTES, CLAIMS, COMMITTEES, MODELS, NETWORK_KEYS, PENDING_PROPOSALS, POOLS, POSITIONS,
        PROPOSALS, REVEALED_EMBEDDINGS, ROUTING, STAKES, SUBMISSIONS, TARGETS, VALIDATORS,
    },
};

/// The keys that every block reads.
#[must_use]
pub fn block_keys() -> Vec<Vec<u8>> {
    let mut keys = Hot::keys().to_vec();
    keys.push(ROUTING.key(&()));
    keys
}

/// The keys that `transaction` reads, as far as it names them. `epoch` is the one it is executed in.
#[must_use]
pub fn transaction_keys(transaction: &VerifiedTransaction, epoch: soma_types::Epoch) -> Vec<Vec<u8>> {
    let sender = transaction.sender();
    let mut keys = vec![ACCOUNTS.key(&sender)];
    let pool_keys = |pool: &PoolId| {
        let owner = match pool {
            PoolId::Validator(address) => VALIDATORS.key(address),
            PoolId::Model(model) => MODELS.key(model),
        };
        [
            owner,
            POOLS.key(pool),
            POSITIONS.key(&(*pool, sender)),
            STAKES.length_key(&sender),
        ]
    };
    match &transaction.transaction().kind {
        Kind::Transfer { payments } => keys.extend(payments.iter().map(|payment| ACCOUNTS.key(&payment.to))),
        Kind::AddStake { pool, .. } | Kind::WithdrawStake { pool, .. } => keys.extend(pool_keys(pool)),
        Kind::CreateModel { .. } => keys.push(STAKES.length_key(&sender)),
        Kind::CommitModel { model, .. } => keys.extend(pool_keys(&PoolId::Model(*model))),
        Kind::RevealModel { model, .. } => keys.extend([MODELS.key(model), REVEALED_EMBEDDINGS.key(model)]),
        Kind::SetModelCommission { model, .. } | Kind::DeactivateModel { model } => {
            keys.push(MODELS.key(model));
        }
        Kind::CommitSubmission { target, .. } => keys.push(TARGETS.key(target)),
        Kind::RevealSubmission {
            submission, reveal, ..
        } => {
            keys.extend([SUBMISSIONS.key(submission), CLAIMS.key(&reveal.data_hash)]);
        }
        Kind::CommitAudit { submission, .. } | Kind::RevealAudit { submission, .. } => keys.extend([
            SUBMISSIONS.key(submission),
            AUDIT_VOTES.key(&(*submission, AuditStage::Drawn, sender)),
            AUDIT_VOTES.key(&(*submission, AuditStage::Hearing, sender)),
            COMMITTEES.key(&epoch),
        ]),
        Kind::ChallengeSubmission { submission } => keys.push(SUBMISSIONS.key(submission)),
        Kind::ReportEquivocation { evidence } => keys.push(COMMITTEES.key(&evidence.epoch)),
        Kind::ProposeUpgrade { .. } => keys.extend([COMMITTEES.key(&epoch), PENDING_PROPOSALS.key(&())]),
        Kind::VoteUpgrade { proposal, .. } => {
            keys.extend([COMMITTEES.key(&epoch), PROPOSALS.key(proposal)]);
        }
        Kind::ReportModel { model, .. } => keys.extend([MODELS.key(model), COMMITTEES.key(&epoch)]),
        Kind::RegisterValidator { network_key, .. } => {
            keys.push(NETWORK_KEYS.key(network_key));
            keys.extend(pool_keys(&PoolId::Validator(sender)));
        }
        Kind::LeaveValidator | Kind::SetValidatorCommission { .. } | Kind::SetRentVote { .. } => {
            keys.push(VALIDATORS.key(&sender));
        }
    }
    keys
}
