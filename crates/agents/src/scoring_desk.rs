//! One place where a machine's auditors have winners scored.
//!
//! Exact scoring is a function, so validators of one operator on one machine may share its result: the
//! work is done once, by one of them, on all cores. Validators on machines of their own share nothing.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use soma_model::{Batch, Contest, Directions, Model, ScoreError, Scorer};
use soma_types::{ContentHash, Seed};
use tokio::sync::Mutex;

/// Results kept; past that the desk starts afresh, which costs time and nothing else.
const RESULTS_MAX: usize = 4096;

/// All that a score depends on: the directions' seed, the data, and the weights in their order.
type Question = (Seed, ContentHash, Vec<ContentHash>);
type Answer = Result<Arc<Contest>, NoScore>;

/// Why there is no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoScore {
    /// Scoring says so.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// Scoring panicked, which is a bug. It would again, so it is not tried again.
    #[error("scoring stopped unexpectedly: {0}")]
    Panicked(String),
}

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

/// Says stop when nobody waits for the result any more.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
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

    /// The exact result, computed now or before. Cases queue: each has all cores to itself. One that nobody
    /// waits for any more is given up.
    ///
    /// # Errors
    /// When the data has no score, or scoring panicked.
    pub async fn contest(&self, case: Case) -> Answer {
        let weights = case.models.iter().map(|(hash, _)| *hash).collect();
        let question = (case.seed, case.data_hash, weights);
        let mut answers = self.answers.lock().await;
        if let Some(answer) = answers.get(&question) {
            return answer.clone();
        }
        let (scorer, abandoned) = (self.scorer, Arc::new(AtomicBool::new(false)));
        let _abandon = Abandon(Arc::clone(&abandoned));
        let scored = tokio::task::spawn_blocking(move || score(scorer, &case, &abandoned)).await;
        let answer = scored.unwrap_or_else(|error| Err(NoScore::Panicked(error.to_string())));
        if answers.len() >= RESULTS_MAX {
            answers.clear();
        }
        answers.insert(question, answer.clone());
        answer
    }
}

fn score(scorer: Scorer, case: &Case, abandoned: &AtomicBool) -> Answer {
    let watch = |_| {
        if abandoned.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let of_the_one = |error| match error {
        ScoreError::Document { error, .. } => *error,
        error => error,
    };
    let documents = [case.data.as_slice()];
    let mut batch = Batch::new(scorer, &documents, &case.directions).map_err(of_the_one)?;
    for (_, model) in &case.models {
        batch.add(model, &watch).map_err(of_the_one)?;
    }
    let [contest] = batch.finish()?.try_into().map_err(|_| ScoreError::Empty)?;
    Ok(Arc::new(contest?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::test_cast::{ARCHITECTURE, DATA, contest, models};

    fn case(data: Vec<u8>) -> Case {
        let seed = Seed([9; 32]);
        let name = |index| ContentHash([index; 32]);
        let named = (0..).zip(models());
        Case {
            seed,
            directions: Arc::new(Directions::draw(&seed, &ARCHITECTURE)),
            data_hash: ContentHash::of(&data),
            data,
            models: named
                .map(|(index, model)| (name(index), Arc::new(model.clone())))
                .collect(),
        }
    }

    #[tokio::test]
    async fn the_result_is_the_exact_one_and_data_without_a_score_has_none() {
        let desk = ScoringDesk::new(Scorer::new().unwrap());
        let scored = desk.contest(case(DATA.to_vec())).await.unwrap();
        assert_eq!(scored.transcript(), contest().transcript());
        let empty = desk.contest(case(Vec::new())).await;
        assert!(
            matches!(empty, Err(NoScore::Score(ScoreError::Empty))),
            "{empty:?}"
        );
    }

    /// What takes hours would otherwise keep the next epoch's winners waiting.
    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_given_up() {
        let desk = ScoringDesk::new(Scorer::new().unwrap());
        let endless = case(vec![b'x'; 1 << 20]);
        let given_up = tokio::time::timeout(Duration::from_millis(100), desk.contest(endless)).await;
        assert!(given_up.is_err(), "a megabyte takes longer");
        let next = tokio::time::timeout(Duration::from_secs(60), desk.contest(case(DATA.to_vec()))).await;
        assert!(next.unwrap().is_ok());
        assert_eq!(
            desk.answers.lock().await.len(),
            1,
            "what was given up has no result"
        );
    }
}
