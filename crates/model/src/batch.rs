//! Many documents against many models, one model at a time.
//!
//! A model's weights are read once for all documents, and only one model has to be in memory: take one,
//! [`Batch::add`] it, let it go, take the next. The results are those of [`Scorer::score_all`], bit for bit.

use soma_types::Architecture;

use crate::{
    model::Model,
    score::{Contest, ModelError, Score, ScoreError, Scorer, Watch, check_length},
    sigreg::Directions,
    tokenizer::{Chunk, chunks},
};

/// Documents on their way through models.
#[derive(Debug)]
pub struct Batch<'a> {
    scorer: Scorer,
    documents: &'a [&'a [u8]],
    directions: &'a Directions,
    /// By document, then by model.
    results: Vec<Vec<Result<Score, ModelError>>>,
}

impl<'a> Batch<'a> {
    /// A batch that no model has seen yet.
    ///
    /// # Errors
    /// When there are no documents, or one is empty or too long; it is named by its place.
    pub fn new(
        scorer: Scorer,
        documents: &'a [&'a [u8]],
        directions: &'a Directions,
    ) -> Result<Self, ScoreError> {
        if documents.is_empty() {
            return Err(ScoreError::Empty);
        }
        for (index, document) in documents.iter().enumerate() {
            check_length(document).map_err(|error| ScoreError::Document {
                index,
                error: Box::new(error),
            })?;
        }
        Ok(Self {
            scorer,
            documents,
            directions,
            results: vec![Vec::new(); documents.len()],
        })
    }

    /// Tokens that [`Self::add`] will report to its watch, for a model of this architecture.
    #[must_use]
    pub fn tokens(&self, architecture: &Architecture) -> u64 {
        let length = architecture.max_seq_len as usize;
        let lengths = self
            .documents
            .iter()
            .flat_map(|document| chunks(document, length));
        lengths.map(|chunk: Chunk<'_>| chunk.len() as u64).sum()
    }

    /// Scores every document with `model`, the batch's next.
    ///
    /// # Errors
    /// [`ScoreError::Cancelled`] when the watch says stop, or what [`Scorer::score`] refuses but a model
    /// without a score, which loses. Then the batch is as it was before the call.
    pub fn add(&mut self, model: &Model, watch: &Watch<'_>) -> Result<(), ScoreError> {
        let scores = self
            .scorer
            .score_each(model, self.documents, self.directions, watch)?;
        for (results, score) in self.results.iter_mut().zip(scores) {
            results.push(score);
        }
        Ok(())
    }

    /// The batch's next model has no usable weights, as `reason` says: it has no score on any document, so it
    /// loses.
    pub fn add_unusable(&mut self, reason: &str) {
        for results in &mut self.results {
            results.push(Err(ModelError::Unusable(reason.to_owned())));
        }
    }

    /// One contest for each document, among the models in the order they were added. A document on which
    /// no model has a score has none: [`ScoreError::Model`] names the first one's reason.
    ///
    /// # Errors
    /// [`ScoreError::NoModels`] when none was added.
    pub fn finish(self) -> Result<Vec<Result<Contest, ScoreError>>, ScoreError> {
        if self.results[0].is_empty() {
            return Err(ScoreError::NoModels);
        }
        Ok(self.results.into_iter().map(Contest::new).collect())
    }
}
