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
/// Bytes that are told with what was thought of each: of all texts of a request, and of prompts told with
/// them.
const JUDGED_BYTES_MAX: u64 = 1 << 16;
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
    /// Of a stream.
    pub stream_options: Option<StreamOptions>,
    /// Empty: texts go on, and are not filled in.
    pub suffix: Option<String>,
    /// Empty: none is moved.
    #[schema(value_type = Option<Object>)]
    pub logit_bias: Option<serde_json::Map<String, serde_json::Value>>,
}

/// How a stream is told.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamOptions {
    /// Whether its last event has no text, and says how much was read and written.
    pub include_usage: Option<bool>,
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
    /// Whether a stream's last event has no text, and says how much was read and written.
    pub tells_usage: bool,
    /// Whether the prompt is told too.
    pub echoes: bool,
    /// How many of the likeliest are told beside each byte, if any of it.
    pub top: Option<usize>,
}

/// Why nothing is drawn so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DrawnError {
    /// No number of texts.
    #[error("{what} is {value}: give {least} to {most}")]
    Range {
        /// What it is.
        what: &'static str,
        /// As it was given.
        value: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// Nothing to go on from.
    #[error("a prompt is empty: no model knows how a text begins")]
    Prompt,
    /// A number of the choice.
    #[error(transparent)]
    Choice(#[from] soma_model::ChoiceError),
}

impl Drawn {
    /// Looks whether it is within a server's limits, for these prompts.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, prompts: &[String]) -> Result<(), DrawnError> {
        if prompts.iter().any(String::is_empty) {
            return Err(DrawnError::Prompt);
        }
        let texts = self.n.saturating_mul(prompts.len()) as u64;
        let stops = self.stop.len() as u64;
        for (what, value, least, most) in [
            ("n times prompts", texts, 1, CHOICES_MAX as u64),
            ("max_tokens", self.max_tokens, 0, BYTES_MAX),
            ("the number of stops", stops, 0, STOPS_MAX as u64),
        ]
        .into_iter()
        .chain(
            self.stop
                .iter()
                .map(|stop| ("bytes of a stop", stop.len() as u64, 1, STOP_BYTES_MAX as u64)),
        ) {
            if !(least..=most).contains(&value) {
                return Err(DrawnError::Range {
                    what,
                    value,
                    least,
                    most,
                });
            }
        }
        self.choice(0)?;
        Ok(())
    }

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
        let chosen = models.chosen(&self.model);
        let chosen = chosen.ok_or_else(|| unknown(models, &self.model))?;
        let prompts = texts(self.prompt);
        let n = self.n.unwrap_or(1);
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
        if self.suffix.is_some_and(|suffix| !suffix.is_empty()) {
            return Err(Error::bad_request("suffix is not offered: leave it out"));
        }
        if self.logit_bias.is_some_and(|bias| !bias.is_empty()) {
            return Err(Error::bad_request("logit_bias is not offered: leave it out"));
        }
        let max_tokens = self.max_tokens.unwrap_or(BYTES_DEFAULT);
        let echoes = self.echo.unwrap_or(false);
        if max_tokens == 0 && !echoes {
            return Err(Error::bad_request("max_tokens is 0: give 1 or more, or echo"));
        }
        let stop = self.stop.map(texts).unwrap_or_default();
        if self.logprobs.is_some_and(|top| top > TOP_MAX) {
            return Err(Error::bad_request(format!("logprobs: give 0 to {TOP_MAX}")));
        }
        let drawn = Drawn {
            max_tokens,
            temperature: self.temperature.unwrap_or(1.0),
            top_p: self.top_p.unwrap_or(1.0),
            // One that every reader of JSON has a number for.
            seed: self.seed.unwrap_or_else(|| rand::random::<u64>() >> 11),
            n,
            stop,
        };
        drawn.check(&prompts).map_err(Error::bad_request)?;
        let told = |prompt: &String| max_tokens + if echoes { prompt.len() as u64 } else { 0 };
        let judged = prompts.iter().map(told).sum::<u64>() * n as u64;
        if self.logprobs.is_some() && judged > JUDGED_BYTES_MAX {
            return Err(Error::bad_request(format!(
                "{judged} bytes of all texts, with prompts that are told too, would be told with logprobs: \
                 ask for {JUDGED_BYTES_MAX} at most"
            )));
        }
        Ok(Asked {
            name: self.model,
            chosen,
            prompts,
            drawn,
            streams: self.stream.unwrap_or(false),
            tells_usage: self
                .stream_options
                .and_then(|options| options.include_usage)
                .unwrap_or(false),
            echoes,
            top: self.logprobs.map(|top| top as usize),
        })
    }
}

/// Nobody here is called `name`.
pub fn unknown(models: &Models, name: &str) -> Error {
    let known = models.names().collect::<Vec<_>>().join(", ");
    let detail = format!("there is no model '{}' here, only {known}", shown(name));
    Error::new(StatusCode::NOT_FOUND, detail)
}

/// The texts of one or several.
pub fn texts(given: OneOrMany) -> Vec<String> {
    match given {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    }
}
