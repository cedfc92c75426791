//! Exact scores on this machine: the same integers everywhere.
//!
//! Upon a call: models are read one after the other, each scores all documents, and makes room for the next.
//! The work runs on threads of its own, which end with it; it ends after the chunks in hand when whoever
//! awaits goes away.

use std::{
    fs::File,
    io,
    ops::ControlFlow,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use pyo3::{prelude::*, pybacked::PyBackedBytes};
use serde::Serialize;
use soma_blobs::verified::Hashing;
use soma_model::{
    Batch, Directions, Model, ScoreError, Scorer, memory, residency::memory_bytes_max,
    score::working_bytes_max,
};
use soma_types::{Architecture, ContentHash, Embedding, Seed, api::score::ContestView};

use crate::{
    connection::parse,
    failure::Failure,
    operation::{Answer, Operation, Outcome, Progress, blocking},
};

/// Most threads that score, for each core.
const THREADS_PER_CORE: usize = 4;
/// Between two words about the progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Weights: a safetensors file, or its bytes.
#[derive(FromPyObject)]
pub enum Weights {
    /// The bytes.
    Bytes(PyBackedBytes),
    /// Where the file is.
    Path(PathBuf),
}

impl Weights {
    fn name(&self, index: usize) -> String {
        match self {
            Self::Bytes(_) => format!("model {index}"),
            Self::Path(path) => path.display().to_string(),
        }
    }

    fn size_bytes(&self) -> Result<u64, Failure> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::Path(path) => Ok(std::fs::metadata(path)
                .map_err(|error| unreadable(path, error))?
                .len()),
        }
    }

    /// The model, and the BLAKE3 of its file.
    fn load(&self, index: usize, architecture: &Architecture) -> Result<(Model, ContentHash), Failure> {
        match self {
            Self::Bytes(bytes) => self.read(&bytes[..], index, architecture),
            Self::Path(path) => {
                let file = File::open(path).map_err(|error| unreadable(path, error))?;
                self.read(file, index, architecture)
            }
        }
    }

    fn read(
        &self,
        source: impl io::Read,
        index: usize,
        architecture: &Architecture,
    ) -> Result<(Model, ContentHash), Failure> {
        let mut source = Hashing::new(source);
        let name = || self.name(index);
        let model = Model::read(&mut source, self.size_bytes()?, architecture);
        let model = model.map_err(|error| Failure::Weights { name: name(), error })?;
        let hash = source.finish();
        let hash = hash.map_err(|error| Failure::Unreadable { path: name(), error })?;
        Ok((model, hash))
    }
}

fn unreadable(path: &std::path::Path, error: io::Error) -> Failure {
    Failure::Unreadable {
        path: path.display().to_string(),
        error,
    }
}

/// What there is to score.
struct Job {
    models: Vec<Weights>,
    architecture: Architecture,
    documents: Vec<PyBackedBytes>,
    seed: Seed,
    threads: usize,
    progress: Progress,
}

/// What was found, and of what.
#[derive(Serialize)]
struct Found {
    /// BLAKE3 of each model's file.
    weights: Vec<ContentHash>,
    seed: Seed,
    contests: Vec<Contested>,
}

/// One document's contest, or why it has none.
#[derive(Serialize)]
#[serde(untagged)]
enum Contested {
    Contest {
        /// BLAKE3 of the document.
        data: ContentHash,
        #[serde(flatten)]
        contest: ContestView,
    },
    Failed {
        error: String,
    },
}

/// Says stop when it is dropped.
struct StopsWhenDropped(Arc<AtomicBool>);

