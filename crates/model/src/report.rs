//! Scores as the interfaces show them (docs/interfaces.md).

use soma_types::api::score::{ContestView, ScoreView};

use crate::score::{Contest, Score};

impl From<&Score> for ScoreView {
    fn from(score: &Score) -> Self {
        Self::Scored {
            loss_nano: score.loss_nano(),
            cross_entropy_nano: score.cross_entropy_nano(),
            sigreg_nano: score.sigreg_nano(),
            predicted_tokens: score.predicted_tokens(),
            embedding_q15: score.embedding().as_slice().to_vec(),
            mean_embedding: score.mean_embedding().to_vec(),
        }
    }
}

impl From<&Contest> for ContestView {
    fn from(contest: &Contest) -> Self {
        Self {
            models: contest
                .results()
                .iter()
                .map(|result| match result {
                    Ok(score) => score.into(),
                    Err(error) => ScoreView::Failed {
                        error: error.to_string(),
                    },
                })
                .collect(),
            winner: contest.winner(),
            transcript: contest.transcript(),
        }
    }
}
