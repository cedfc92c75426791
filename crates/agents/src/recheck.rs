//! What an auditor would find, for anyone who asks: [`recheck`] compares what is claimed with what exact
//! scoring finds on a target's [bench](crate::bench). Pure.

use serde::Serialize;
use soma_model::Contest;
use soma_types::{Embedding, ModelId, Transcript, objects::Found, transaction::Verdict};

/// What is claimed of a document on a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Each model's loss, in the target's order, in nano-nats.
    pub losses_nano: Vec<u64>,
    /// The winner's place among the target's models.
    pub winner: Option<usize>,
    /// The winner's cross entropy, in nano-nats.
    pub cross_entropy_nano: u64,
    /// The winner's embedding, where it is still known.
    pub embedding: Option<Embedding>,
    /// Its dot product with the target, in Q30.
    pub dot_q30: Option<i32>,
}

impl Claimed {
    /// What a revealed submission claims. The ledger forgets its embedding once it is settled; the dot
    /// product stays.
    #[must_use]
    pub fn by(found: &Found, embedding: Option<Embedding>, models: &[ModelId]) -> Self {
        Self {
            losses_nano: found.losses_nano.clone(),
            winner: models.iter().position(|model| *model == found.model),
            cross_entropy_nano: found.cross_entropy_nano,
            embedding,
            dot_q30: Some(found.dot_q30),
        }
    }
}

/// One value, claimed and exact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compared<T> {
    /// What is claimed; none where that is not known.
    pub claimed: Option<T>,
    /// What is the case; none where a model has no score.
    pub exact: Option<T>,
    /// Whether they are equal; none where nothing is claimed.
    pub equal: Option<bool>,
}

impl<T: PartialEq> Compared<T> {
    fn new(claimed: Option<T>, exact: Option<T>) -> Self {
        let equal = claimed.is_some().then_some(claimed == exact);
        Self {
            claimed,
            exact,
            equal,
        }
    }
}

/// A claim beside what an auditor finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recheck {
    /// Each model's loss, in the target's order.
    pub losses_nano: Vec<Compared<u64>>,
    /// The winner's place among the target's models.
    pub winner: Compared<usize>,
    /// The winner's cross entropy.
    pub cross_entropy_nano: Compared<u64>,
    /// The winner's embedding.
    pub embedding: Compared<Embedding>,
    /// Its dot product with the target, in Q30.
    pub dot_q30: Compared<i32>,
    /// What an auditor finds.
    pub verdict: Verdict,
    /// What drawn auditors reveal as having scored it.
    pub transcript: Transcript,
    /// The same in a hearing.
    pub hearing_transcript: Transcript,
}

/// Compares a claim with exact scores. Valid is what equals them in everything that is claimed.
#[must_use]
pub fn recheck(claimed: &Claimed, target: &Embedding, exact: &Contest) -> Recheck {
    let winning = exact.winning();
    let losses = exact.losses_nano();
    let count = claimed.losses_nano.len().max(losses.len());
    let losses_nano: Vec<_> = (0..count)
        .map(|index| {
            Compared::new(
                claimed.losses_nano.get(index).copied(),
                losses.get(index).copied(),
            )
        })
        .collect();
    let winner = Compared::new(claimed.winner, Some(exact.winner()));
    let cross_entropy_nano = Compared::new(
        Some(claimed.cross_entropy_nano),
        Some(winning.cross_entropy_nano()),
    );
    let embedding = Compared::new(claimed.embedding.clone(), Some(winning.embedding().clone()));
    let dot_q30 = Compared::new(claimed.dot_q30, Some(winning.embedding().dot(target)));
    let equal = losses == claimed.losses_nano
        // A model that is none of the target's has not won.
        && winner.equal == Some(true)
        && [cross_entropy_nano.equal, embedding.equal, dot_q30.equal]
            .into_iter()
            .flatten()
            .all(|equal| equal);
    Recheck {
        losses_nano,
        winner,
        cross_entropy_nano,
        embedding,
        dot_q30,
        verdict: if equal {
            Verdict::Valid
        } else {
            Verdict::FalseScore
        },
        transcript: exact.transcript(),
        hearing_transcript: exact.hearing_transcript(),
    }
}

