//! The global model.

use serde::{Deserialize, Serialize};

use crate::{
    Architecture, ChainId, Embedding, Epoch, Height, ModelId, Shannons, genesis::GenesisWeights,
    objects::Weights,
};

answers! {
    /// One of the models that are the global model: what it takes to fetch it, and what it counts for. All of
    /// it stands still within an epoch.
    pub struct ExpertView {
        /// The model.
        pub model: ModelId,
        /// The weights it competes with, and the key that opens them.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub weights: Weights,
        /// Where it specialises.
        pub embedding: Embedding,
        /// The stake that counts in this epoch: what a mixture begins with, and routing weighs.
        pub stake: Shannons,
    }

    /// The global model of an epoch, or a part of it: parts with the same `height` are of one view.
    pub struct GlobalView {
        /// The network.
        pub chain: ChainId,
        /// The epoch in progress.
        pub epoch: Epoch,
        /// Its first block: from there on all this stands still.
        pub height: Height,
        /// The shape of its models.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub architecture: Architecture,
        /// The weights that all are free to descend from, if the network began with such.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub genesis: Option<GenesisWeights>,
        /// Its models, in no particular order.
        pub experts: Vec<ExpertView>,
        /// Where to go on; none at the end.
        pub next: Option<String>,
    }
}
