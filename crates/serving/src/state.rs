//! What every request finds.

use std::sync::Arc;

use crate::{engine::Engine, models::Models};

/// What answers.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The models.
    pub models: Arc<Models>,
    /// What writes with them.
    pub engine: Engine,
}
