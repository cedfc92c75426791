//! One place where a machine's auditors have winners scored.
//!
//! Exact scoring is a function, so validators of one operator on one machine may share its result: the
//! work is done once, by one of them, on all cores. Validators on machines of their own share nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use soma_blobs::Blob;
use soma_model::{Batch, Contest, Directions, ScoreError, Scorer, Watch};
use soma_types::{ContentHash, DecryptionKey, Seed, objects::Weights};
use tokio::{runtime::Handle, sync::Mutex};

use crate::{
    attended::attended,
    experts::{ExpertError, Experts},
};

/// Results kept; past that the desk starts afresh, which costs time and nothing else.
const RESULTS_MAX: usize = 4096;

/// All that a score depends on: the directions' seed, the data, and the weights in their order. Not their
/// hashes alone: a stranger can reveal another key for someone's file.
type Question = (Seed, ContentHash, Vec<Option<(ContentHash, DecryptionKey)>>);
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
    /// A model could not be had just now.
    #[error("model {index}: {error}")]
    Expert {
        /// Its place.
        index: usize,
        /// Why it could not.
        #[source]
        error: ExpertError,
    },
    /// The data could not be read from this machine's disk.
    #[error("the data cannot be read here: {0}")]
    Data(String),
}

impl NoScore {
    /// Whether it depends on nothing but the question.
    const fn is_final(&self) -> bool {
        matches!(self, Self::Score(_) | Self::Panicked(_))
    }
}

/// Scores each question once. Clones share it.
#[derive(Clone, Debug)]
pub struct ScoringDesk {
    scorer: Scorer,
    answers: Arc<Mutex<BTreeMap<Question, Answer>>>,
    scored_bytes: Arc<AtomicU64>,
}

/// One contest to be scored.
#[derive(Clone, Debug)]
pub struct Case {
    /// The epoch's seed, from which `directions` were drawn.
    pub seed: Seed,
    /// SIGReg's directions.
    pub directions: Arc<Directions>,
    /// The data.
    pub data: Blob,
    /// The models in the target's order; none for one that the committee found unusable. One after the other
    /// is in memory.
    pub models: Vec<Option<Weights>>,
}

impl ScoringDesk {
    /// A desk with nothing scored yet.
    #[must_use]
    pub fn new(scorer: Scorer) -> Self {
        Self {
            scorer,
            answers: Arc::default(),
            scored_bytes: Arc::default(),
        }
    }

    /// Bytes of documents that were scored so far, a document once for each model.
    #[must_use]
    pub fn scored_bytes(&self) -> u64 {
        self.scored_bytes.load(Ordering::Relaxed)
    }

    /// The exact result, computed now or before, with the models that `experts` have. One whose weights
    /// nobody can use has no score, and loses. Cases queue: each has all cores to itself. One that nobody
    /// waits for any more is given up.
    ///
    /// # Errors
    /// When the data has no score, scoring panicked, or a model or the data could not be had.
    pub async fn contest(&self, case: Case, experts: &Experts) -> Answer {
        let name = |weights: &Weights| (weights.committed.hash, weights.key);
        let weights = case
            .models
            .iter()
            .map(|weights| weights.as_ref().map(name))
            .collect();
        let question = (case.seed, case.data.hash(), weights);
        let mut answers = self.answers.lock().await;
        if let Some(answer) = answers.get(&question) {
            return answer.clone();
        }
        let bytes = case.data.size_bytes() * case.models.len() as u64;
        self.scored_bytes.fetch_add(bytes, Ordering::Relaxed);
        let (scorer, experts, runtime) = (self.scorer, experts.clone(), Handle::current());
        let scored = attended(move |watch| score(scorer, &case, &experts, &runtime, watch)).await;
        let answer = scored.unwrap_or_else(|error| Err(NoScore::Panicked(error.to_string())));
        if answer.as_ref().err().is_none_or(NoScore::is_final) {
            if answers.len() >= RESULTS_MAX {
                answers.clear();
            }
            answers.insert(question, answer.clone());
        }
        answer
    }
}