#[cfg(test)]
mod tests {
    use soma_types::{ContentHash, Height, Seed, objects::AuditStage, transaction::BasisPoints};

    use super::*;
    use crate::{
        audit,
        test_cast::{MODELS, contest},
    };

    fn target() -> Embedding {
        Embedding::draw(&Seed([3; 32]), contest().winning().embedding().dim())
    }

    fn honest() -> Claimed {
        let exact = contest();
        Claimed {
            losses_nano: exact.losses_nano(),
            winner: Some(exact.winner()),
            cross_entropy_nano: exact.winning().cross_entropy_nano(),
            embedding: Some(exact.winning().embedding().clone()),
            dot_q30: Some(exact.winning().embedding().dot(&target())),
        }
    }

    type Lie = fn(&mut Claimed);

    const LIES: [(&str, Lie); 8] = [
        ("a loss", |claim| claim.losses_nano[0] ^= 1),
        ("the last loss", |claim| {
            *claim.losses_nano.last_mut().unwrap() += 1;
        }),
        ("a loss too few", |claim| {
            claim.losses_nano.pop();
        }),
        ("a loss too many", |claim| claim.losses_nano.push(1)),
        ("another winner", |claim| {
            claim.winner = Some((claim.winner.unwrap() + 1) % MODELS.len());
        }),
        ("no winner", |claim| claim.winner = None),
        ("the cross entropy", |claim| claim.cross_entropy_nano += 1),
        ("the dot product", |claim| {
            claim.embedding = None;
            claim.dot_q30 = claim.dot_q30.map(|dot| dot - 1);
        }),
    ];

    #[test]
    fn what_is_exact_is_valid_and_any_lie_is_named() {
        let valid = recheck(&honest(), &target(), contest());
        assert_eq!(valid.verdict, Verdict::Valid);
        assert_eq!(valid.transcript, contest().transcript());
        assert_eq!(valid.hearing_transcript, contest().hearing_transcript());
        // Once it is settled, its embedding is not known any more.
        let settled = Claimed {
            embedding: None,
            ..honest()
        };
        let settled = recheck(&settled, &target(), contest());
        assert_eq!((settled.verdict, settled.embedding.equal), (Verdict::Valid, None));
        for (what, lie) in LIES {
            let mut claim = honest();
            lie(&mut claim);
            assert_eq!(
                recheck(&claim, &target(), contest()).verdict,
                Verdict::FalseScore,
                "{what}"
            );
        }
        let mut nearly = honest().embedding.unwrap().as_slice().to_vec();
        let (at, _) = nearly.iter().enumerate().find(|(_, c)| **c > 0).unwrap();
        nearly[at] -= 1;
        let nearly = Claimed {
            embedding: Some(Embedding::from_q15(nearly).unwrap()),
            ..honest()
        };
        let found = recheck(&nearly, &target(), contest());
        assert_eq!(
            (found.verdict, found.embedding.equal),
            (Verdict::FalseScore, Some(false))
        );
    }

    /// It is the auditors' comparison, not another.
    #[test]
    fn auditors_find_the_same() {
        let mut claims = vec![honest()];
        for (_, lie) in LIES {
            let mut claim = honest();
            lie(&mut claim);
            claims.push(claim);
        }
        for claim in claims {
            // What the ledger checks before an audit can begin.
            let (Some(winner), Some(embedding)) = (claim.winner, claim.embedding.clone()) else {
                continue;
            };
            let found = Found {
                revealed: Height(9),
                data_url: "soma:data".parse().unwrap(),
                data_size_bytes: 1,
                data_hash: ContentHash([1; 32]),
                losses_nano: claim.losses_nano.clone(),
                cross_entropy_nano: claim.cross_entropy_nano,
                model: MODELS[winner],
                commission: BasisPoints::default(),
                dot_q30: claim.dot_q30.unwrap(),
                winner_index: Some(0),
            };
            let audited = audit::finding(AuditStage::Drawn, &found, &embedding, &MODELS, contest());
            let rechecked = recheck(&claim, &target(), contest());
            assert_eq!(
                (audited.verdict, audited.transcript),
                (rechecked.verdict, rechecked.transcript)
            );
            let by = Claimed::by(&found, Some(embedding), &MODELS);
            assert_eq!(by, claim);
        }
    }
}
