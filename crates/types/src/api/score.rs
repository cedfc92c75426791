//! Exact scoring: what `POST /v1/score` takes, and what it and `soma score --json` answer.

use serde::{Deserialize, Serialize};

use crate::{Seed, Transcript};

/// A text, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum OneOrMany {
    /// One: the answer is its [`ContestView`].
    One(String),
    /// Several: the answer lists them.
    Many(Vec<String>),
}

/// What to score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ScoreRequest {
    /// Models: ids on a node, names at `soma score serve`. All of them score each document.
    pub models: Vec<String>,
    /// Documents: base64 of the bytes, or `soma:0x..` for content that the node stores.
    pub data: OneOrMany,
    /// Sets SIGReg's directions; the epoch's seed on a node, zeros at `soma score serve` where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
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
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
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
        /// Why.
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
        }
        let request: ScoreRequest = serde_json::from_str(r#"{"models":["a"],"data":["YQ=="]}"#).unwrap();
        assert_eq!(request.data, OneOrMany::Many(vec!["YQ==".into()]));
        assert!(serde_json::from_str::<ScoreRequest>(r#"{"models":["a"],"data":"","sed":0}"#).is_err());
    }
}
