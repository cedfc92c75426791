//! Regions of embedding space with few models (docs/strategies.md): how many targets a model would be given
//! at a place, by the rule of routing. Pure.

use soma_model::Directions;
use soma_types::{Architecture, Embedding, ModelId, Seed, Shannons};

/// Seeds whose directions stand for all targets that may be drawn.
const SEEDS: u64 = 16;

/// A model as routing sees it.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// The model.
    pub model: ModelId,
    /// Where it is registered.
    pub embedding: Embedding,
    /// The stake that counts.
    pub stake: Shannons,
}

/// What a model would find at a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prospect {
    /// The part of all targets that it would be given, from 0 to 1.
    pub share: f64,
    /// The nearest model, and its cosine.
    pub nearest: Option<(ModelId, f64)>,
}

/// How crowded space is.
#[derive(Clone, Debug)]
pub struct Crowd {
    neighbours: Vec<Neighbour>,
    /// Directions of length 1, `[4096][d]`.
    directions: Vec<Vec<f64>>,
    /// What a model has to exceed to be given a target there.
    crowding: Vec<f64>,
    kappa: f64,
}

impl Crowd {
    /// The crowd of `neighbours`, of which `models_per_target` are given each target.
    #[must_use]
    pub fn new(architecture: &Architecture, neighbours: Vec<Neighbour>, models_per_target: usize) -> Self {
        let width = architecture.embedding_dim as usize;
        let kappa = 4.0 * (width as f64).sqrt();
        let units: Vec<_> = neighbours
            .iter()
            .map(|neighbour| (unit(&neighbour.embedding), ln(neighbour.stake)))
            .collect();
        let directions: Vec<_> = (0..SEEDS).flat_map(|seed| drawn(seed, architecture)).collect();
        let crowding = directions.iter().map(|direction| {
            let mut scores: Vec<f64> = units
                .iter()
                .map(|(place, stake)| kappa * dot(place, direction) + stake)
                .collect();
            scores.sort_by(|a, b| b.total_cmp(a));
            // Where there are fewer models, each is given everything.
            scores
                .get(models_per_target.saturating_sub(1))
                .copied()
                .unwrap_or(f64::NEG_INFINITY)
        });
        Self {
            crowding: crowding.collect(),
            neighbours,
            directions,
            kappa,
        }
    }

    /// What a model with this stake would find at `place`.
    #[must_use]
    pub fn prospect(&self, place: &Embedding, stake: Shannons) -> Prospect {
        let (place, stake) = (unit(place), ln(stake));
        let given = self
            .directions
            .iter()
            .zip(&self.crowding)
            .filter(|(direction, crowding)| self.kappa * dot(&place, direction) + stake > **crowding)
            .count();
        let cosines = self
            .neighbours
            .iter()
            .map(|neighbour| (neighbour.model, dot(&place, &unit(&neighbour.embedding))));
        Prospect {
            share: given as f64 / self.directions.len() as f64,
            nearest: cosines.max_by(|(_, a), (_, b)| a.total_cmp(b)),
        }
    }
}

/// The best prospect first: the largest share, then the farthest from its nearest model.
pub fn sort<T>(prospects: &mut [(T, Prospect)]) {
    let nearest = |prospect: &Prospect| prospect.nearest.map_or(-1.0, |(_, cosine)| cosine);
    prospects.sort_by(|(_, a), (_, b)| {
        let by_share = b.share.total_cmp(&a.share);
        by_share.then(nearest(a).total_cmp(&nearest(b)))
    });
}

/// The directions that SIGReg draws from a seed.
fn drawn(seed: u64, architecture: &Architecture) -> Vec<Vec<f64>> {
    let mut bytes = Seed::default();
    bytes.0[..8].copy_from_slice(&seed.to_le_bytes());
    let columns = Directions::draw(&bytes, architecture).to_row_major();
    let count = columns.len() / architecture.embedding_dim as usize;
    (0..count)
        .map(|at| {
            columns[at..]
                .iter()
                .step_by(count)
                .map(|x| f64::from(*x))
                .collect()
        })
        .collect()
}

