//! What `POST /v1/completions` takes: OpenAI's fields, within limits. What cannot be honoured is refused, not
//! passed over.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use soma_http::{Error, problem::shown};
use soma_model::Choice;
use soma_types::api::score::OneOrMany;

use crate::models::{Chosen, Models};

/// Bytes that one answer may have, for each choice.
pub const BYTES_MAX: u64 = 1 << 16;
/// Texts that one request may ask for.
pub const CHOICES_MAX: usize = 16;
/// Likeliest bytes that are told beside each.
pub const TOP_MAX: u32 = 5;
/// Texts that may stop an answer, as OpenAI's.
const STOPS_MAX: usize = 4;
/// Bytes of a text that stops an answer.
const STOP_BYTES_MAX: usize = 1 << 10;
/// OpenAI's default.
const BYTES_DEFAULT: u64 = 16;

/// What `POST /v1/completions` takes. A token is a byte.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompletionRequest {
    /// A model's name, or `whole`.
    pub model: String,
    /// The text to go on from, or several.
    #[schema(value_type = String)]
    pub prompt: OneOrMany,
    /// Most bytes to write; 16 where nothing is said.
    pub max_tokens: Option<u64>,
    /// How far probabilities are flattened, 0 to 100; 1 where nothing is said.
    pub temperature: Option<f64>,
    /// Draw from the likeliest bytes that have this share of all probability; 1 where nothing is said.
    pub top_p: Option<f64>,
    /// Texts for each prompt.
    pub n: Option<usize>,
    /// Tell bytes as they are written.
    pub stream: Option<bool>,
    /// Tell the logarithm of each byte's probability, and so many of the likeliest.
    pub logprobs: Option<u32>,
    /// Tell the prompt too.
    pub echo: Option<bool>,
    /// End where one of these would be written.
    #[schema(value_type = Vec<String>)]
    pub stop: Option<OneOrMany>,
    /// Draws the bytes. Text k of a prompt is drawn by seed + k. Some seed where nothing is said; the answer
    /// tells it.
    pub seed: Option<u64>,
    /// Whoever asks; it changes nothing.
    pub user: Option<String>,
    /// 0: there is none.
    pub frequency_penalty: Option<f64>,
    /// 0: there is none.
    pub presence_penalty: Option<f64>,
    /// `n`: all texts are told.
    pub best_of: Option<usize>,
}

/// What is drawn, in numbers that say it all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Drawn {
    /// Most bytes.
    pub max_tokens: u64,
    /// As in the request.
    pub temperature: f64,
    /// As in the request.
    pub top_p: f64,
    /// Of the first text of each prompt.
    pub seed: u64,
    /// Texts of each prompt.
    pub n: usize,
    /// As in the request.
    pub stop: Vec<String>,
}

/// A request that can be answered.
#[derive(Clone, Debug)]
pub struct Asked {
    /// As it was asked for.
    pub name: String,
    /// Who answers.
    pub chosen: Chosen,
    /// The texts to go on from.
    pub prompts: Vec<String>,
    /// What is drawn.
    pub drawn: Drawn,
    /// Whether bytes are told as they are written.
    pub streams: bool,
    /// Whether the prompt is told too.
    pub echoes: bool,
    /// How many of the likeliest are told beside each byte, if any of it.
    pub top: Option<usize>,
}

impl Drawn {
    /// How text `index` of a prompt is drawn.
    ///
    /// # Errors
    /// When a number is out of its range.
    pub fn choice(&self, index: usize) -> Result<Choice, soma_model::ChoiceError> {
        Choice::new(self.temperature, self.top_p, self.seed.wrapping_add(index as u64))
    }
}

impl CompletionRequest {
    /// What it asks for, checked.
    ///
    /// # Errors
    /// 404 for an unknown model, 400 for what is out of its range or is not offered.
    pub fn check(self, models: &Models) -> Result<Asked, Error> {
        let Some(chosen) = models.chosen(&self.model) else {
            let known = models.names().collect::<Vec<_>>().join(", ");
            let detail = format!("there is no model '{}' here, only {known}", shown(&self.model));
            return Err(Error::new(StatusCode::NOT_FOUND, detail));
        };
        let prompts = texts(self.prompt);
        if prompts.is_empty() || prompts.iter().any(String::is_empty) {
            return Err(Error::bad_request(
                "a prompt is empty: no model knows how a text begins",
            ));
        }
        let n = self.n.unwrap_or(1);
        within(
            "n times prompts",
            (n.saturating_mul(prompts.len())) as u64,
            1,
            CHOICES_MAX as u64,
        )?;
        if self.best_of.is_some_and(|best_of| best_of != n) {
            return Err(Error::bad_request(
                "best_of is not offered: ask for n texts and choose",
            ));
        }
        for (what, penalty) in [
            ("frequency_penalty", self.frequency_penalty),
            ("presence_penalty", self.presence_penalty),
        ] {
            if penalty.is_some_and(|penalty| penalty != 0.0) {
                return Err(Error::bad_request(format!("{what} is not offered: leave it out")));
            }
        }
        let max_tokens = self.max_tokens.unwrap_or(BYTES_DEFAULT);
        let echoes = self.echo.unwrap_or(false);
        within("max_tokens", max_tokens, u64::from(!echoes), BYTES_MAX)?;
        let stop = self.stop.map(texts).unwrap_or_default();
        within("stop", stop.len() as u64, 0, STOPS_MAX as u64)?;
        for stop in &stop {
            within("bytes of a stop", stop.len() as u64, 1, STOP_BYTES_MAX as u64)?;
        }
        if let Some(top) = self.logprobs {
            within("logprobs", top.into(), 0, TOP_MAX.into())?;
        }
        let drawn = Drawn {
            max_tokens,
            temperature: self.temperature.unwrap_or(1.0),
            top_p: self.top_p.unwrap_or(1.0),
            seed: self.seed.unwrap_or_else(rand::random),
            n,
            stop,
        };
        drawn.choice(0).map_err(Error::bad_request)?;
        Ok(Asked {
            name: self.model,
            chosen,
            prompts,
            drawn,
            streams: self.stream.unwrap_or(false),
            echoes,
            top: self.logprobs.map(|top| top as usize),
        })
    }
}

/// The texts of one or several.
pub fn texts(given: OneOrMany) -> Vec<String> {
    match given {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    }
}

fn within(what: &str, value: u64, least: u64, most: u64) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::bad_request(format!(
        "{what} is {value}: give {least} to {most}"
    )))
}
