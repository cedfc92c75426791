//! How far the publication of weights can have come.

use soma_types::{ContentHash, Epoch, ModelId, Receipt, Url};

/// How far the publication of weights has come.
#[derive(Clone, Debug)]
pub enum Publication {
    /// Nothing that is known has been done.
    Begins,
    /// They are committed and wait for their reveal.
    Committed(Box<CommittedModel>),
    /// They are revealed, and compete from this epoch.
    Revealed(Epoch),
}

/// Weights that were committed.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CommittedModel {
    /// The model.
    pub model: ModelId,
    /// BLAKE3 of the encrypted weights.
    pub hash: ContentHash,
    /// Their length in bytes.
    pub size_bytes: u64,
    /// Where they can be fetched.
    pub url: Url,
    /// The epoch in which they must be revealed.
    pub reveal_in: Epoch,
    /// The commit's receipt; none where an earlier process has committed them.
    pub receipt: Option<Receipt>,
}
