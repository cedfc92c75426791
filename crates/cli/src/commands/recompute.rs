//! `soma recompute`: whether an answer of `soma serve` is what its models say.

use std::{io::Read as _, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use soma_files::read_bounded;
use soma_model::{Model, Scorer, Sequence, Spoken, Writer};
use soma_serving::Receipt;
use soma_types::ContentHash;

use super::{
    scoring::shown,
    whole::{files, hash, load, require},
};
use crate::{
    args::RecomputeArgs,
    error::{CliError, CliResult},
    printer::{Printer, count},
};

/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Of an answer, what it takes to compute it again.
#[derive(Deserialize)]
struct Answer {
    soma: Receipt,
}

#[derive(Serialize)]
struct RecomputeOutput {
    /// Texts that came out as they stand in the answer.
    texts: usize,
    /// Their bytes.
    bytes: usize,
    /// What names the answer.
    hash: ContentHash,
}

/// `soma recompute`.
pub fn run(printer: Printer, args: &RecomputeArgs) -> CliResult {
    let bytes = answer(&args.answer)?;
    let Answer { soma: receipt } = serde_json::from_slice(&bytes).map_err(|error| {
        CliError::new(format!(
            "{} is no answer of `soma serve`: {error}",
            shown(&args.answer)
        ))
        .hint("keep the whole answer of POST /v1/completions; of a stream, its last event has the receipt")
    })?;
    if receipt.hash != receipt.expected_hash() {
        return Err(CliError::differs(
            "the answer was altered: its hash is of another one",
        ));
    }
    let (architecture, given) = files(&args.models)?;
    let mut hashed = Vec::with_capacity(given.len());
    for (path, _) in given {
        hashed.push((hash(&path, &architecture)?, path));
    }
    let mut chosen = Vec::with_capacity(receipt.models.len());
    for named in &receipt.models {
        let Some((_, path)) = hashed.iter().find(|(weights, _)| *weights == named.weights) else {
            let missing = format!(
                "the model {} answered, which is none of those given",
                named.weights
            );
            return Err(CliError::new(missing).hint("it is the BLAKE3 of a weights file: give that file too"));
        };
        chosen.push((path.clone(), named.stake));
    }
    require(printer, &architecture, &chosen, Sequence::memory_bytes_max, |_| 1)?;
    let mut models = Vec::with_capacity(chosen.len());
    for ((path, stake), named) in chosen.iter().zip(&receipt.models) {
        models.push((load(path, named.weights, &architecture)?, *stake));
    }
    let experts: Vec<(&Model, u64)> = models.iter().map(|(model, stake)| (model, *stake)).collect();
    let texts = receipt.prompts.len().saturating_mul(receipt.drawn.n);
    if texts != receipt.bytes.len() || receipt.drawn.stop.iter().any(String::is_empty) {
        return Err(CliError::differs(
            "the answer has more or fewer texts than were asked for",
        ));
    }
    let scorer = Scorer::new()?;
    let mut bytes = 0;
    for (place, told) in receipt.bytes.iter().enumerate() {
        let (prompt, index) = (place / receipt.drawn.n, place % receipt.drawn.n);
        let text = written(&scorer, &experts, &receipt, prompt, index)?;
        if BASE64_STANDARD.encode(&text) != *told {
            return Err(CliError::differs(format!(
                "text {place} is not what these models write"
            )));
        }
        bytes += text.len();
    }
    let output = RecomputeOutput {
        texts,
        bytes,
        hash: receipt.hash,
    };
    printer.show(&output, |output| {
        format!(
            "these models write all of it: {}, {}, answer {}",
            count(output.texts as u64, "text"),
            count(output.bytes as u64, "byte"),
            output.hash
        )
    })
}

/// A text, as the receipt says that it was drawn.
fn written(
    scorer: &Scorer,
    experts: &[(&Model, u64)],
    receipt: &Receipt,
    prompt: usize,
    index: usize,
) -> CliResult<Vec<u8>> {
    let choice = receipt.drawn.choice(index)?;
    let mut writer = Writer::new(scorer, experts, receipt.prompts[prompt].as_bytes())?;
    let stops = receipt.drawn.stop.iter();
    let mut spoken = Spoken::new(stops.map(|stop| stop.as_bytes().to_vec()));
    for _ in 0..receipt.drawn.max_tokens {
        match writer.write(&choice)? {
            Some(byte) if spoken.push(byte).is_continue() => {}
            Some(_) | None => break,
        }
    }
    Ok(spoken.text().to_vec())
}

fn answer(path: &Path) -> CliResult<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    let read = read_bounded(path, ANSWER_BYTES_MAX)?;
    read.ok_or_else(|| CliError::new(format!("there is no {}", shown(path))))
}
