//! A service that scores exactly, for many askers, on one machine.
//!
//! Upon a request:
//! - a place in the queue is free: it is taken; otherwise the asker is told when to come back;
//! - its turn comes: one job runs at a time, on all threads of the service, model by model; models stay in
//!   memory for the next job while they fit the budget;
//! - the weights of a model are found when the job's turn comes, and named by their hash in its result;
//! - whoever asked goes away, or the service stops, or the job's time is over: the job ends after the chunks
//!   in hand, and the next one begins.
//!
//! Bounds: [`Limits`]. Persistence: none.

use std::{
    fmt,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use soma_model::{
    Batch, Contest, Directions, Loan, Model, ScoreError, Scorer, Shelf, ShelfError, score::Watch,
};
use soma_types::{Architecture, ContentHash, Seed};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The longest that an asker is told to wait before it tries again.
const RETRY_AFTER_SECONDS_MAX: u64 = 600;

/// What a service takes on.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest request.
    pub body_bytes_max: usize,
    /// Most models of a request.
    pub models_max: usize,
    /// Most documents of a request.
    pub documents_max: usize,
    /// Longest document.
    pub document_bytes_max: usize,
    /// Requests that wait while one is served.
    pub waiting_max: usize,
    /// Longest time that one request may compute.
    pub job_time_max: Duration,
    /// Memory for all resident models.
    pub memory_bytes: u64,
    /// Threads that compute.
    pub threads: usize,
}

impl Limits {
    /// For a machine that is there to score.
    #[must_use]
    pub fn dedicated(memory_bytes: u64) -> Self {
        Self {
            body_bytes_max: 64 << 20,
            models_max: 64,
            documents_max: 1_024,
            document_bytes_max: soma_model::score::DATA_BYTES_MAX,
            waiting_max: 64,
            job_time_max: Duration::from_secs(600),
            memory_bytes,
            threads: cores(),
        }
    }

    /// Beside validators, which must not miss their turn: half of the cores, one short job at a time.
    #[must_use]
    pub fn beside_validators() -> Self {
        Self {
            body_bytes_max: 4 << 20,
            models_max: 8,
            documents_max: 16,
            document_bytes_max: 1 << 20,
            waiting_max: 8,
            job_time_max: Duration::from_secs(60),
            memory_bytes: 1 << 30,
            threads: cores().div_ceil(2),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This machine cannot score exactly.
    #[error(transparent)]
    Backend(#[from] soma_model::BackendError),
    /// The system has no threads to give.
    #[error("cannot start the threads that score: {0}")]
    Threads(String),
}

/// Why a model's weights cannot be scored with.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// They are none of the architecture, for whoever asks.
    #[error("{0}")]
    Unsound(String),
    /// They cannot be had now.
    #[error("{0}")]
    Unavailable(String),
}

/// Why a job has no result.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A model is too large, or no weights.
    #[error("model {name}: {reason}")]
    Model {
        /// As it was asked for.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A model's weights cannot be had now.
    #[error("model {name}: {reason}")]
    Unavailable {
        /// As it was asked for.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The request makes no sense.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// It took too long.
    #[error("stopped after {} s, the most that one request may take: ask for fewer models or less data", .0.as_secs())]
    TooLong(Duration),
    /// The service is stopping, or nobody waits for the result.
    #[error("the service is stopping: ask another, or later")]
    Stopped,
    /// Scoring panicked, which is a bug.
    #[error("scoring failed unexpectedly")]
    Failed,
}

/// One model of a job.
pub struct Entry {
    /// As it was asked for.
    pub name: String,
    /// Finds its weights as they are now; may block.
    pub find: Box<dyn FnOnce() -> Result<Found, LoadError> + Send>,
}

/// The weights of a model.
pub struct Found {
    /// Names them: equal names are one model in memory.
    pub weights: ContentHash,
    /// The most memory they can take.
    pub size_bytes_max: u64,
    /// Loads them; may block.
    pub load: Box<dyn FnOnce() -> Result<Model, LoadError> + Send>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({})", self.name)
    }
}

/// What one request wants.
#[derive(Debug)]
pub struct Job {
    /// The models, all of one shape.
    pub models: Vec<Entry>,
    /// Their shape.
    pub architecture: Architecture,
    /// The documents.
    pub documents: Vec<Vec<u8>>,
    /// Sets SIGReg's directions.
    pub seed: Seed,
}

/// A contest for each document, or why it has none.
pub type Contests = Vec<Result<Contest, ScoreError>>;

/// What came of a job.
#[derive(Debug)]
pub struct Done {
    /// The weights of its models, in their order.
    pub weights: Vec<ContentHash>,
    /// The contests of its documents, in their order.
    pub contests: Contests,
}

/// The service.
#[derive(Debug)]
pub struct Service {
    scorer: Scorer,
    limits: Limits,
    pool: rayon::ThreadPool,
    shelf: Shelf<ContentHash>,
    /// One for each request that is served or waits.
    places: Arc<Semaphore>,
    /// One: whose turn it is.
    turn: Arc<Semaphore>,
    stopping: AtomicBool,
    /// How long the last job took.
    pace_ms: AtomicU64,
}

/// A place in the queue.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{waiting} requests wait already: try again in {retry_after_seconds} s")]
pub struct Busy {
    /// Requests that wait.
    pub waiting: usize,
    /// When a place is likely to be free.
    pub retry_after_seconds: u64,
}

/// Says stop when dropped: whoever waited for the job is gone.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Service {
    /// A service with no model loaded yet.
    ///
    /// # Errors
    /// When this machine cannot score exactly, or has no threads to give.
    pub fn new(limits: Limits) -> Result<Arc<Self>, StartError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(limits.threads)
            .thread_name(|index| format!("scoring-{index}"))
            .build()
            .map_err(|error| StartError::Threads(error.to_string()))?;
        Ok(Arc::new(Self {
            scorer: Scorer::new()?,
            pool,
            shelf: Shelf::new(limits.memory_bytes),
            places: Arc::new(Semaphore::new(limits.waiting_max + 1)),
            turn: Arc::new(Semaphore::new(1)),
            stopping: AtomicBool::new(false),
            pace_ms: AtomicU64::new(0),
            limits,
        }))
    }

