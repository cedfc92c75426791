//! The models that are served: each by its name, and all of them together as the whole.

use std::sync::Arc;

use soma_model::{Model, Scorer};
use soma_types::{ContentHash, Epoch};

/// What all models together are called.
pub const WHOLE: &str = "whole";

/// A model in memory.
#[derive(Clone, Debug)]
pub struct Expert {
    /// What it is called.
    pub name: String,
    /// BLAKE3 of its weights file.
    pub weights: ContentHash,
    /// What it counts for in the whole, before anything is known.
    pub stake: u64,
    /// Its weights; shared with those who served it before.
    pub model: Arc<Model>,
}

/// Models of one architecture, and what reads with them.
#[derive(Debug)]
pub struct Models {
    scorer: Scorer,
    experts: Vec<Expert>,
    epoch: Option<Epoch>,
}

/// Why models are not served.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    /// There is none.
    #[error("no models to serve")]
    None,
    /// Two have the same name, or one the whole's.
    #[error("'{0}' is the name of two models, or of all together: rename a file")]
    Name(String),
}

/// Which models answer: one, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Places among the models.
    pub places: Vec<usize>,
}

impl Models {
    /// These; of a network's `epoch`, or files.
    ///
    /// # Errors
    /// When there is none, or names are not distinct.
    pub fn new(scorer: Scorer, experts: Vec<Expert>, epoch: Option<Epoch>) -> Result<Self, ModelsError> {
        if experts.is_empty() {
            return Err(ModelsError::None);
        }
        let mut names = std::collections::BTreeSet::from([WHOLE]);
        if let Some(expert) = experts.iter().find(|expert| !names.insert(&expert.name)) {
            return Err(ModelsError::Name(expert.name.clone()));
        }
        Ok(Self {
            scorer,
            experts,
            epoch,
        })
    }

    /// What reads with them.
    #[must_use]
    pub const fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    /// All of them.
    #[must_use]
    pub fn experts(&self) -> &[Expert] {
        &self.experts
    }

    /// The epoch of the network whose models these are; none of files.
    #[must_use]
    pub const fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// What may be asked for: the whole first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let own = self.experts.iter().map(|expert| expert.name.as_str());
        std::iter::once(WHOLE).chain(own)
    }

    /// Those that are called `name`.
    #[must_use]
    pub fn chosen(&self, name: &str) -> Option<Chosen> {
        let places = match self.experts.iter().position(|expert| expert.name == name) {
            Some(place) => vec![place],
            None if name == WHOLE => (0..self.experts.len()).collect(),
            None => return None,
        };
        Some(Chosen { places })
    }

    /// Their experts.
    pub fn of<'m>(&'m self, chosen: &'m Chosen) -> impl Iterator<Item = &'m Expert> {
        chosen.places.iter().map(|place| &self.experts[*place])
    }

    /// Their models with their stakes, as they are mixed.
    #[must_use]
    pub fn mixed<'m>(&'m self, chosen: &Chosen) -> Vec<(&'m Model, u64)> {
        let places = chosen.places.iter();
        places
            .map(|place| (&*self.experts[*place].model, self.experts[*place].stake))
            .collect()
    }
}