impl Drop for StopsWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Scores every document with every model. `architecture` is JSON, `seed` names SIGReg's directions.
#[pyfunction]
#[pyo3(signature = (models, documents, architecture, seed=None, threads=None, progress=None))]
pub fn score(
    models: Vec<Weights>,
    documents: Vec<PyBackedBytes>,
    architecture: &str,
    seed: Option<&str>,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> Result<Operation, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let job = Job {
        models,
        architecture: architecture_of(architecture)?,
        documents,
        seed: seed.map(parse).transpose()?.unwrap_or_default(),
        // More would only wait for one another.
        threads: threads.unwrap_or(cores).min(cores * THREADS_PER_CORE),
        progress: Progress::new(progress)?,
    };
    if job.threads == 0 {
        return Err(Failure::argument("threads must be at least 1"));
    }
    Operation::new(std::process::id(), async move {
        let stop = Arc::new(AtomicBool::new(false));
        let _guard = StopsWhenDropped(Arc::clone(&stop));
        blocking(move || job.run(&stop)).await?
    })
}

impl Job {
    fn run(&self, stop: &AtomicBool) -> Outcome {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .thread_name(|index| format!("soma-sdk-score-{index}"))
            .build()
            .map_err(|error| Failure::Memory(format!("there are no threads to score with: {error}")))?;
        pool.install(|| self.score(stop))
    }

    fn score(&self, stop: &AtomicBool) -> Outcome {
        let texts: Vec<&[u8]> = self.documents.iter().map(|document| &document[..]).collect();
        let directions = Directions::draw(&self.seed, &self.architecture);
        let scorer = Scorer::new().map_err(ScoreError::from)?;
        let mut batch = Batch::new(scorer, &texts, &directions)?;
        let tokens = batch.tokens(&self.architecture);
        self.require_memory(tokens)?;
        let (done, total) = (AtomicU64::new(0), tokens * self.models.len() as u64);
        let told = Mutex::new(Instant::now());
        let watch = |tokens: u64| {
            let done = done.fetch_add(tokens, Ordering::Relaxed) + tokens;
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.elapsed() >= PROGRESS_EVERY {
                *told = Instant::now();
                self.progress.tell(done, total);
            }
            if stop.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let mut hashes = Vec::with_capacity(self.models.len());
        for (index, weights) in self.models.iter().enumerate() {
            let (model, hash) = weights.load(index, &self.architecture)?;
            hashes.push(hash);
            batch.add(&model, &watch)?;
        }
        let contests = batch.finish()?;
        self.progress.tell(total, total);
        let contests: Vec<Contested> = contests
            .iter()
            .zip(&texts)
            .map(|(contest, text)| match contest {
                Ok(contest) => Contested::Contest {
                    data: ContentHash::of(text),
                    contest: ContestView::from(contest),
                },
                Err(error) => Contested::Failed {
                    error: error.to_string(),
                },
            })
            .collect();
        Answer::json(&Found {
            weights: hashes,
            seed: self.seed,
            contests,
        })
    }

    fn require_memory(&self, tokens: u64) -> Result<(), Failure> {
        let mut largest = 0;
        for weights in &self.models {
            largest = largest.max(memory_bytes_max(&self.architecture, weights.size_bytes()?));
        }
        let chunks = tokens.div_ceil(u64::from(self.architecture.max_seq_len)) + self.documents.len() as u64;
        let needed = largest.saturating_add(working_bytes_max(&self.architecture, chunks));
        memory::require(needed).map_err(|error| Failure::Memory(format!("scoring: {error}")))
    }
}

fn architecture_of(text: &str) -> Result<Architecture, Failure> {
    let architecture = match text {
        "nano" => Architecture::NANO,
        "v1" => Architecture::V1,
        json => serde_json::from_str(json).map_err(|error| {
            Failure::argument(format!(
                "'{json}' is no architecture: give nano, v1, or its sizes ({error})"
            ))
        })?,
    };
    architecture.validate().map_err(Failure::argument)
}

/// An architecture's sizes as JSON, from its name or its sizes.
#[pyfunction]
pub fn architecture(text: &str) -> Result<String, Failure> {
    serde_json::to_string(&architecture_of(text)?).map_err(Failure::argument)
}

/// The direction of a vector, in units of 2^-15, as the ledger has it.
#[pyfunction]
pub fn embedding_q15(vector: Vec<f32>) -> Result<Vec<i16>, Failure> {
    let embedding = Embedding::from_f32(&vector).map_err(Failure::argument)?;
    Ok(embedding.as_slice().to_vec())
}
