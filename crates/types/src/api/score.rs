//! Exact scoring: what `POST /v1/score` takes, and what it and `soma score --json` answer.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, SeqAccess, Visitor},
};

use crate::{ContentHash, Seed, Transcript};

/// Most texts of one list in a request. What a service allows may be less; more than this is refused before
/// it takes memory, which a list of empty texts would need twentyfold.
pub const TEXTS_MAX: usize = 1_024;

/// A text, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One: the answer is its [`ContestView`].
    One(String),
    /// Several: the answer lists them.
    Many(Vec<String>),
}

/// Reads texts, at most [`TEXTS_MAX`].
fn texts<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Vec<String>, A::Error> {
    let mut texts = Vec::new();
    while let Some(text) = list.next_element()? {
        if texts.len() == TEXTS_MAX {
            let detail = format!("the list has more than {TEXTS_MAX} texts: ask in several requests");
            return Err(A::Error::custom(detail));
        }
        texts.push(text);
    }
    Ok(texts)
}

struct ManyVisitor;

impl<'de> Visitor<'de> for ManyVisitor {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {TEXTS_MAX} texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        texts(list)
    }
}

fn many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_seq(ManyVisitor)
}

struct OneOrManyVisitor;

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text, or a list of at most {TEXTS_MAX} texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany, E> {
        Ok(OneOrMany::One(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<OneOrMany, E> {
        Ok(OneOrMany::One(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<OneOrMany, A::Error> {
        texts(list).map(OneOrMany::Many)
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

/// What to score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ScoreRequest {
    /// Models: ids on a node, names at `soma score serve`. All of them score each document.
    #[serde(deserialize_with = "many")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 1_024))]
    pub models: Vec<String>,
    /// Documents: base64 of the bytes, or `soma:0x..` for content that the node stores.
    pub data: OneOrMany,
    /// Sets SIGReg's directions; the epoch's seed on a node, zeros at `soma score serve` where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Seed>,
}

/// One model's score on a document, or why it has none; then it loses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ScoreView {
    /// Its score.
    Scored {
        /// Cross entropy plus SIGReg, in nano-nats. Lowest wins.
        loss_nano: u64,
        /// Mean over predicted tokens, in nano-nats.
        cross_entropy_nano: u64,
        /// SIGReg, in nano-nats.
        sigreg_nano: u64,
        /// Tokens that were predicted.
        predicted_tokens: u64,
        /// The direction of the mean representation, in units of 2^-15.
        embedding_q15: Vec<i16>,
        /// The mean representation; nothing is decided by it.
        mean_embedding: Vec<f32>,
    },
    /// Why it has none.
    Failed {
        /// In words.
        error: String,
    },
}

/// All models on one document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContestView {
    /// In the order asked for.
    pub models: Vec<ScoreView>,
    /// Index of the lowest loss, ties to the earlier.
    pub winner: usize,
    /// Binds every model's loss and embedding.
    pub transcript: Transcript,
}

/// One of several documents: its contest, or why it has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum DocumentView {
    /// At least one model has a score.
    Scored {
        /// The document's name: a file, `soma:0x..`, or its place in the request.
        data: String,
        /// The scores.
        #[serde(flatten)]
        contest: ContestView,
    },
    /// No model has one.
    Failed {
        /// The document's name.
        data: String,
        /// Why it has no score.
        error: String,
    },
}

/// What was asked for, in the shape it was asked in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ScoreAnswer {
    /// Of one document.
    One(ContestView),
    /// Of several.
    Many {
        /// In the order asked for.
        documents: Vec<DocumentView>,
    },
}

/// What a service answers: the scores, and the weights that they are of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServedScores {
    /// BLAKE3 of each model's weights, in the order asked for: of its file at `soma score serve`, on a node
    /// of the encrypted weights, as the chain names them.
    pub weights: Vec<ContentHash>,
    /// The scores.
    #[serde(flatten)]
    pub scores: ScoreAnswer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_document_and_many_have_their_own_shapes() {
        let contest = ContestView {
            models: vec![ScoreView::Failed { error: "no".into() }],
            winner: 0,
            transcript: Transcript([7; 32]),
        };
        let failed = DocumentView::Failed {
            data: "b".into(),
            error: "none".into(),
        };
        let scored = DocumentView::Scored {
            data: "a".into(),
            contest: contest.clone(),
        };
        for answer in [
            ScoreAnswer::One(contest),
            ScoreAnswer::Many {
                documents: vec![scored, failed],
            },
        ] {
            let json = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<ScoreAnswer>(&json).unwrap(), answer);
            let served = ServedScores {
                weights: vec![ContentHash([9; 32])],
                scores: answer,
            };
            let json = serde_json::to_string(&served).unwrap();
            assert_eq!(serde_json::from_str::<ServedScores>(&json).unwrap(), served);
        }
        let request: ScoreRequest = serde_json::from_str(r#"{"models":["a"],"data":["YQ=="]}"#).unwrap();
        assert_eq!(request.data, OneOrMany::Many(vec!["YQ==".into()]));
        assert!(serde_json::from_str::<ScoreRequest>(r#"{"models":["a"],"data":"","sed":0}"#).is_err());
    }

    #[test]
    fn lists_are_bounded_while_they_are_read() {
        let list = |count: usize| format!("[{}]", vec![r#""""#; count].join(","));
        let read = |models: &str, data: &str| {
            let text = format!(r#"{{"models":{models},"data":{data}}}"#);
            serde_json::from_str::<ScoreRequest>(&text).map_err(|error| error.to_string())
        };
        let (most, more) = (list(TEXTS_MAX), list(TEXTS_MAX + 1));
        assert_eq!(read(&most, &most).unwrap().models.len(), TEXTS_MAX);
        for (models, data) in [(&more, &most), (&most, &more)] {
            let error = read(models, data).unwrap_err();
            assert!(
                error.contains("more than 1024 texts: ask in several requests"),
                "{error}"
            );
        }
        for data in ["7", "null", "{}", "[7]", "[[]]"] {
            let error = read("[]", data).unwrap_err();
            assert!(error.contains("expected a"), "{error}");
        }
    }
}