/// An embedding's coordinates are rounded toward zero: its length is a little less than 1.
fn unit(embedding: &Embedding) -> Vec<f64> {
    let coordinates: Vec<f64> = embedding.as_slice().iter().map(|x| f64::from(*x)).collect();
    let length = dot(&coordinates, &coordinates).sqrt();
    coordinates.iter().map(|x| x / length).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// For a count of shannons; no stake is never given anything.
fn ln(stake: Shannons) -> f64 {
    (stake.0 as f64).ln()
}

#[cfg(test)]
mod tests {
    use soma_routing::RoutingTable;

    use super::*;

    const SMALL: Architecture = Architecture {
        embedding_dim: 32,
        ..Architecture::NANO
    };
    const SOMA: u64 = 1_000_000_000;

    fn place(seed: u8) -> Embedding {
        Embedding::draw(&Seed([seed; 32]), 32)
    }

    fn neighbour(number: u8, at: Embedding, stake: u64) -> Neighbour {
        Neighbour {
            model: ModelId([number; 32]),
            embedding: at,
            stake: Shannons(stake * SOMA),
        }
    }

    #[test]
    fn a_share_is_what_the_ledgers_routing_would_give() {
        let crowd: Vec<Neighbour> = (0..20)
            .map(|n| neighbour(n, place(n), 10 + u64::from(n) * 3))
            .collect();
        let own = neighbour(99, place(99), 25);
        let mut table = RoutingTable::new(32);
        for (sequence, model) in crowd.iter().chain([&own]).enumerate() {
            table.push(model.model, sequence as u64, model.stake, &model.embedding);
        }
        let targets: Vec<Embedding> = (0..SEEDS)
            .flat_map(|seed| drawn(seed, &SMALL))
            .map(|direction| {
                let scaled: Vec<i64> = direction.iter().map(|x| (x * 1e9) as i64).collect();
                Embedding::from_direction(&scaled).unwrap()
            })
            .collect();
        let routed = table.route(&targets, 3);
        let given = routed.iter().filter(|models| models.contains(&own.model)).count();
        let expected = given as f64 / targets.len() as f64;
        let found = Crowd::new(&SMALL, crowd, 3)
            .prospect(&own.embedding, own.stake)
            .share;
        // Coordinates of targets are rounded in the ledger.
        assert!((found - expected).abs() < 0.005, "{found} for {expected}");
        assert!(found > 0.0 && found < 0.5, "{found}");
    }

    #[test]
    fn crowded_places_promise_less_and_stake_buys_more() {
        let crowd: Vec<Neighbour> = (0..9).map(|n| neighbour(n, place(1), 10)).collect();
        let crowd = Crowd::new(&SMALL, crowd, 3);
        let stake = Shannons(10 * SOMA);
        let (inside, outside) = (crowd.prospect(&place(1), stake), crowd.prospect(&place(7), stake));
        assert!(outside.share > 2.0 * inside.share, "{outside:?} {inside:?}");
        assert!(inside.nearest.unwrap().1 > 0.999 && outside.nearest.unwrap().1 < 0.9);
        assert!(crowd.prospect(&place(7), Shannons(1_000 * SOMA)).share > outside.share);
        let mut both = [("inside", inside), ("outside", outside)];
        sort(&mut both);
        assert_eq!(both.map(|(name, _)| name), ["outside", "inside"]);
    }

    #[test]
    fn with_too_few_models_everything_is_given() {
        let crowd = Crowd::new(&SMALL, vec![neighbour(1, place(1), 10)], 3);
        assert_eq!(crowd.prospect(&place(2), Shannons(SOMA)).share, 1.0);
        let nobody = Crowd::new(&SMALL, Vec::new(), 3).prospect(&place(2), Shannons(SOMA));
        assert_eq!((nobody.share, nobody.nearest), (1.0, None));
    }
}
