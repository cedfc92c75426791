//! What the node's HTTP interface answers, shared by node and clients (docs/interfaces.md).
//!
//! Amounts are decimal strings of shannons, 32-byte names `0x` and hex, embeddings base64 of little-endian
//! i16. Lists come in [`Page`]s. Every error is a [`Problem`] (RFC 9457, `application/problem+json`). What a
//! request says and the node does not know (a query parameter, a field of a body, a body where none is taken)
//! is refused, never ignored. Pages of other origins may read, without credentials, and not write.
//!
//! | method and path | answer |
//! |---|---|
//! | GET `/health` | 200 once the node serves, and its height is not stuck |
//! | GET `/v1/status` | [`Status`] |
//! | GET `/v1/params` | [`Params`](crate::params::Params) |
//! | GET `/v1/genesis` | [`Genesis`](crate::genesis::Genesis) |
//! | GET `/v1/supply` | [`Supply`] |
//! | GET `/v1/epochs/{n\|latest}` | [`EpochView`] |
//! | GET `/v1/accounts/{address}` | [`AccountView`] |
//! | GET `/v1/accounts/{address}/transactions?cursor=&limit=` | [`Page`] of [`TransactionView`], latest first |
//! | GET `/v1/validators` | [`Page`] of [`ValidatorView`] |
//! | GET `/v1/proposals?cursor=&limit=` | [`Page`] of [`ProposalView`], in the order in which they were made |
//! | GET `/v1/models?status=&owner=&cursor=&limit=` | [`Page`] of [`ModelView`] |
//! | GET `/v1/models/{id}` | [`ModelView`] |
//! | GET `/v1/models/{id}/weights` | the encrypted weights it competes with (or revealed, or committed) |
//! | GET `/v1/targets?status=open\|settling\|filled&epoch=&cursor=&limit=` | [`Page`] of [`TargetView`], latest first; without `epoch` the current one's |
//! | GET `/v1/targets/{id}` | [`TargetView`] |
//! | GET `/v1/targets/{id}/data` | the winner's data |
//! | GET `/v1/submissions?submitter=&target=&status=&cursor=&limit=` | [`Page`] of [`SubmissionView`], latest first |
//! | GET `/v1/submissions/{id}` | [`SubmissionView`] |
//! | GET `/v1/blocks/{height\|latest}` | [`BlockView`] |
//! | GET `/v1/transactions/{hash}` | [`TransactionView`] |
//! | POST `/v1/transactions` | body: a signed transaction's encoding (`application/octet-stream`); 202 and [`Submitted`], or a [`Problem`] with the rejection's code |
//! | POST `/v1/transactions/simulate` | same body; [`Simulated`] |
//! | GET `/v1/data/{hash}` | [`DataView`]: whose data this BLAKE3 names; 404 while it is new |
//! | GET `/v1/finality/{height}` | [`FinalityView`] |
//! | GET `/v1/events?from={height}` | server-sent events: each `data` is an [`EventView`]; resumed after header `Last-Event-ID`, or after `?last_event_id=` |
//! | PUT `/v1/blobs/{hash}` | stores the body under its BLAKE3; 201 and [`BlobView`] |
//! | GET `/v1/blobs/{hash}` | the bytes |
//! | POST `/v1/score` | body [`ScoreRequest`](score::ScoreRequest); [`ScoreAnswer`](score::ScoreAnswer), 503 when too many wait |
//! | POST `/v1/faucet` | localnets: body [`FaucetRequest`]; 202 and [`Submitted`] |
//! | GET `/metrics`, `/openapi.json` | Prometheus text, OpenAPI 3.1 |

pub mod score;

use serde::{Deserialize, Serialize};

use crate::{
    Address, BlockHash, ChainId, ContentHash, Embedding, Epoch, Height, PublicKey, Receipt, RejectionCode,
    Seed, Shannons, StateRoot, SubmissionId, Transaction, TransactionHash,
    event::Event,
    objects::{
        AuditOutcome, AuditStage, AuditVote, Duty, EpochRecord, EpochState, Model, Pool, Seat, Shares,
        Submission, SupplyBreakdown, Target, Validator,
    },
    transaction::PoolId,
    upgrade::{Proposal, ProtocolVersion},
};

