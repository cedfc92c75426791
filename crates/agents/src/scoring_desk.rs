//! One place where a machine's auditors have winners scored.
//!
//! Exact scoring is a function, so validators of one operator on one machine may share its result: the
//! work is done once, by one of them, on all cores. Validators on machines of their own share nothing.

use std::{collections::BTreeMap, sync::Arc};

use soma_model::{Contest, Directions, Model, ScoreError, Scorer};
use soma_types::{ContentHash, Seed};
use tokio::{sync::Mutex, task::JoinError};

/// Results kept; past that the desk starts afresh, which costs time and nothing else.
const RESULTS_MAX: usize = 4096;

/// All that a score depends on: the directions' seed, the data, and the weights in their order.
type Question = (Seed, ContentHash, Vec<ContentHash>);
type Answer = Result<Arc<Contest>, ScoreError>;

/// Scores each question once. Clones share it.
#[derive(Clone, Debug)]
pub struct ScoringDesk {
    scorer: Scorer,
    answers: Arc<Mutex<BTreeMap<Question, Answer>>>,
}

/// One contest to be scored.
#[derive(Clone, Debug)]
pub struct Case {
    /// The epoch's seed, from which `directions` were drawn.
    pub seed: Seed,
    /// SIGReg's directions.
    pub directions: Arc<Directions>,
    /// The data's hash.
    pub data_hash: ContentHash,
    /// The data.
    pub data: Vec<u8>,
    /// The models in the target's order, each with the hash of its weights file.
    pub models: Vec<(ContentHash, Arc<Model>)>,
}

impl ScoringDesk {
    /// A desk with nothing scored yet.
    #[must_use]
    pub fn new(scorer: Scorer) -> Self {
        Self {
            scorer,
            answers: Arc::default(),
        }
    }

    /// The exact result, computed now or before. Cases queue: each has all cores to itself.
    ///
    /// # Errors
    /// The outer error when scoring panicked, which is a bug; the inner one when the data has no score.
    pub async fn contest(&self, case: Case) -> Result<Answer, JoinError> {
        let weights = case.models.iter().map(|(hash, _)| *hash).collect();
        let question = (case.seed, case.data_hash, weights);
        let mut answers = self.answers.lock().await;
        if let Some(answer) = answers.get(&question) {
            return Ok(answer.clone());
        }
        let scorer = self.scorer;
        let answer = tokio::task::spawn_blocking(move || {
            let models: Vec<&Model> = case.models.iter().map(|(_, model)| model.as_ref()).collect();
            scorer
                .score_all(&models, &case.data, &case.directions)
                .map(Arc::new)
        })
        .await?;
        if answers.len() >= RESULTS_MAX {
            answers.clear();
        }
        answers.insert(question, answer.clone());
        Ok(answer)
    }
}
