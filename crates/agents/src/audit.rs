//! The verdict on a winner: a comparison of integers. Pure.

use soma_model::Contest;
use soma_types::{
    Embedding, ModelId, Transcript,
    objects::{AuditFinding, AuditStage, Found},
    transaction::Verdict,
};

/// Compares what a submission claims with what exact scoring of all its target's models found, for a `stage`
/// of its audit.
#[must_use]
pub fn finding(
    stage: AuditStage,
    claim: &Found,
    embedding: &Embedding,
    models: &[ModelId],
    exact: &Contest,
) -> AuditFinding {
    let winning = exact.winning();
    let honest = claim.losses_nano == exact.losses_nano()
        && models.get(exact.winner()) == Some(&claim.model)
        && claim.cross_entropy_nano == winning.cross_entropy_nano()
        && embedding == winning.embedding();
    let verdict = if honest {
        Verdict::Valid
    } else {
        Verdict::FalseScore
    };
    let transcript = match stage {
        AuditStage::Drawn => exact.transcript(),
        AuditStage::Hearing => exact.hearing_transcript(),
    };
    AuditFinding { verdict, transcript }
}

/// A finding made without scoring: it has no transcript.
#[must_use]
pub const fn without_score(verdict: Verdict) -> AuditFinding {
    AuditFinding {
        verdict,
        transcript: Transcript([0; 32]),
    }
}

#[cfg(test)]
mod tests {
    use soma_types::{ContentHash, Height, transaction::BasisPoints};

    use super::*;
    use crate::test_cast::{DATA, MODELS, contest};

    fn honest() -> (Found, Embedding) {
        let exact = contest();
        let found = Found {
            revealed: Height(9),
            data_url: "soma:data".parse().unwrap(),
            data_size_bytes: DATA.len() as u64,
            data_hash: ContentHash::of(DATA),
            losses_nano: exact.losses_nano(),
            cross_entropy_nano: exact.winning().cross_entropy_nano(),
            model: MODELS[exact.winner()],
            commission: BasisPoints::default(),
            dot_q30: 0,
            winner_index: Some(0),
        };
        (found, exact.winning().embedding().clone())
    }

    #[test]
    fn the_exact_claim_is_valid_and_any_other_is_false() {
        let (found, embedding) = honest();
        let verdict = |found: &Found, embedding: &Embedding| {
            let [drawn, hearing] = [AuditStage::Drawn, AuditStage::Hearing]
                .map(|stage| finding(stage, found, embedding, &MODELS, contest()).verdict);
            assert_eq!(drawn, hearing);
            drawn
        };
        assert_eq!(verdict(&found, &embedding), Verdict::Valid);

        for index in 0..MODELS.len() {
            let mut lie = found.clone();
            lie.losses_nano[index] ^= 1;
            assert_eq!(
                verdict(&lie, &embedding),
                Verdict::FalseScore,
                "one nano-nat of model {index}"
            );
        }
        let entropy = Found {
            cross_entropy_nano: found.cross_entropy_nano + 1,
            ..found.clone()
        };
        assert_eq!(verdict(&entropy, &embedding), Verdict::FalseScore);
        let model = Found {
            model: MODELS[(contest().winner() + 1) % 3],
            ..found.clone()
        };
        assert_eq!(verdict(&model, &embedding), Verdict::FalseScore);

        let mut nearly = embedding.as_slice().to_vec();
        let (at, _) = nearly.iter().enumerate().find(|(_, c)| **c > 0).unwrap();
        nearly[at] -= 1;
        assert_eq!(
            verdict(&found, &Embedding::from_q15(nearly).unwrap()),
            Verdict::FalseScore
        );
    }

    #[test]
    fn every_scored_finding_shows_the_work() {
        let (found, embedding) = honest();
        let transcript = |stage| finding(stage, &found, &embedding, &MODELS, contest()).transcript;
        assert_eq!(transcript(AuditStage::Drawn), contest().transcript());
        assert_eq!(transcript(AuditStage::Hearing), contest().hearing_transcript());
        assert_eq!(
            without_score(Verdict::DataUnavailable).transcript,
            Transcript::default()
        );
    }
}
