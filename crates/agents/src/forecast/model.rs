//! What weights would have earned: where they would have been routed, on the documents that won there.

use soma_routing::RoutingTable;
use soma_types::{Embedding, ModelId, Shannons, api::TargetView, objects::Found};

use super::past::Rival;

/// Weights that might compete.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Where they specialise.
    pub embedding: Embedding,
    /// The stake behind them.
    pub stake: Shannons,
    /// The model whose weights they would replace; none where they would be another model's.
    pub replaces: Option<ModelId>,
}

/// The newcomer's name among rivals: ties in routing go to the lower, and so to the others.
const NEWCOMER: ModelId = ModelId([0xff; 32]);

/// Who would have scored a target with the newcomer: its rivals that stay, by their places among the target's
/// models. `None` where the newcomer is not routed there. `count` models are routed to a target.
#[must_use]
pub fn routed(
    newcomer: &Newcomer,
    target: &TargetView,
    rivals: &[&Rival],
    count: usize,
) -> Option<Vec<usize>> {
    let dim = u32::try_from(target.embedding.dim()).ok()?;
    let mut table = RoutingTable::new(dim);
    let others = || {
        let all = rivals.iter().enumerate();
        all.filter(|(_, rival)| Some(rival.id) != newcomer.replaces)
    };
    for (place, rival) in others() {
        table.push(rival.id, place as u64, rival.stake, &rival.embedding);
    }
    let name = newcomer.replaces.unwrap_or(NEWCOMER);
    table.push(name, u64::MAX, newcomer.stake, &newcomer.embedding);
    let routed = table
        .route(std::slice::from_ref(&target.embedding), count)
        .pop()?;
    routed.contains(&name).then(|| {
        let stay = others().filter(|(_, rival)| routed.contains(&rival.id));
        stay.map(|(place, _)| place).collect()
    })
}

/// The newcomer's exact score on a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scored {
    /// Its loss, in nano-nats.
    pub loss_nano: u64,
    /// The cross-entropy part.
    pub cross_entropy_nano: u64,
    /// Its embedding of the document.
    pub embedding: Embedding,
}

/// What would have become of the newcomer on a document that won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It would have had the lowest loss, by so many nano-nats, and hit.
    Wins {
        /// By how much; the most there is where it would have been alone.
        margin_nano: u64,
    },
    /// Another has a lower loss, by so many nano-nats, or the same and came first.
    Beaten {
        /// By how much.
        margin_nano: u64,
    },
    /// It would have had the lowest loss, and by its embedding the document would not have hit.
    TooFar {
        /// The dot product, in Q30.
        dot_q30: i32,
    },
    /// Its cross entropy is outside the band of text.
    LossBand,
    /// It has no score on it.
    NoScore,
}

/// The fate of a newcomer that is `routed` with the rivals at these places. `threshold_q30` is what the
/// winner's commit was held to; `band` what cross entropies may be.
#[must_use]
pub fn fate(
    scored: Option<&Scored>,
    target: &TargetView,
    found: &Found,
    routed: &[usize],
    threshold_q30: i64,
    band: &std::ops::RangeInclusive<u64>,
) -> Fate {
    let Some(scored) = scored else {
        return Fate::NoScore;
    };
    let losses = routed.iter().filter_map(|place| found.losses_nano.get(*place));
    let best = losses.min().copied().unwrap_or(u64::MAX);
    // Its weights would have been committed last: of equals the others win.
    if scored.loss_nano >= best {
        return Fate::Beaten {
            margin_nano: scored.loss_nano - best,
        };
    }
    if !band.contains(&scored.cross_entropy_nano) {
        return Fate::LossBand;
    }
    let dot_q30 = scored.embedding.dot(&target.embedding);
    if i64::from(dot_q30) < threshold_q30 {
        return Fate::TooFar { dot_q30 };
    }
    Fate::Wins {
        margin_nano: best - scored.loss_nano,
    }
}

#[cfg(test)]
mod tests {
    use soma_types::{
        ContentHash, DecryptionKey, Epoch, Height, Seed, TargetId,
        basis_points::BasisPoints,
        objects::{CommittedWeights, Target, TargetStatus, Weights},
    };

    use super::*;

    const DIM: usize = 64;

    fn direction(seed: u8) -> Embedding {
        Embedding::draw(&Seed([seed; 32]), DIM)
    }