/// Items of a page where the request names no limit.
pub const PAGE_ITEMS_DEFAULT: usize = 100;
/// Most items of a page.
pub const PAGE_ITEMS_MAX: usize = 1_000;

macro_rules! answers {
    ($( $(#[$doc:meta])* pub struct $name:ident { $($body:tt)* } )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
            pub struct $name { $($body)* }
        )*
    };
}

/// A part of a list. `next`, given back as `cursor`, continues it; none at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to go on.
    pub next: Option<String>,
}

answers! {
    /// An error, after RFC 9457.
    pub struct Problem {
        /// Names the kind of problem: `about:blank`, or `urn:soma:rejection:CODE`.
        #[serde(rename = "type")]
        pub kind: String,
        /// The kind in words.
        pub title: String,
        /// The HTTP status.
        pub status: u16,
        /// What happened and what to do.
        pub detail: String,
        /// The ledger's rejection code, if the ledger said no.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<u16>))]
        pub code: Option<RejectionCode>,
        /// The rejection's stable name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
    }

    /// The middle and the slow end of a measure, in milliseconds. Zero where nothing was measured yet.
    pub struct Percentiles {
        /// Half are faster.
        pub p50: u64,
        /// 95% are faster.
        pub p95: u64,
    }

    /// How a node stands.
    pub struct Status {
        /// The network's name.
        pub network: String,
        /// The network.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub chain: ChainId,
        /// The software's version.
        pub version: String,
        /// The key that verifies every certificate: 48 bytes in hex.
        pub network_key: String,
        /// The last finalized block.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        pub height: Height,
        /// Its hash.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub block: BlockHash,
        /// The state root after it.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub state_root: StateRoot,
        /// When it was proposed, in milliseconds since 1970.
        pub timestamp_ms: u64,
        /// The epoch in progress.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        pub epoch: Epoch,
        /// Its first block.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        pub epoch_first_height: Height,
        /// Its length.
        pub epoch_length_blocks: u64,
        /// Members of the consensus committee.
        pub validators: u32,
        /// This node's network key, if it is a validator.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        pub network_identity: Option<PublicKey>,
        /// Transactions that wait.
        pub mempool_transactions: u64,
        /// From proposal to finality, over recent blocks.
        pub finality_ms: Percentiles,
        /// Between consecutive blocks' timestamps, over recent blocks.
        pub block_ms: Percentiles,
        /// Bytes sent to other validators since the node started.
        pub network_bytes_sent: u64,
        /// Bytes received from them.
        pub network_bytes_received: u64,
        /// The version of the rules in force.
        #[cfg_attr(feature = "openapi", schema(value_type = u32))]
        pub protocol_version: ProtocolVersion,
        /// The newest version that this node implements.
        #[cfg_attr(feature = "openapi", schema(value_type = u32))]
        pub protocol_version_supported: ProtocolVersion,
        /// The next scheduled upgrade; before others one that this node does not support.
        pub upgrade: Option<ScheduledUpgrade>,
    }

    /// A change of the protocol that is certain.
    pub struct ScheduledUpgrade {
        /// The proposal's number.
        pub proposal: u64,
        /// The version of the rules from then on.
        #[cfg_attr(feature = "openapi", schema(value_type = u32))]
        pub version: ProtocolVersion,
        /// The first epoch under them.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        pub activation: Epoch,
        /// Whether this node implements it. One that does not stops before that epoch.
        pub supported: bool,
    }

    /// A proposed change of the protocol, and who of the current committee is for it.
    pub struct ProposalView {
        /// What the ledger knows of it.
        #[serde(flatten)]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub proposal: Proposal,
        /// Seats for it.
        pub seats: u32,
        /// All seats.
        pub seats_total: u32,
        /// Stake for it.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub stake: Shannons,
        /// All stake.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub stake_total: Shannons,
    }

    /// Where every shannon is. `expected` and `actual` are equal, always.
    pub struct Supply {
        /// What existed at genesis.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub initial: Shannons,
        /// Emitted since.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub emitted: Shannons,
        /// Burned since.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub burned: Shannons,
        /// The maximum supply.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub expected: Shannons,
        /// The sum of `breakdown`.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub actual: Shannons,
        /// The parts.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub breakdown: SupplyBreakdown,
        /// As of this block.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        pub height: Height,
    }

    /// An epoch: in progress, or over.
    pub struct EpochView {
        /// Its number.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        pub epoch: Epoch,
        /// Whether it is in progress.
        pub current: bool,
        /// How it stands, or stood when it closed.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub state: EpochState,
        /// What became of it, once it is over.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub record: Option<EpochRecord>,
    }

    /// What one account holds in one pool.
    pub struct StakeView {
        /// The pool.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub pool: PoolId,
        /// Its shares.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub shares: Shares,
        /// The stake that counts.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub counting: Shannons,
        /// Added in this epoch, counting from the next.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub pending: Shannons,
    }

    /// Withdrawn stake that waits.
    pub struct UnbondingView {
        /// The pool it was in.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub pool: PoolId,
        /// How much; a slash of the pool for the time in which it counted still takes its part.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub amount: Shannons,
        /// It is released in this epoch's first blocks.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        pub release: Epoch,
    }

    /// An account.
    pub struct AccountView {
        /// Its name.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub address: Address,
        /// What it can spend.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub balance: Shannons,
        /// The nonce of its next transaction in the ledger.
        pub nonce: u64,
        /// The nonce to sign with: the next after those waiting in this node's mempool.
        pub nonce_pending: u64,
        /// Its stakes.
        pub stakes: Vec<StakeView>,
        /// What it has withdrawn and not yet got, in the order of release.
        pub unbonding: Vec<UnbondingView>,
    }

    /// A transaction: waiting, or included for ever.
    pub struct TransactionView {
        /// Its name.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub hash: TransactionHash,
        /// What was asked.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub transaction: Transaction,
        /// What became of it; none while it waits.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub receipt: Option<Receipt>,
        /// When its block was proposed, in milliseconds since 1970.
        pub timestamp_ms: Option<u64>,
    }

    /// A validator.
    pub struct ValidatorView {
        /// What the ledger knows of it.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub validator: Validator,
        /// Its pool.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub pool: Pool,
        /// Its seat in this epoch's committee.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub seat: Option<Seat>,
        /// What it did in this epoch.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub duty: Option<Duty>,
    }

    /// A model.
    pub struct ModelView {
        /// What the ledger knows of it.
        #[serde(flatten)]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub model: Model,
        /// Its pool.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub pool: Pool,
        /// Where it specialises: of the weights it competes with, or of those about to take over.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        pub embedding: Option<Embedding>,
    }

    /// A target.
    pub struct TargetView {
        /// What the ledger knows of it.
        #[serde(flatten)]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub target: Target,
        /// Drawn from its seed.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub embedding: Embedding,
        /// The least dot product with `embedding`, in Q30, of what is committed now: the target's own
        /// threshold, or the one in force where that is lower.
        pub commit_threshold_q30: i64,
        /// Whether its epoch is in progress: one that is neither filled nor of this epoch is closed.
        pub current: bool,
    }

    /// One auditor's work on a submission, in one stage of its audit.
    pub struct AuditView {
        /// The stage: `drawn` or `hearing`.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub stage: AuditStage,
        /// Whose vote it is.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub auditor: Address,
        /// Its steps so far.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub vote: AuditVote,
    }

    /// A submission.
    pub struct SubmissionView {
        /// What the ledger knows of it.
        #[serde(flatten)]
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub submission: Submission,
        /// The winning model's embedding of its data, from the reveal until it is settled.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        pub embedding: Option<Embedding>,
        /// The stage of its audit, while votes are taken: `drawn`, or `hearing` once its auditors accused it
        /// and the whole committee votes.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        pub audit_stage: Option<AuditStage>,
        /// Whose votes are taken in that stage.
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
        pub auditors: Vec<Address>,
        /// What auditors did, until its outcome replaces it.
        pub audits: Vec<AuditView>,
        /// How its audit ended.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub audit_outcome: Option<AuditOutcome>,
    }

    /// Data that is someone's: it was revealed, and has won or may still win.
    pub struct DataView {
        /// Its BLAKE3.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub hash: ContentHash,
        /// The submission that revealed it.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub submission: SubmissionId,
        /// Whether it has won, so that it is never new again.
        pub won: bool,
    }

    /// A finalized block.
    pub struct BlockView {
        /// Its height.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        pub height: Height,
        /// Its name.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub hash: BlockHash,
        /// Its parent's.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub parent: BlockHash,
        /// The round of consensus that made it.
        pub view: u64,
        /// When it was proposed, in milliseconds since 1970.
        pub timestamp_ms: u64,
        /// The network key of its proposer.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub proposer: PublicKey,
        /// What execution took for chance.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub seed: Seed,
        /// The threshold signature behind the seed, over the parent's round: 96 bytes in hex. None after
        /// genesis.
        pub seed_signature: Option<String>,
        /// The state root after it.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub state_root: StateRoot,
        /// Its transactions, in order.
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
        pub transactions: Vec<TransactionHash>,
        /// Its length in bytes.
        pub size_bytes: u64,
    }

    /// Proof that a block is final.
    pub struct FinalityView {
        /// The block.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        pub height: Height,
        /// Its name.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub hash: BlockHash,
        /// The certificate in hex: the proposal (round, parent view, block) and the threshold signatures.
        pub certificate: String,
        /// The key that verifies it: 48 bytes in hex.
        pub network_key: String,
        /// From proposal until this node saw it final; none if that was before it started.
        pub latency_ms: Option<u64>,
    }

    /// A transaction was taken up and waits for a block.
    pub struct Submitted {
        /// Its name.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub hash: TransactionHash,
    }

    /// What a transaction would lead to in the next block.
    pub struct Simulated {
        /// Its receipt.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub receipt: Receipt,
    }

    /// One change of the ledger, in order.
    pub struct EventView {
        /// The block.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        pub height: Height,
        /// Its place among the block's events.
        pub index: u32,
        /// The transaction behind it; none if the block itself did it.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        pub transaction: Option<TransactionHash>,
        /// What changed.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub event: Event,
    }

    /// Stored content.
    pub struct BlobView {
        /// Its BLAKE3.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        pub hash: ContentHash,
        /// Its length in bytes.
        pub size_bytes: u64,
    }
}