fn score(scorer: Scorer, case: &Case, experts: &Experts, runtime: &Handle, watch: &Watch<'_>) -> Answer {
    let of_the_one = |error| match error {
        ScoreError::Document { error, .. } => *error,
        error => error,
    };
    let data = case
        .data
        .bytes()
        .map_err(|error| NoScore::Data(error.to_string()))?;
    let documents = [&data[..]];
    let mut batch = Batch::new(scorer, &documents, &case.directions).map_err(of_the_one)?;
    for (index, weights) in case.models.iter().enumerate() {
        let Some(weights) = weights else {
            batch.add_unusable("the committee found so");
            continue;
        };
        match experts.lend(weights, runtime, watch) {
            Ok(model) => batch.add(&model, watch).map_err(of_the_one)?,
            Err(error) if error.is_final() => batch.add_unusable(&error.to_string()),
            Err(error) => return Err(NoScore::Expert { index, error }),
        }
    }
    let [contest] = batch.finish()?.try_into().map_err(|_| ScoreError::Empty)?;
    Ok(Arc::new(contest?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use soma_model::LOSS_NONE;

    use super::*;
    use crate::test_cast::{ARCHITECTURE, DATA, Store, contest, models, published};

    /// The models' weights, and a node that keeps them.
    fn network() -> (Vec<Weights>, Store) {
        let (weights, containers) = models().iter().map(|model| published(&model.to_bytes())).unzip();
        (weights, Store::keeping(containers))
    }

    fn case(data: &[u8], models: &[Weights]) -> Case {
        let seed = Seed([9; 32]);
        Case {
            seed,
            directions: Arc::new(Directions::draw(&seed, &ARCHITECTURE)),
            data: data.to_vec().into(),
            models: models.iter().cloned().map(Some).collect(),
        }
    }

    /// Also where only one model fits memory at a time.
    #[tokio::test]
    async fn the_result_is_the_exact_one_and_data_without_a_score_has_none() {
        let (weights, store) = network();
        let one = weights
            .iter()
            .map(|weights| weights.committed.size_bytes)
            .max()
            .unwrap()
            + (1 << 16);
        for memory_bytes in [one, u64::MAX] {
            let (desk, experts) = (
                ScoringDesk::new(Scorer::new().unwrap()),
                store.experts().within(memory_bytes),
            );
            let scored = desk.contest(case(DATA, &weights), &experts).await.unwrap();
            assert_eq!(scored.transcript(), contest().transcript());
            assert_eq!(desk.scored_bytes(), (DATA.len() * weights.len()) as u64);
            let empty = desk.contest(case(b"", &weights), &experts).await;
            assert!(
                matches!(empty, Err(NoScore::Score(ScoreError::Empty))),
                "{empty:?}"
            );
        }
    }

    /// A file that is no weights, someone's file under another key, which the desk has met under its own, and
    /// what the committee found so: each loses to whoever has a score, and nothing else comes of it.
    #[tokio::test]
    async fn weights_that_nobody_can_use_have_no_score() {
        let (mut containers, mut weights) = (Vec::new(), Vec::new());
        for file in [
            &models()[0].to_bytes()[..],
            &models()[1].to_bytes(),
            b"no weights",
        ] {
            let (named, container) = published(file);
            containers.push(container);
            weights.push(named);
        }
        let experts = Store::keeping(containers).experts();
        let desk = ScoringDesk::new(Scorer::new().unwrap());
        let both = desk.contest(case(DATA, &weights[..2]), &experts).await.unwrap();
        assert!(both.losses_nano().iter().all(|loss| *loss != LOSS_NONE));

        weights[1].key = weights[0].key;
        let wrong_key = desk.contest(case(DATA, &weights[..2]), &experts).await.unwrap();
        assert_eq!(wrong_key.losses_nano(), [both.losses_nano()[0], LOSS_NONE]);
        let mut all = case(DATA, &weights);
        all.models.push(None);
        let all = desk.contest(all, &experts).await.unwrap();
        assert_eq!(all.losses_nano()[1..], [LOSS_NONE; 3]);
        assert_eq!(
            (all.winner(), all.winning()),
            (0, both.results()[0].as_ref().unwrap())
        );
        // Where all are so, there is nothing to claim.
        let none = desk.contest(case(DATA, &weights[1..]), &experts).await;
        assert!(
            matches!(none, Err(NoScore::Score(ScoreError::Model { index: 0, .. }))),
            "{none:?}"
        );
    }

    /// A model that cannot be had now may be had later.
    #[tokio::test]
    async fn what_depends_on_the_node_is_no_result() {
        let (weights, store) = network();
        let desk = ScoringDesk::new(Scorer::new().unwrap());
        let nothing = Store::keeping(Vec::new()).experts();
        let missing = desk.contest(case(DATA, &weights), &nothing).await;
        assert!(
            matches!(
                missing,
                Err(NoScore::Expert {
                    index: 0,
                    error: ExpertError::NotKept(_)
                })
            ),
            "{missing:?}"
        );
        assert!(desk.contest(case(DATA, &weights), &store.experts()).await.is_ok());
        // And what was scored once needs no model.
        assert!(desk.contest(case(DATA, &weights), &nothing).await.is_ok());
    }

    /// What takes hours would otherwise keep the next epoch's winners waiting.
    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_given_up() {
        let (weights, store) = network();
        let (desk, experts) = (ScoringDesk::new(Scorer::new().unwrap()), store.experts());
        let endless = case(&[b'x'; 1 << 20], &weights);
        let given_up =
            tokio::time::timeout(Duration::from_millis(100), desk.contest(endless, &experts)).await;
        assert!(given_up.is_err(), "a megabyte takes longer");
        let next = desk.contest(case(DATA, &weights), &experts);
        let next = tokio::time::timeout(Duration::from_secs(60), next).await;
        assert!(next.unwrap().is_ok());
        assert_eq!(
            desk.answers.lock().await.len(),
            1,
            "what was given up has no result"
        );
    }
}
