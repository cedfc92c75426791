//! How well models predict held-out text: each alone, and mixed.

use std::collections::BTreeMap;

use soma_data::Dataset;
use soma_model::{MixtureScore, Model, ScoreError, Scorer};

/// Held-out text of one domain.
#[derive(Debug)]
pub struct HeldOut {
    /// The domain's name.
    pub domain: String,
    /// Its documents.
    pub documents: Dataset,
}

/// Totals of every model and of their mixture, by domain.
#[derive(Debug)]
pub struct Measured {
    by_domain: BTreeMap<String, MixtureScore>,
}

impl Measured {
    /// Scores all documents with all `experts`, each with its stake.
    ///
    /// # Errors
    /// When a model cannot score.
    pub fn take(scorer: &Scorer, experts: &[(&Model, u64)], text: &[&HeldOut]) -> Result<Self, ScoreError> {
        let mut by_domain = BTreeMap::new();
        for HeldOut { domain, documents } in text {
            let mut total: Option<MixtureScore> = None;
            for document in documents.documents() {
                let score = scorer.mixture(experts, &document.data)?;
                match &mut total {
                    Some(total) => total.add(&score),
                    None => total = Some(score),
                }
            }
            if let Some(total) = total {
                by_domain.insert(domain.clone(), total);
            }
        }
        Ok(Self { by_domain })
    }

    /// Bits per byte of expert `index`, by domain.
    pub fn expert(&self, index: usize) -> BTreeMap<String, f64> {
        self.by_domain
            .iter()
            .map(|(domain, score)| (domain.clone(), score.experts_bits_per_byte()[index]))
            .collect()
    }

    /// Bits per byte of the mixture, by domain.
    pub fn mixture(&self) -> BTreeMap<String, f64> {
        self.by_domain
            .iter()
            .map(|(domain, score)| (domain.clone(), score.mixture_bits_per_byte()))
            .collect()
    }

    /// The best single expert of `domain`.
    pub fn best_in(&self, domain: &str) -> Option<usize> {
        self.by_domain.get(domain).map(MixtureScore::best_expert)
    }

    /// Everything together: the mixed held-out text.
    pub fn mixed(&self) -> Option<MixtureScore> {
        let mut scores = self.by_domain.values();
        let mut total = scores.next()?.clone();
        scores.for_each(|score| total.add(score));
        Some(total)
    }
}