/// Asks a localnet's faucet for money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FaucetRequest {
    /// For whom.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub address: Address,
    /// How much; the node's default where left out.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub amount: Option<Shannons>,
}

/// Splits a list's remaining items into a page of `limit`, with the cursor of the first item left out.
#[must_use]
pub fn page<T>(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Page<T> {
    let next = items.get(limit).map(cursor);
    items.truncate(limit);
    Page { items, next }
}

impl SubmissionView {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> SubmissionId {
        self.submission.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_name_what_comes_next() {
        let all = page(vec![1, 2, 3], 3, ToString::to_string);
        assert_eq!((all.items.len(), all.next), (3, None));
        let part = page(vec![1, 2, 3], 2, ToString::to_string);
        assert_eq!((part.items, part.next), (vec![1, 2], Some("3".into())));
    }

    #[test]
    fn an_event_keeps_its_own_fields_apart() {
        let event = Event::EpochStarted {
            epoch: Epoch(1),
            height: Height(80),
            seed: Seed([1; 32]),
            models: 3,
            committee: 4,
        };
        let view = EventView {
            height: Height(80),
            index: 0,
            transaction: None,
            event,
        };
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["event"]["event"], "epoch_started");
        assert_eq!(serde_json::from_value::<EventView>(json).unwrap(), view);
    }
}
