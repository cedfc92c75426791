//! Blocks, what is in them, and what is on its way there.

use serde::{Deserialize, Serialize};

use crate::{
    Address, BlockHash, ContentHash, Height, PublicKey, Receipt, Seed, Shannons, StateRoot, Transaction,
    TransactionHash, event::Event,
};

answers! {
    /// A transaction: waiting, or included for ever.
    pub struct TransactionView {
        /// Its name.
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

    /// A transaction was taken up and waits for a block.
    pub struct Submitted {
        /// Its name.
        pub hash: TransactionHash,
    }

    /// What a transaction would lead to in the next block.
    pub struct Simulated {
        /// Its receipt.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub receipt: Receipt,
    }

    /// A finalized block.
    pub struct BlockView {
        /// Its height.
        pub height: Height,
        /// Its name.
        pub hash: BlockHash,
        /// Its parent's.
        pub parent: BlockHash,
        /// The round of consensus that made it.
        pub view: u64,
        /// When it was proposed, in milliseconds since 1970.
        pub timestamp_ms: u64,
        /// The network key of its proposer.
        pub proposer: PublicKey,
        /// What execution took for chance.
        pub seed: Seed,
        /// The threshold signature behind the seed, over the parent's round: 96 bytes in hex. None after
        /// genesis.
        pub seed_signature: Option<String>,
        /// The state root after it.
        pub state_root: StateRoot,
        /// Its transactions, in order.
        pub transactions: Vec<TransactionHash>,
        /// Its length in bytes.
        pub size_bytes: u64,
    }

    /// Proof that a block is final.
    pub struct FinalityView {
        /// The block.
        pub height: Height,
        /// Its name.
        pub hash: BlockHash,
        /// The certificate in hex: the proposal (round, parent view, block) and the threshold signatures.
        pub certificate: String,
        /// The key that verifies it: 48 bytes in hex.
        pub network_key: String,
        /// From proposal until this node saw it final; none if that was before it started.
        pub latency_ms: Option<u64>,
    }

    /// A proof, for whoever trusts nothing but the network's key.
    pub struct ProofView {
        /// The height of the block after which it was so.
        pub height: Height,
        /// The proof in hex, for `soma verify` and its like: claim, headers, certificate.
        pub proof: String,
    }

    /// One change of the ledger, in order.
    pub struct EventView {
        /// The block.
        pub height: Height,
        /// Its place among the block's events.
        pub index: u32,
        /// The transaction behind it; none if the block itself did it.
        pub transaction: Option<TransactionHash>,
        /// What changed.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub event: Event,
    }

    /// Stored content.
    pub struct BlobView {
        /// Its BLAKE3.
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
    pub address: Address,
    /// How much; the node's default where left out.
    #[serde(default)]
    pub amount: Option<Shannons>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Seed};

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