    fn rival(byte: u8) -> Rival {
        Rival {
            id: ModelId([byte; 32]),
            embedding: direction(byte),
            stake: Shannons(10_000_000_000),
            weights: Weights {
                committed: CommittedWeights {
                    url: "soma:weights".parse().unwrap(),
                    size_bytes: 1,
                    hash: ContentHash([byte; 32]),
                    epoch: Epoch(1),
                    architecture: soma_types::Architecture::NANO,
                    sequence: 0,
                    embedding: None,
                },
                key: DecryptionKey([1; 32]),
                active_from: Epoch(3),
            },
        }
    }

    fn target(rivals: &[Rival], seed: u8) -> TargetView {
        TargetView {
            target: Target {
                id: TargetId([seed; 32]),
                epoch: Epoch(4),
                index: 0,
                slot: 0,
                seed: Seed([seed; 32]),
                threshold_q30: 0,
                models: rivals.iter().map(|rival| rival.id).collect(),
                opened: Height(1),
                status: TargetStatus::Open,
                candidates: Vec::new(),
            },
            embedding: direction(seed),
            commit_threshold_q30: 0,
            current: false,
        }
    }

    fn newcomer(seed: u8, stake: u64, replaces: Option<ModelId>) -> Newcomer {
        Newcomer {
            embedding: direction(seed),
            stake: Shannons(stake),
            replaces,
        }
    }

    #[test]
    fn whoever_is_nearer_pushes_the_farthest_out() {
        let rivals = [rival(1), rival(2), rival(9)];
        let all: Vec<_> = rivals.iter().collect();
        // The third rival stands where the target is.
        let view = target(&rivals, 9);
        let stake = rivals[0].stake.0;
        let near = routed(&newcomer(9, stake, None), &view, &all, 3).unwrap();
        assert_eq!(near.len(), 2);
        assert!(near.contains(&2), "the nearest stays");
        // No stake at all is not enough, unless there is room.
        assert_eq!(routed(&newcomer(77, 1, None), &view, &all, 3), None);
        assert_eq!(
            routed(&newcomer(77, 1, None), &view, &all, 4),
            Some(vec![0, 1, 2])
        );
        // In place of the nearest itself.
        let update = newcomer(9, stake, Some(rivals[2].id));
        assert_eq!(routed(&update, &view, &all, 3), Some(vec![0, 1]));
        // With the same place and stake, the other was there first.
        let alone = [&rivals[2]];
        assert_eq!(routed(&newcomer(9, stake, None), &view, &alone, 1), None);
    }

    #[test]
    fn the_lowest_loss_wins_where_it_hits() {
        let rivals = [rival(1), rival(2), rival(9)];
        let view = target(&rivals, 9);
        let found = Found {
            revealed: Height(9),
            data_url: "soma:data".parse().unwrap(),
            data_size_bytes: 1,
            data_hash: ContentHash([1; 32]),
            losses_nano: vec![500, 300, u64::MAX],
            cross_entropy_nano: 250,
            model: rivals[1].id,
            commission: BasisPoints::default(),
            dot_q30: 0,
            winner_index: Some(0),
        };
        let scored = |loss_nano, seed| Scored {
            loss_nano,
            cross_entropy_nano: 200,
            embedding: direction(seed),
        };
        let fate = |scored: Option<Scored>, places: &[usize], threshold| {
            fate(scored.as_ref(), &view, &found, places, threshold, &(100..=1_000))
        };
        let half = 1 << 29;
        assert_eq!(
            fate(Some(scored(299, 9)), &[0, 1], half),
            Fate::Wins { margin_nano: 1 }
        );
        assert_eq!(
            fate(Some(scored(300, 9)), &[0, 1], half),
            Fate::Beaten { margin_nano: 0 }
        );
        assert_eq!(
            fate(Some(scored(310, 9)), &[0, 1], half),
            Fate::Beaten { margin_nano: 10 }
        );
        // The best of them would have been pushed out.
        assert_eq!(
            fate(Some(scored(310, 9)), &[0, 2], half),
            Fate::Wins { margin_nano: 190 }
        );
        assert!(matches!(
            fate(Some(scored(299, 5)), &[0, 1], half),
            Fate::TooFar { .. }
        ));
        let noise = Scored {
            cross_entropy_nano: 99,
            ..scored(299, 9)
        };
        assert_eq!(fate(Some(noise), &[0, 1], half), Fate::LossBand);
        assert_eq!(fate(None, &[0, 1], half), Fate::NoScore);
        assert!(
            matches!(fate(Some(scored(1, 9)), &[], half), Fate::Wins { .. }),
            "alone"
        );
    }
}
