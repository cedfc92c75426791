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

mod job;
mod limits;

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use soma_model::{Batch, Directions, Loan, ScoreError, Scorer, Shelf, ShelfError, score::Watch};
use soma_types::ContentHash;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::{
    job::{Contests, Done, Entry, Found, Job, JobError, LoadError},
    limits::Limits,
};

/// The longest that an asker is told to wait before it tries again.
const RETRY_AFTER_SECONDS_MAX: u64 = 600;

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
