//! What `POST /v1/completions` answers: OpenAI's fields, and beside them all that it takes to compute the
//! answer again ([`Receipt`]).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use soma_types::{ContentHash, Epoch};

use crate::{
    engine::Byte,
    models::{Chosen, Models},
    request::{Asked, Drawn},
};

/// An answer, or a part of one that is streamed.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Completion {
    /// `cmpl-` and some digits of its request's time.
    pub id: String,
    /// `text_completion`.
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    /// Who was asked.
    pub model: String,
    /// The texts.
    pub choices: Vec<Written>,
    /// How much was read and written; at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it takes to compute it again; at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soma: Option<Receipt>,
    /// True beside the receipt of a stream: its texts were told before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_stream: Option<bool>,
}

/// A text.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Written {
    /// It, with U+FFFD for what is no UTF-8.
    pub text: String,
    /// Its place: those of the first prompt, then those of the next.
    pub index: usize,
    /// What was thought of each byte.
    pub logprobs: Option<Logprobs>,
    /// `length`, or `stop`; at the end.
    pub finish_reason: Option<&'static str>,
}

/// What was thought of each byte of a text, prompt included where it is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Logprobs {
    /// Each byte: a character where it is one by itself, or else `bytes:\x` and two digits.
    pub tokens: Vec<String>,
    /// Its logarithm; null where nothing stood before.
    pub token_logprobs: Vec<Option<f64>>,
    /// The likeliest with theirs.
    #[schema(value_type = Vec<Object>)]
    pub top_logprobs: Vec<Option<serde_json::Map<String, serde_json::Value>>>,
    /// Where each begins, in bytes.
    pub text_offset: Vec<usize>,
}

/// How much was read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Usage {
    /// Bytes of the prompts.
    pub prompt_tokens: u64,
    /// Bytes of the texts.
    pub completion_tokens: u64,
    /// Both together.
    pub total_tokens: u64,
}

/// All that it takes to compute an answer again, anywhere (`soma verify`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Who answered, in the order of mixing.
    pub models: Vec<ModelReceipt>,
    /// The epoch of the network whose models these are; null for files.
    #[schema(value_type = Option<u64>)]
    pub epoch: Option<Epoch>,
    /// The texts gone on from.
    pub prompts: Vec<String>,
    /// What was drawn.
    pub drawn: Drawn,
    /// What was written, without any prompt, in base64.
    pub bytes: Vec<String>,
    /// BLAKE3 of all of it but the shares.
    #[schema(value_type = String)]
    pub hash: ContentHash,
}

/// A model that answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelReceipt {
    /// What it is called there.
    pub name: String,
    /// BLAKE3 of its weights file.
    #[schema(value_type = String)]
    pub weights: ContentHash,
    /// What it counted for at the beginning.
    pub stake: u64,
    /// What it counted for at the end of each text.
    pub shares: Vec<f64>,
}

/// Who answers a request: what is told of them, which outlives them.
#[derive(Clone, Debug)]
pub struct Answering {
    models: Vec<ModelReceipt>,
    epoch: Option<Epoch>,
}

impl Answering {
    /// Those of `models` that were chosen.
    #[must_use]
    pub fn of(models: &Models, chosen: &Chosen) -> Self {
        let models_of = models.of(chosen).map(|expert| ModelReceipt {
            name: expert.name.clone(),
            weights: expert.weights,
            stake: expert.stake,
            shares: Vec::new(),
        });
        Self {
            models: models_of.collect(),
            epoch: models.epoch(),
        }
    }
}

impl Receipt {
    /// Of what `asked` for, with each text and what the models counted for at its end.
    #[must_use]
    pub fn new(answering: &Answering, asked: &Asked, texts: &[Vec<u8>], shares: &[Vec<f64>]) -> Self {
        let own = answering.models.iter().enumerate();
        let mut receipt = Self {
            models: own
                .map(|(place, model)| ModelReceipt {
                    shares: shares
                        .iter()
                        .filter_map(|shares| shares.get(place).copied())
                        .collect(),
                    ..model.clone()
                })
                .collect(),
            epoch: answering.epoch,
            prompts: asked.prompts.clone(),
            drawn: asked.drawn.clone(),
            bytes: texts.iter().map(|text| STANDARD.encode(text)).collect(),
            hash: ContentHash([0; 32]),
        };
        receipt.hash = receipt.expected_hash();
        receipt
    }

