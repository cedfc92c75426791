//! One measurement of `benches/scoring/run`, as one line of JSON: `weights`, `peak`, `ours` or `candle`.
//!
//! Each is a process of its own, so that its peak memory is its own.

mod candle_peer;
mod job;
mod peak;

use std::{error::Error, ops::ControlFlow, path::Path};

use job::{Job, best, peak_memory_bytes};
use serde_json::json;
use soma_model::{Batch, Directions, Model, Scorer};
use soma_types::Architecture;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let line = match words[..] {
        ["weights", architecture, seed, out] => {
            let architecture: Architecture = serde_json::from_str(architecture)?;
            std::fs::write(out, Model::random(&architecture, seed.parse()?).to_bytes())?;
            // The directions of the seed that all peers use.
            let directions = Directions::draw(&Job::SEED, &architecture).to_row_major();
            let bytes: Vec<u8> = directions.iter().flat_map(|v| v.to_le_bytes()).collect();
            std::fs::write(Path::new(out).with_extension("directions"), bytes)?;
            json!({})
        }
        ["peak"] => json!({ "gflops": peak::gflops(), "threads": rayon::current_num_threads() }),
        ["ours", job] => ours(&serde_json::from_str(job)?)?,
        ["candle", job] => candle_peer::measure(&serde_json::from_str(job)?)?,
        _ => return Err("usage: weights ARCHITECTURE SEED OUT | peak | ours JOB | candle JOB".into()),
    };
    println!("{line}");
    Ok(())
}

/// Exact scoring, as the library offers it.
fn ours(job: &Job) -> Result<serde_json::Value, Box<dyn Error>> {
    let models: Vec<Model> = job
        .weights
        .iter()
        .map(|path| Model::load(path, &job.architecture))
        .collect::<Result<_, _>>()?;
    let data = std::fs::read(&job.data)?;
    let directions = Directions::draw(&Job::SEED, &job.architecture);
    let scorer = Scorer::new()?;
    let mut losses = Vec::new();
    let (seconds, runs) = best(|| {
        let documents = [&data[..]];
        let mut batch = Batch::new(scorer, &documents, &directions)?;
        for model in &models {
            batch.add(model, &|_| ControlFlow::Continue(()))?;
        }
        let contest = batch.finish()?.remove(0)?;
        losses = contest
            .results()
            .iter()
            .map(|score| match score {
                Ok(score) => Ok([score.cross_entropy_nano(), score.sigreg_nano()].map(|nano| nano as f64 / 1e9)),
                Err(error) => Err(error.clone()),
            })
            .collect::<Result<_, _>>()?;
        Ok::<_, Box<dyn Error>>(())
    })?;
    Ok(json!({
        "version": format!("soma {}", scorer.simd()),
        "seconds": seconds,
        "runs": runs,
        "losses": losses,
        "memory_bytes": peak_memory_bytes(),
    }))
}
