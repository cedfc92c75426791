//! What a rule comes to: for the owner of documents, for the honest beside it, for a copy, for a codec.

use crate::{
    cast::{Cast, Entrant, KINDS, SPECIALISTS},
    market::{Market, Outcome, Player},
    rules::Rule,
    scores::Scored,
};

/// Epochs whose targets are drawn.
const EPOCHS: std::ops::Range<u8> = 1..5;
/// The owner's part of a region's documents.
const OWNED: f64 = 0.2;
/// Of all documents and targets together, so many are near enough: difficulty sees to it.
const NEAR_ENOUGH: f64 = 0.03;
/// A model's stake.
const STAKE: u64 = 1_000_000_000_000;

/// Models with their scores.
pub type Scores<'a> = Vec<(&'a Entrant, Vec<Scored>)>;

/// A region that is studied, and everyone's scores on the owner's documents, then on the others'.
pub struct Studied<'a> {
    pub name: &'a str,
    /// The place of its first specialist among everyone.
    pub first: usize,
    /// The generalists, then all specialists.
    pub honest: Scores<'a>,
    /// Owners by kind, then the copy, then the codec.
    pub cheats: Scores<'a>,
}

/// Everyone who takes part.
pub struct Stage<'a> {
    pub cast: &'a Cast,
    pub studied: Vec<Studied<'a>>,
    /// Everyone honest on the codec's documents; then the codec.
    pub private: Scores<'a>,
}

/// Mean and worst.
#[derive(Clone, Copy, Default)]
pub struct Spread {
    pub mean: f64,
    pub worst: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        Self {
            mean: values.iter().sum::<f64>() / values.len().max(1) as f64,
            worst: values.iter().copied().fold(f64::MIN, f64::max),
        }
    }
}

/// What was found of a rule. Shares are parts of the region's models' half.
#[derive(Default)]
pub struct Findings {
    /// By kind; then of the codec.
    pub gains: Vec<Spread>,
    /// What owners of all kinds gain beside their one honest model, who run so many of one stake in all.
    pub crowds: Vec<(usize, Spread)>,
    /// The part of its income that the best honest model loses to an owner, by kind.
    pub lost: Vec<Spread>,
    /// A copy's income beside what its victim earned without it.
    pub copied: Spread,
    /// Of honest commits, those that are no hits in the end.
    pub refused: f64,
    /// Of honest documents, those that somebody commits.
    pub committed: f64,
    /// Of the models' half: paid to nobody, and to models that were made for something else.
    pub unpaid: f64,
    pub foreign: f64,
    /// The parts of a region's specialists, the best first, where nobody cheats.
    pub ranks: [f64; SPECIALISTS.len()],
    /// Pairs of specialists of one place: how much better one is, and its part of what the two earn.
    pub pairs: Vec<(f64, f64)>,
    /// Models that score for every target.
    pub models: f64,
}

/// Sums over documents.
#[derive(Default)]
struct Tally {
    documents: f64,
    commits: f64,
    hits: f64,
    /// By player.
    paid: Vec<f64>,
}

impl Tally {
    fn of(market: &Market<'_>, documents: std::ops::Range<usize>, mine: impl Fn(usize) -> bool) -> Self {
        let mut tally = Self {
            paid: vec![0.0; market.players.len()],
            ..Self::default()
        };
        for document in documents {
            tally.documents += 1.0;
            let Some(Outcome { hit, paid }) = market.submitted(document, &mine) else {
                continue;
            };
            tally.commits += 1.0;
            tally.hits += hit;
            for (player, paid) in paid {
                tally.paid[player] += paid;
            }
        }
        tally
    }

    fn share(&self, players: impl Fn(usize) -> bool) -> f64 {
        let paid = self
            .paid
            .iter()
            .enumerate()
            .filter(|(player, _)| players(*player));
        paid.map(|(_, paid)| paid).sum::<f64>() / self.hits.max(f64::EPSILON)
    }
}

/// The share of `players` where the owner supplies its part of the documents.
fn blended(own: &Tally, others: &Tally, players: impl Fn(usize) -> bool + Copy) -> f64 {
    let weight = |part: f64, tally: &Tally| part * tally.hits / tally.documents;
    let (own_weight, others_weight) = (weight(OWNED, own), weight(1.0 - OWNED, others));
    (own_weight * own.share(players) + others_weight * others.share(players)) / (own_weight + others_weight)
}

