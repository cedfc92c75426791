//! One region's market: targets, who is near them, what submitters choose, and who is paid.

use std::collections::{BTreeMap, BTreeSet};

use soma_routing::RoutingTable;
use soma_types::{Embedding, ModelId, Seed, Shannons, embedding::UNIT_Q30, params::Params};

use crate::{
    cast::{ARCHITECTURE, Entrant},
    rules::{Draw, Hit, Rule, chances},
    scores::Scored,
};

/// Targets that are open, as at std.
const TARGETS: u64 = 100;
/// Below this chance of a hit nobody commits.
const CHANCE_MIN: f64 = 0.25;

/// How much less nearness counts for a seat than for a place near a target: so many times.
const SOFTER: f64 = 4.0;

/// A model on its documents, with its stake.
#[derive(Clone)]
pub struct Player<'a> {
    pub entrant: &'a Entrant,
    pub scored: &'a [Scored],
    pub stake: u64,
}

/// What everyone sees.
pub struct Market<'a> {
    /// In the order of their commits; the reference first.
    pub players: Vec<Player<'a>>,
    targets: Vec<Embedding>,
    /// By target: who is near, and the weight by which they are drawn.
    near: Vec<Vec<(usize, f64)>>,
    rule: Rule,
    threshold_q30: i32,
    band: std::ops::RangeInclusive<u64>,
}

/// What one commit comes to, on average over the draws.
#[derive(Clone, Default)]
pub struct Outcome {
    pub hit: f64,
    /// By player.
    pub paid: BTreeMap<usize, f64>,
}

impl Outcome {
    pub fn of(&self, players: impl Fn(usize) -> bool) -> f64 {
        self.paid
            .iter()
            .filter(|(player, _)| players(**player))
            .map(|(_, paid)| paid)
            .sum()
    }
}

impl<'a> Market<'a> {
    /// The ledger's own routing of an epoch's targets.
    pub fn new(players: Vec<Player<'a>>, rule: Rule, epoch: u8, threshold_q30: i32) -> Self {
        let seed = Seed([epoch; 32]);
        let dim = ARCHITECTURE.embedding_dim;
        let mut table = RoutingTable::new(dim);
        for (number, player) in players.iter().enumerate() {
            let id = ModelId([number as u8; 32]);
            table.push(id, number as u64, Shannons(player.stake), &player.entrant.place);
        }
        let targets: Vec<_> = (0..TARGETS)
            .map(|index| Embedding::draw(&seed.derive("target", index), dim as usize))
            .collect();
        let routed = table.route(&targets, rule.near.min(players.len()));
        let weighed = |target: &Embedding, id: &ModelId| {
            let player = usize::from(id.0[0]);
            let Player { entrant, stake, .. } = &players[player];
            let nearness = match rule.draw {
                Draw::Even | Draw::Stake => 0.0,
                Draw::Seats => similarity(&entrant.place, target) * 4.0 * f64::from(dim).sqrt() / SOFTER,
            };
            (player, *stake as f64 * nearness.exp())
        };
        let near = targets
            .iter()
            .zip(&routed)
            .map(|(target, ids)| ids.iter().map(|id| weighed(target, id)).collect())
            .collect();
        let params = Params::std();
        Self {
            near,
            players,
            targets,
            rule,
            threshold_q30,
            band: params.cross_entropy_min_nano..=params.cross_entropy_max_nano,
        }
    }

    /// Models that one has to have to score for every target.
    pub fn distinct(&self) -> usize {
        let all: BTreeSet<_> = self.near.iter().flatten().map(|(player, _)| player).collect();
        all.len()
    }

    /// Similarities of all documents to all targets, by whom this rule asks (the best of the near, where it
    /// asks those drawn).
    pub fn similarities(&self, documents: usize) -> impl Iterator<Item = i32> + '_ {
        (0..documents).flat_map(move |document| {
            (0..self.targets.len()).map(move |target| {
                let judge = match self.rule.hit {
                    Hit::Reference => 0,
                    Hit::Near | Hit::Drawn => self.best(document, target),
                };
                self.dot(judge, document, target)
            })
        })
    }

    /// What the submitter of a document commits to, for the most that it can have of it: every hit earns it
    /// one, and every hit that pays one of `mine` another. Nothing where no target is worth it.
    pub fn submitted(&self, document: usize, mine: impl Fn(usize) -> bool) -> Option<Outcome> {
        let outcomes = (0..self.targets.len()).filter_map(|target| {
            let outcome = self.outcome(document, target)?;
            let closeness = self.dot(self.best(document, target), document, target);
            Some((outcome.hit + outcome.of(&mine), closeness, outcome))
        });
        let best = outcomes.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        best.map(|(_, _, outcome)| outcome)
    }

    fn outcome(&self, document: usize, target: usize) -> Option<Outcome> {
        let hits = |player: usize| {
            self.reads(player, document) && self.dot(player, document, target) >= self.threshold_q30
        };
        let near = self.by_loss(document, target);
        match self.rule.hit {
            Hit::Near if !hits(near[0].0) => return None,
            Hit::Reference if !hits(0) => return None,
            _ => {}
        }
        let weights: Vec<f64> = near.iter().map(|(_, weight)| *weight).collect();
        let mut outcome = Outcome::default();
        for ((player, _), chance) in near.into_iter().zip(chances(self.rule.draw, &weights)) {
            let paid = match self.rule.hit {
                Hit::Drawn => hits(player),
                Hit::Near | Hit::Reference => self.reads(player, document),
            };
            if paid {
                *outcome.paid.entry(player).or_default() += chance;
            }
        }
        outcome.hit = match self.rule.hit {
            Hit::Drawn => outcome.paid.values().sum(),
            Hit::Near | Hit::Reference => 1.0,
        };
        (outcome.hit >= CHANCE_MIN).then_some(outcome)
    }

    /// Whether the document lies in the loss band for this player.
    fn reads(&self, player: usize, document: usize) -> bool {
        self.band
            .contains(&self.players[player].scored[document].cross_entropy_nano)
    }

    fn dot(&self, player: usize, document: usize, target: usize) -> i32 {
        self.players[player].scored[document]
            .embedding
            .dot(&self.targets[target])
    }

    fn best(&self, document: usize, target: usize) -> usize {
        self.by_loss(document, target)[0].0
    }

    /// The models near a target, by their losses on a document; of equals the earlier commit comes first.
    fn by_loss(&self, document: usize, target: usize) -> Vec<(usize, f64)> {
        let mut near = self.near[target].clone();
        near.sort_by_key(|(player, _)| self.players[*player].scored[document].loss_nano);
        near
    }
}

/// The cosine, which the length of embeddings makes of their product.
fn similarity(a: &Embedding, b: &Embedding) -> f64 {
    f64::from(a.dot(b)) / f64::from(UNIT_Q30)
}
