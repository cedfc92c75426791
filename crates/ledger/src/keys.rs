//! Where what is proved to light clients lies in the state.

use soma_types::{Address, ModelId, TargetId};

use crate::tables::{ACCOUNTS, MODELS, TARGETS};

/// The key of an [`Account`](soma_types::objects::Account).
#[must_use]
pub fn account(address: &Address) -> Vec<u8> {
    ACCOUNTS.key(address)
}

/// The key of a [`Model`](soma_types::objects::Model).
#[must_use]
pub fn model(id: &ModelId) -> Vec<u8> {
    MODELS.key(id)
}

/// The key of a [`Target`](soma_types::objects::Target).
#[must_use]
pub fn target(id: &TargetId) -> Vec<u8> {
    TARGETS.key(id)
}