    /// The hash of everything else, save the shares, which follow from it. Whoever alters a receipt has to
    /// alter it too, so it names an answer; what proves one is to compute it again.
    #[must_use]
    pub fn expected_hash(&self) -> ContentHash {
        let mut hasher = blake3::Hasher::new_derive_key("soma 2026 answer");
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        let count = |count: usize| (count as u64).to_le_bytes();
        add(&count(self.models.len()));
        for model in &self.models {
            add(model.name.as_bytes());
            add(&model.weights.0);
            add(&model.stake.to_le_bytes());
        }
        add(&self.epoch.map_or([0; 9], |epoch| {
            let mut some = [1; 9];
            some[1..].copy_from_slice(&epoch.0.to_le_bytes());
            some
        }));
        let Drawn {
            max_tokens,
            temperature,
            top_p,
            seed,
            n,
            stop,
        } = &self.drawn;
        for number in [
            *max_tokens,
            temperature.to_bits(),
            top_p.to_bits(),
            *seed,
            *n as u64,
        ] {
            add(&number.to_le_bytes());
        }
        for texts in [stop, &self.prompts, &self.bytes] {
            add(&count(texts.len()));
            texts.iter().for_each(|text| add(text.as_bytes()));
        }
        ContentHash(*hasher.finalize().as_bytes())
    }
}

impl Logprobs {
    /// Adds bytes that begin at `offset`.
    pub fn extend(&mut self, bytes: &[Byte], offset: usize) {
        for (at, Byte { byte, logprob, top }) in (offset..).zip(bytes) {
            self.tokens.push(token(*byte));
            self.token_logprobs.push(*logprob);
            let likeliest = top
                .iter()
                .map(|(byte, logprob)| (token(*byte), (*logprob).into()));
            self.top_logprobs.push(logprob.map(|_| likeliest.collect()));
            self.text_offset.push(at);
        }
    }
}

/// How a byte is called.
fn token(byte: u8) -> String {
    if byte.is_ascii() {
        char::from(byte).to_string()
    } else {
        format!("bytes:\\x{byte:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_covers_all_that_counts() {
        let receipt = Receipt {
            models: vec![ModelReceipt {
                name: "a".into(),
                weights: ContentHash([1; 32]),
                stake: 1,
                shares: vec![1.0],
            }],
            epoch: None,
            prompts: vec!["a prompt".into()],
            drawn: Drawn {
                max_tokens: 5,
                temperature: 1.0,
                top_p: 1.0,
                seed: 7,
                n: 1,
                stop: vec!["end".into()],
            },
            bytes: vec!["AA==".into()],
            hash: ContentHash([0; 32]),
        };
        let changes: [fn(&mut Receipt); 10] = [
            |receipt| receipt.models[0].name.push('b'),
            |receipt| receipt.models[0].weights.0[0] = 2,
            |receipt| receipt.models[0].stake = 2,
            |receipt| receipt.epoch = Some(Epoch(0)),
            |receipt| receipt.prompts.push(String::new()),
            |receipt| receipt.drawn.seed = 8,
            |receipt| receipt.drawn.temperature = 0.5,
            |receipt| receipt.drawn.stop.clear(),
            |receipt| receipt.drawn.n = 2,
            |receipt| receipt.bytes[0] = "AQ==".into(),
        ];
        let mut hashes = std::collections::BTreeSet::from([receipt.expected_hash()]);
        for change in changes {
            let mut other = receipt.clone();
            change(&mut other);
            assert!(hashes.insert(other.expected_hash()));
        }
    }
}
