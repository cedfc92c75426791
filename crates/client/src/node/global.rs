//! The global model: all models that compete in an epoch, as one thing to take home.

use soma_types::{
    Architecture, ChainId, Epoch, Height,
    api::{ExpertView, GlobalView, PAGE_ITEMS_MAX},
    genesis::GenesisWeights,
};

use super::{LIST_ITEMS_MAX, NodeClient};
use crate::error::{ClientError, unexpected};

/// The boundaries that may come while the parts of one view are fetched.
const BOUNDARIES_MAX: usize = 8;

/// The models that compete in an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// The network.
    pub chain: ChainId,
    /// The epoch.
    pub epoch: Epoch,
    /// Its first block: from there to its end all this stands still.
    pub height: Height,
    /// The shape of its models.
    pub architecture: Architecture,
    /// The weights that all are free to descend from, if the network began with such.
    pub genesis: Option<GenesisWeights>,
    /// Its models.
    pub experts: Vec<ExpertView>,
}

impl NodeClient {
    /// The global model of the epoch in progress: one view, although it comes in parts.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn global(&self) -> Result<Global, ClientError> {
        for _ in 0..BOUNDARIES_MAX {
            if let Some(global) = self.whole_global().await? {
                return Ok(global);
            }
        }
        Err(unexpected("the whole of the global model within one epoch"))
    }

    /// The same; none where the epoch ended between two parts.
    async fn whole_global(&self) -> Result<Option<Global>, ClientError> {
        let mut whole: Option<Global> = None;
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("limit", PAGE_ITEMS_MAX.to_string())];
            query.extend(cursor.iter().map(|cursor| ("cursor", cursor.clone())));
            let part: GlobalView = self.get("/v1/global", &query).await?;
            let found = whole.get_or_insert_with(|| Global {
                chain: part.chain,
                epoch: part.epoch,
                height: part.height,
                architecture: part.architecture,
                genesis: part.genesis,
                experts: Vec::new(),
            });
            if found.height != part.height {
                return Ok(None);
            }
            found.experts.extend(part.experts);
            match part.next {
                // A cursor that stands still would go on for ever.
                Some(next) if cursor.as_ref() != Some(&next) && found.experts.len() < LIST_ITEMS_MAX => {
                    cursor = Some(next);
                }
                _ => return Ok(whole),
            }
        }
    }
}
