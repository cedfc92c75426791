//! `soma verify` of an answer: whether an answer of `soma serve` is what its models say.

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
    args::VerifyArgs,
    error::{CliError, CliResult},
    printer::{Printer, count},
};

/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Of an answer, what it takes to compute it again, and what was told beside that.
#[derive(Deserialize)]
struct Answer {
    soma: Receipt,
    #[serde(flatten)]
    told: Told,
}

/// What stands beside a receipt.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    /// Whether it ends a stream: the texts were told before it then.
    #[serde(default)]
    ends_stream: bool,
}

/// A text as it was told.
#[derive(Deserialize)]
struct Choice {
    text: String,
    index: usize,
    finish_reason: Option<String>,
}

#[derive(Deserialize, PartialEq, Eq)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

/// A text that was computed again.
struct Written {
    bytes: Vec<u8>,
    by_length: bool,
    /// What each model counted for at its end.
    shares: Vec<f64>,
}

#[derive(Serialize)]
struct RecomputeOutput {
    /// Texts that these models write.
    texts: usize,
    /// As many of them stand in the answer: none in the last event of a stream.
    told: usize,
    /// Their bytes.
    bytes: usize,
    /// What names the answer.
    hash: ContentHash,
}

/// `soma verify` of an answer of `soma serve`.
pub fn run(printer: Printer, args: &VerifyArgs) -> CliResult {
    let bytes = answer(&args.file)?;
    let Answer { soma: receipt, told } = serde_json::from_slice(&bytes).map_err(|error| {
        CliError::new(format!(
            "{} is no answer of `soma serve`: {error}",
            shown(&args.file)
        ))
        .hint("keep the whole answer of POST /v1/completions; of a stream, its last event has the receipt")
    })?;
    if receipt.hash != receipt.expected_hash() {
        return Err(CliError::differs(
            "the answer was altered: its hash is of another one",
        ));
    }
    receipt
        .drawn
        .check(&receipt.prompts)
        .map_err(|error| CliError::differs(format!("no server answers that: {error}")))?;
    let is_whole = receipt
        .models
        .iter()
        .all(|model| model.shares.len() == receipt.bytes.len());
    if receipt.prompts.len() * receipt.drawn.n != receipt.bytes.len()
        || receipt.models.is_empty()
        || !is_whole
    {
        return Err(CliError::differs(
            "the answer has more or fewer texts, or models, than were asked for",
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
    let scorer = Scorer::new()?;
    let mut all = Vec::with_capacity(receipt.bytes.len());
    for (place, told) in receipt.bytes.iter().enumerate() {
        let written = written(&scorer, &experts, &receipt, place)?;
        if BASE64_STANDARD.encode(&written.bytes) != *told {
            return Err(CliError::differs(format!(
                "text {place} is not what these models write"
            )));
        }
        check_shares(&receipt, place, &written.shares)?;
        all.push(written);
    }
    check_told(&receipt, &told, &all)?;
    let output = RecomputeOutput {
        texts: all.len(),
        told: if told.ends_stream { 0 } else { all.len() },
        bytes: all.iter().map(|written| written.bytes.len()).sum(),
        hash: receipt.hash,
    };
    printer.show(&output, |output| {
        let before = if told.ends_stream {
            "\nit ends a stream: what was told before it is not looked at"
        } else {
            ""
        };
        format!(
            "these models write all of it: {}, {}, answer {}{before}",
            count(output.texts as u64, "text"),
            count(output.bytes as u64, "byte"),
            output.hash
        )
    })
}

/// Text `place`, as the receipt says that it was drawn.
fn written(
    scorer: &Scorer,
    experts: &[(&Model, u64)],
    receipt: &Receipt,
    place: usize,
) -> CliResult<Written> {
    let drawn = &receipt.drawn;
    let choice = drawn.choice(place % drawn.n)?;
    let prompt = &receipt.prompts[place / drawn.n];
    let mut writer = Writer::new(scorer, experts, prompt.as_bytes())?;
    let stops = drawn.stop.iter();
    let mut spoken = Spoken::new(stops.map(|stop| stop.as_bytes().to_vec()));
    let mut by_length = true;
    for _ in 0..drawn.max_tokens {
        match writer.write(&choice)? {
            Some(byte) if spoken.push(byte).is_continue() => {}
            Some(_) | None => {
                by_length = false;
                break;
            }
        }
    }
    Ok(Written {
        bytes: spoken.text().to_vec(),
        by_length,
        shares: writer.weights().to_vec(),
    })
}

/// What each model counted for is told in decimals, which readers may round.
fn check_shares(receipt: &Receipt, place: usize, shares: &[f64]) -> CliResult {
    let told = receipt.models.iter().map(|model| model.shares.get(place));
    let is_so = |(told, share): (Option<&f64>, &f64)| told.is_some_and(|told| (told - share).abs() < 1e-12);
    if told.zip(shares).all(is_so) {
        return Ok(());
    }
    Err(CliError::differs(format!(
        "the models have other shares in text {place} than the answer says"
    )))
}

/// Whether everything was told as it was written: each text once, in order, with its end, and how many bytes
/// they are. The end of a stream tells the last text's end only, and may leave the numbers to the next event.
fn check_told(receipt: &Receipt, told: &Told, all: &[Written]) -> CliResult {
    let expected = if told.ends_stream { 1 } else { all.len() };
    let found = told.choices.len();
    if found != expected {
        return Err(CliError::differs(format!(
            "the answer has {found} choices: {expected} were told"
        )));
    }
    for (place, choice) in told.choices.iter().enumerate() {
        if !told.ends_stream && choice.index != place {
            return Err(CliError::differs(format!(
                "choice {} stands in place {place}: the choices are in another order than they were told",
                choice.index
            )));
        }
        let differs =
            |what: &str| CliError::differs(format!("{what} of choice {} is another one", choice.index));
        let written = all.get(choice.index).ok_or_else(|| differs("the text"))?;
        let is_told = if told.ends_stream {
            choice.text.is_empty()
        } else {
            is_text(
                &choice.text,
                &receipt.prompts[choice.index / receipt.drawn.n],
                written,
            )
        };
        if !is_told {
            return Err(differs("the text"));
        }
        let end = if written.by_length { "length" } else { "stop" };
        if choice.finish_reason.as_deref() != Some(end) {
            return Err(differs("the end"));
        }
    }
    let prompt_tokens = receipt.prompts.iter().map(|prompt| prompt.len() as u64).sum();
    let completion_tokens = all.iter().map(|written| written.bytes.len() as u64).sum();
    let expected = Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens + completion_tokens,
    };
    match &told.usage {
        Some(usage) if *usage == expected => Ok(()),
        None if told.ends_stream => Ok(()),
        _ => Err(CliError::differs("the answer counts other bytes than it has")),
    }
}

/// Whether a text was told as it was written, with its prompt or without.
fn is_text(told: &str, prompt: &str, written: &Written) -> bool {
    let text = String::from_utf8_lossy(&written.bytes);
    told == text || told.strip_prefix(prompt) == Some(&*text)
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
