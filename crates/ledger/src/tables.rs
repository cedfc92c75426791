//! What lies under which key. A key is one byte for the table and the borsh encoding of the rest.
//!
//! There are no range scans: whatever must be walked has a dense index.

use borsh::{BorshDeserialize, BorshSerialize};
use soma_types::{
    Address, ChainId, ContentHash, Embedding, Epoch, Height, ModelId, PublicKey, Shannons, SubmissionId,
    TargetId,
    genesis::{EmissionSchedule, GenesisWeights},
    objects::{
        Account, AuditOutcome, AuditStage, AuditVote, Committee, DataClaim, Duty, EpochRecord, EpochState,
        Model, Pool, PoolPrice, Position, Submission, SupplyBreakdown, Target, Unbonding, Validator,
    },
    params::Params,
    transaction::PoolId,
    upgrade::Proposal,
};

use crate::{queue::Queue, table::Table};

/// What never changes after genesis.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NetworkRecord {
    /// The network's name in signatures.
    pub chain: ChainId,
    /// The network's name for people.
    pub name: String,
    /// How emission is spread.
    pub emission: EmissionSchedule,
    /// What existed at genesis.
    pub genesis_supply: Shannons,
    /// A common starting point for training.
    pub weights: Option<GenesisWeights>,
}

/// Positions in queues and lengths of lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Counters {
    /// The last block.
    pub height: Height,
    /// When it was made, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// Models ever created.
    pub models: u64,
    /// Models not retired, and retired ones whose pools still take part in boundaries.
    pub live_models: u64,
    /// Validators in the list: also those that left and whose pools still take part in boundaries.
    pub validators: u64,
    /// Those of them who are not leaving.
    pub staying_validators: u64,
    /// Commits of weights and of submissions so far: a total order of who was first.
    pub sequence: u64,
    /// Submissions ever committed.
    pub submissions: u64,
    /// Upgrades ever proposed.
    pub proposals: u64,
    /// The epoch whose released stake is being paid out; all that was to be released before has been.
    pub release_epoch: Epoch,
    /// The next entry of it.
    pub release_index: u64,
    /// The epoch whose rewards are being paid.
    pub payout_epoch: Epoch,
    /// Its next winner.
    pub payout_winner: u64,
    /// Its next seat, once all winners are paid.
    pub payout_seat: u32,
}

/// A proposal that is open or scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PendingProposal {
    /// Its number.
    pub index: u64,
    /// Whose proposal it is.
    pub proposer: Address,
}

/// The routing table in force, by its digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RoutingRecord {
    /// Number of models.
    pub models: u64,
    /// Digest of ids, stakes, order and embeddings.
    pub digest: [u8; 32],
}

macro_rules! tables {
    ($( $prefix:literal $name:ident: $key:ty => $value:ty, $what:literal; )*) => {
        $( pub(crate) const $name: Table<$key, $value> = Table::new($prefix, $what); )*
        #[cfg(test)]
        const PREFIXES: &[u8] = &[$($prefix),*];
    };
}

macro_rules! queues {
    ($( $lengths:literal $entries:literal $name:ident: $key:ty, $index:ty => $value:ty, $what:literal; )*) => {
        $( pub(crate) const $name: Queue<$key, $index, $value> = Queue {
            lengths: Table::new($lengths, concat!("number of ", $what)),
            entries: Table::new($entries, concat!($what, " by index")),
        }; )*
        #[cfg(test)]
        const QUEUE_PREFIXES: &[u8] = &[$($lengths, $entries),*];
    };
}

tables! {
    1 NETWORK: () => NetworkRecord, "network";
    2 PARAMS: () => Params, "parameters";
    3 EPOCH: () => EpochState, "epoch state";
    4 SUPPLY: () => SupplyBreakdown, "supply";
    5 COUNTERS: () => Counters, "counters";
    6 ACCOUNTS: Address => Account, "account";
    7 POOLS: PoolId => Pool, "pool";
    8 POSITIONS: (PoolId, Address) => Position, "position";
    9 PRICES: (PoolId, Epoch) => PoolPrice, "pool price";
    13 VALIDATORS: Address => Validator, "validator";
    14 VALIDATOR_AT: u64 => Address, "validator by index";
    15 NETWORK_KEYS: PublicKey => Address, "network key";
    16 COMMITTEES: Epoch => Committee, "committee";
    17 DUTIES: (Epoch, Address) => Duty, "duty";
    18 MODELS: ModelId => Model, "model";
    19 MODEL_AT: u64 => ModelId, "model by index";
    20 LIVE_MODEL_AT: u64 => ModelId, "live model by index";
    21 EMBEDDINGS: ModelId => Embedding, "embedding";
    22 REVEALED_EMBEDDINGS: ModelId => Embedding, "revealed embedding";
    25 ROUTING: () => RoutingRecord, "routing";
    26 TARGETS: TargetId => Target, "target";
    27 TARGET_AT: (Epoch, u64) => TargetId, "target by index";
    28 OPEN_TARGET_AT: u32 => TargetId, "open target by slot";
    31 SUBMISSIONS: SubmissionId => Submission, "submission";
    32 SUBMISSION_AT: u64 => SubmissionId, "submission by index";
    33 SUBMISSION_EMBEDDINGS: SubmissionId => Embedding, "submission embedding";
    36 CLAIMS: ContentHash => DataClaim, "data claim";
    37 WINNER_AT: (Epoch, u64) => SubmissionId, "winner by index";
    38 AUDIT_VOTES: (SubmissionId, AuditStage, Address) => AuditVote, "audit vote";
    39 AUDIT_OUTCOMES: SubmissionId => AuditOutcome, "audit outcome";
    40 EPOCHS: Epoch => EpochRecord, "epoch record";
    43 PROPOSALS: u64 => Proposal, "proposal";
    44 PENDING_PROPOSALS: () => Vec<PendingProposal>, "pending proposals";
}

queues! {
    45 10 RELEASES: Epoch, u64 => Unbonding, "releases";
    11 12 STAKES: Address, u64 => PoolId, "stakes";
    29 30 SETTLEMENTS: Height, u32 => TargetId, "settlements";
    34 35 EXPIRIES: Height, u32 => SubmissionId, "expiries";
    41 42 CHALLENGES: Epoch, u64 => SubmissionId, "challenges";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tables_do_not_overlap() {
        let all = [PREFIXES, QUEUE_PREFIXES].concat();
        assert_eq!(BTreeSet::from_iter(&all).len(), all.len());
        assert_ne!(
            ACCOUNTS.key(&Address([1; 32])),
            POOLS.key(&PoolId::Validator(Address([1; 32])))
        );
        assert_eq!(ACCOUNTS.key(&Address([1; 32]))[0], 6);
    }
}