impl Stage<'_> {
    pub fn study(&self, rule: Rule) -> Findings {
        let mut findings = Findings::default();
        let mut gains = vec![Vec::new(); KINDS.len() + 1];
        // By region: what its best earns in all epochs, and beside each kind of owner; what its copy earns.
        let regions = self.studied.len();
        let (mut best_clean, mut copy) = (vec![0.0; regions], vec![0.0; regions]);
        let mut best_left = vec![vec![0.0; regions]; KINDS.len()];
        let crowd_sizes = [2, 4, 8];
        let mut crowds = vec![Vec::new(); crowd_sizes.len()];
        let (mut models, mut sums, mut ranks) = (Vec::new(), [0.0; 5], [0.0; SPECIALISTS.len()]);
        for epoch in EPOCHS {
            let threshold = self.threshold(rule, epoch);
            for (number, region) in self.studied.iter().enumerate() {
                let world = World {
                    stage: self,
                    rule,
                    epoch,
                    threshold,
                    region,
                };
                let clean = world.market(world.honest());
                let documents = world.documents();
                let all = Tally::of(&clean, 0..documents, |_| false);
                let others = Tally::of(&clean, documents / 2..documents, |_| false);
                let (best, base) = (world.specialist(0), world.specialist(1));
                models.push(clean.distinct() as f64);
                let kin = |player: usize| player < self.cast.generalists.len() || world.is_specialist(player);
                let paid: f64 = all.paid.iter().sum();
                for (sum, more) in sums.iter_mut().zip([
                    all.documents,
                    all.commits,
                    all.hits,
                    paid,
                    paid - all.share(kin) * all.hits,
                ]) {
                    *sum += more;
                }
                for (a, b) in [(0, 1), (0, 2), (1, 2)] {
                    let (a, b) = (world.specialist(a), world.specialist(b));
                    let loss = |player: usize| -> f64 {
                        clean.players[player]
                            .scored
                            .iter()
                            .map(|scored| scored.loss_nano as f64)
                            .sum()
                    };
                    let (first, second) = (all.paid[a], all.paid[b]);
                    if first + second > 0.0 {
                        findings
                            .pairs
                            .push((1.0 - loss(a) / loss(b), first / (first + second)));
                    }
                }
                let baseline = others.share(|player| player == base);
                for kind in 0..KINDS.len() {
                    let owner = world.owner(kind, 1, best);
                    gains[kind].push(owner.share - baseline.max(owner.elsewhere));
                    best_left[kind][number] += owner.best;
                    for (size, crowd) in crowd_sizes.into_iter().zip(&mut crowds) {
                        crowd.push(world.owner(kind, size, best).share - baseline);
                    }
                }
                gains[KINDS.len()].push(world.codec());
                copy[number] += world.copy();
                best_clean[number] += all.share(|player| player == best);
                for (rank, sum) in ranks.iter_mut().enumerate() {
                    *sum += all.paid[world.specialist(rank)];
                }
            }
        }
        findings.gains = gains.iter().map(|values| Spread::of(values)).collect();
        // Of a region whose best earns nothing in the first place, nothing is said.
        let beside = |earned: &[f64]| -> Vec<f64> {
            let both = earned.iter().zip(&best_clean).filter(|(_, clean)| **clean > 0.0);
            both.map(|(earned, clean)| earned / clean).collect()
        };
        let lost = |left: &Vec<f64>| {
            beside(left)
                .into_iter()
                .map(|left| 1.0 - left)
                .collect::<Vec<_>>()
        };
        findings.lost = best_left.iter().map(|left| Spread::of(&lost(left))).collect();
        let crowds = crowds.iter().map(|values| Spread::of(values));
        findings.crowds = crowd_sizes.into_iter().zip(crowds).collect();
        findings.copied = Spread::of(&beside(&copy));
        findings.models = Spread::of(&models).mean;
        let [documents, commits, hits, paid, foreign] = sums;
        findings.committed = commits / documents;
        findings.refused = 1.0 - hits / commits;
        findings.unpaid = 1.0 - paid / hits;
        findings.foreign = foreign / hits;
        findings.ranks = ranks.map(|paid| paid / hits);
        findings
    }

    /// The similarity that as many of all documents have to all targets as are near enough.
    fn threshold(&self, rule: Rule, epoch: u8) -> i32 {
        let regions = self.studied.iter();
        let mut all: Vec<i32> = regions
            .flat_map(|region| {
                let players = players(&region.honest);
                let documents = players[0].scored.len();
                Market::new(players, rule, epoch, 0)
                    .similarities(documents)
                    .collect::<Vec<_>>()
            })
            .collect();
        let place = (all.len() as f64 * NEAR_ENOUGH) as usize;
        *all.select_nth_unstable_by(place, |a, b| b.cmp(a)).1
    }
}

