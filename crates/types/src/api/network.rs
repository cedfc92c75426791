//! How the network and a node of it stand.

use serde::{Deserialize, Serialize};

use crate::{
    BlockHash, ChainId, Epoch, Height, PublicKey, Shannons, StateRoot,
    objects::{EpochRecord, EpochState, SupplyBreakdown},
    upgrade::{Proposal, ProtocolVersion},
};

answers! {
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
        pub chain: ChainId,
        /// The software's version.
        pub version: String,
        /// The key that verifies every certificate: 48 bytes in hex.
        pub network_key: String,
        /// The last finalized block.
        pub height: Height,
        /// Its hash.
        pub block: BlockHash,
        /// The state root after it.
        pub state_root: StateRoot,
        /// When it was proposed, in milliseconds since 1970.
        pub timestamp_ms: u64,
        /// The epoch in progress.
        pub epoch: Epoch,
        /// Its first block.
        pub epoch_first_height: Height,
        /// Its length.
        pub epoch_length_blocks: u64,
        /// Members of the consensus committee.
        pub validators: u32,
        /// This node's network key, if it is a validator.
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
        pub stake: Shannons,
        /// All stake.
        pub stake_total: Shannons,
    }

    /// Where every shannon is. `expected` and `actual` are equal, always.
    pub struct Supply {
        /// What existed at genesis.
        pub initial: Shannons,
        /// Emitted since.
        pub emitted: Shannons,
        /// Burned since.
        pub burned: Shannons,
        /// The maximum supply.
        pub expected: Shannons,
        /// The sum of `breakdown`.
        pub actual: Shannons,
        /// The parts.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub breakdown: SupplyBreakdown,
        /// As of this block.
        pub height: Height,
    }

    /// An epoch: in progress, or over.
    pub struct EpochView {
        /// Its number.
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
}