    /// What it takes on.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What it scores with.
    #[must_use]
    pub const fn scorer(&self) -> Scorer {
        self.scorer
    }

    /// Memory that resident models take.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.shelf.size_bytes()
    }

    /// Requests that are served or wait.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.limits.waiting_max + 1 - self.places.available_permits()
    }

    /// Ends the job in hand after its next chunks, and refuses all others.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Takes a place in the queue.
    ///
    /// # Errors
    /// When none is free.
    pub fn enter(&self) -> Result<Place, Busy> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map(|permit| Place { _permit: permit }).map_err(|_| {
            let waiting = self.limits.waiting_max;
            let wait_ms = self.pace_ms.load(Ordering::Relaxed) * (waiting as u64 + 1);
            Busy {
                waiting,
                retry_after_seconds: wait_ms.div_ceil(1_000).clamp(1, RETRY_AFTER_SECONDS_MAX),
            }
        })
    }

    /// Waits for the turn of `place` and does the job. Dropping the future ends the job.
    ///
    /// # Errors
    /// See [`JobError`].
    pub async fn run(self: &Arc<Self>, place: Place, job: Job) -> Result<Done, JobError> {
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let turn = turn.map_err(|_| JobError::Stopped)?;
        let gone = Arc::new(AtomicBool::new(false));
        let _waiting = StopOnDrop(Arc::clone(&gone));
        let service = Arc::clone(self);
        let work = move || {
            // Place and turn are given up when the work ends, not when nobody waits for it any more.
            let _held = (place, turn);
            let start = Instant::now();
            let result = service.pool.install(|| service.score(job, start, &gone));
            let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            service.pace_ms.store(elapsed_ms, Ordering::Relaxed);
            result
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or(Err(JobError::Failed))
    }

    fn score(&self, job: Job, start: Instant, gone: &AtomicBool) -> Result<Done, JobError> {
        let late = || start.elapsed() > self.limits.job_time_max;
        let watch = |_| {
            let stop = gone.load(Ordering::Relaxed) || self.stopping.load(Ordering::Relaxed) || late();
            if stop {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let stopped = || {
            if late() {
                JobError::TooLong(self.limits.job_time_max)
            } else {
                JobError::Stopped
            }
        };
        let directions = Directions::draw(&job.seed, &job.architecture);
        let documents: Vec<&[u8]> = job.documents.iter().map(Vec::as_slice).collect();
        let mut batch = Batch::new(self.scorer, &documents, &directions)?;
        // All are found before the first is scored, so that they are of one moment.
        let found = find_all(job.models)?;
        let weights = found.iter().map(|(_, found)| found.weights).collect();
        for (name, found) in found {
            let lent = self.lend(name, found, &watch);
            let model = lent?.ok_or_else(stopped)?;
            match batch.add(&model, &watch) {
                Ok(()) => {}
                Err(ScoreError::Cancelled) => return Err(stopped()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Done {
            weights,
            contests: batch.finish()?,
        })
    }

    /// The model that was found, in memory; none if the watch said stop.
    fn lend(&self, name: String, found: Found, watch: &Watch<'_>) -> Result<Option<Loan>, JobError> {
        let lent = self
            .shelf
            .lend(&found.weights, found.size_bytes_max, found.load, watch);
        match lent {
            Ok(model) => Ok(Some(model)),
            Err(ShelfError::Cancelled) => Ok(None),
            Err(ShelfError::Load(error)) => Err(unusable(name, &error)),
            Err(error @ ShelfError::TooLarge { .. }) => Err(JobError::Model {
                name,
                reason: error.to_string(),
            }),
        }
    }

    /// Loads a model before anybody asks for it; its weights. Blocks.
    ///
    /// # Errors
    /// If it cannot be scored with.
    pub fn warm(&self, entry: Entry) -> Result<ContentHash, JobError> {
        let Entry { name, find } = entry;
        let found = find().map_err(|error| unusable(name.clone(), &error))?;
        let weights = found.weights;
        let lent = self.lend(name, found, &|_| ControlFlow::Continue(()))?;
        debug_assert!(lent.is_some(), "the watch never says stop");
        Ok(weights)
    }
}

fn unusable(name: String, error: &LoadError) -> JobError {
    let reason = error.to_string();
    match error {
        LoadError::Unsound(_) => JobError::Model { name, reason },
        LoadError::Unavailable(_) => JobError::Unavailable { name, reason },
    }
}

/// The weights of all models. A model that is asked for twice has one.
fn find_all(models: Vec<Entry>) -> Result<Vec<(String, Found)>, JobError> {
    let mut all: Vec<(String, Found)> = Vec::with_capacity(models.len());
    for Entry { name, find } in models {
        let found = find().map_err(|error| unusable(name.clone(), &error))?;
        let moved = all
            .iter()
            .any(|(other, before)| *other == name && before.weights != found.weights);
        if moved {
            let reason = "its weights changed just now: ask again".to_owned();
            return Err(JobError::Unavailable { name, reason });
        }
        all.push((name, found));
    }
    Ok(all)
}