fn players<'a>(entrants: &'a Scores<'a>) -> Vec<Player<'a>> {
    entrants
        .iter()
        .map(|(entrant, scored)| Player {
            entrant,
            scored,
            stake: STAKE,
        })
        .collect()
}

/// Parts of the region's models' half, where an owner supplies documents.
struct Owner {
    /// The owner's, of all documents.
    share: f64,
    /// The owner's, of everyone else's documents.
    elsewhere: f64,
    /// The best honest model's, of all documents.
    best: f64,
}

/// A region in an epoch under a rule.
struct World<'a> {
    stage: &'a Stage<'a>,
    rule: Rule,
    epoch: u8,
    threshold: i32,
    region: &'a Studied<'a>,
}

impl<'a> World<'a> {
    fn market(&self, players: Vec<Player<'a>>) -> Market<'a> {
        Market::new(players, self.rule, self.epoch, self.threshold)
    }

    fn honest(&self) -> Vec<Player<'a>> {
        players(&self.region.honest)
    }

    fn documents(&self) -> usize {
        self.region.honest[0].1.len()
    }

    /// The place of one of the region's specialists among the players.
    fn specialist(&self, rank: usize) -> usize {
        self.region.first + rank
    }

    fn is_specialist(&self, player: usize) -> bool {
        (self.specialist(0)..self.specialist(SPECIALISTS.len())).contains(&player)
    }

    /// Adds so many models of one stake in all.
    fn crowd(&self, place: usize, size: usize, players: &mut Vec<Player<'a>>) {
        let (entrant, scored) = &self.region.cheats[place];
        let stake = STAKE / size as u64;
        players.extend(std::iter::repeat_n(
            Player {
                entrant,
                scored,
                stake,
            },
            size,
        ));
    }

    /// An owner with so many models.
    fn owner(&self, kind: usize, size: usize, best: usize) -> Owner {
        let mut players = self.honest();
        // Its base is not staked any more: it stays in its place, and nothing is routed to it.
        players[self.specialist(1)].stake = 0;
        let first = players.len();
        self.crowd(kind, size, &mut players);
        let market = self.market(players);
        let mine = |player: usize| player >= first;
        let documents = self.documents();
        let own = Tally::of(&market, 0..documents / 2, mine);
        let others = Tally::of(&market, documents / 2..documents, |_| false);
        Owner {
            share: blended(&own, &others, mine),
            elsewhere: others.share(mine),
            best: blended(&own, &others, |player| player == best),
        }
    }

    /// What the owner of a codec gains, with one model.
    fn codec(&self) -> f64 {
        let mut market = self.honest();
        let first = market.len();
        self.crowd(KINDS.len() + 1, 1, &mut market);
        let documents = self.documents();
        let mine = |player: usize| player >= first;
        let others = Tally::of(&self.market(market.clone()), documents / 2..documents, |_| false);
        for (player, (_, scored)) in market.iter_mut().zip(&self.stage.private) {
            player.scored = scored;
        }
        let documents = market[0].scored.len();
        let own = Tally::of(&self.market(market), 0..documents, mine);
        blended(&own, &others, mine) - others.share(mine)
    }

    /// The share of a copy of the region's best.
    fn copy(&self) -> f64 {
        let mut players = self.honest();
        let first = players.len();
        self.crowd(KINDS.len(), 1, &mut players);
        Tally::of(&self.market(players), 0..self.documents(), |_| false).share(|player| player >= first)
    }
}
