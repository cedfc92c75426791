//! Small random models, scored for real: scores cannot be made up, not even in tests.

use std::sync::OnceLock;

use soma_model::{Contest, Directions, Model, Scorer};
use soma_types::{Architecture, ModelId, Seed};

/// Small enough to score in milliseconds.
pub const ARCHITECTURE: Architecture = Architecture {
    embedding_dim: 32,
    heads: 2,
    layers: 1,
    ffn_dim: 64,
    max_seq_len: 32,
    rope_wavelength: 10_000,
};

/// The data that was scored.
pub const DATA: &[u8] = b"Each round each of them looks for what the others do not know yet.";

/// Names for the models, in their order.
pub const MODELS: [ModelId; 3] = [ModelId([1; 32]), ModelId([2; 32]), ModelId([3; 32])];

/// The models.
pub fn models() -> &'static [Model; 3] {
    static MODELS: OnceLock<[Model; 3]> = OnceLock::new();
    MODELS.get_or_init(|| [0, 1, 2].map(|seed| Model::random(&ARCHITECTURE, seed)))
}

/// [`DATA`] scored with three random models.
pub fn contest() -> &'static Contest {
    static CONTEST: OnceLock<Contest> = OnceLock::new();
    CONTEST.get_or_init(|| {
        let directions = Directions::draw(&Seed([9; 32]), &ARCHITECTURE);
        let scorer = Scorer::new().expect("this machine scores exactly");
        scorer
            .score_all(&models().each_ref(), DATA, &directions)
            .expect("random models score")
    })
}
