//! What every peer is asked to do, and how it is timed.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::Deserialize;
use soma_types::{Architecture, Seed};

/// Runs are repeated for this long.
const TIME: Duration = Duration::from_secs(5);
/// And at least so often.
const RUNS_MIN: usize = 3;

/// Score `data` with every model of `weights`.
#[derive(Deserialize)]
pub struct Job {
    pub architecture: Architecture,
    pub weights: Vec<PathBuf>,
    pub data: PathBuf,
}

impl Job {
    pub const SEED: Seed = Seed([0; 32]);
}

/// Seconds of the fastest run, and how many there were after the first, which does not count.
pub fn best<E>(mut work: impl FnMut() -> Result<(), E>) -> Result<(f64, usize), E> {
    work()?;
    let (mut fastest, mut runs, start) = (f64::INFINITY, 0, Instant::now());
    while runs < RUNS_MIN || start.elapsed() < TIME {
        let run = Instant::now();
        work()?;
        fastest = fastest.min(run.elapsed().as_secs_f64());
        runs += 1;
    }
    Ok((fastest, runs))
}

/// The most memory this process has had resident, weights included.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
