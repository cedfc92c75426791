//! A model of what scoring would show, so that an economy can be run without training anything.
//!
//! Documents and models have positions on the unit sphere of a space of [`DIM`] dimensions. Documents are
//! not spread over it: as real embeddings do, they share a *cone* (a common direction, so that two
//! documents of any kind have a cosine near 0.25), and within it gather in *clusters*. Targets are
//! uniform over the whole sphere, so many lie where nobody has data.
//!
//! loss(model, document) = BASE + DISTANCE * (1 - cosine) - skill + noise, in nats; a model's embedding of
//! a document is the document's position, pulled a little toward the model.

use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};
use rand_distr::StandardNormal;
use soma_types::Embedding;

/// The generator that every draw of a simulation comes from.
pub type Rng = Xoshiro256PlusPlus;

/// Dimension of the space.
pub const DIM: usize = 64;
/// A point of the space.
pub type Vector = [f32; DIM];

/// Kinds of documents.
pub const CLUSTERS: usize = 32;
/// Loss of an average model on a document at its own position, in nats.
const BASE: f64 = 1.4;
/// What a document a right angle away costs a model, in nats.
const DISTANCE: f64 = 0.5;
/// Standard deviation of what makes one document harder than another for one model, in nats.
const NOISE: f64 = 0.03;
/// Weight of the direction common to all documents. The three weights' squares sum to 1.
const CONE: f32 = 0.5;
/// Weight of a document's cluster.
const CLUSTER: f32 = 0.6;
/// Weight of what a document shares with no other.
const ITSELF: f32 = 0.6245;
/// How far a model's embedding of a document is pulled toward the model.
const PULL: f32 = 0.2;

/// A generator for one `purpose` of a simulation.
#[must_use]
pub fn rng(seed: u64, purpose: u64) -> Rng {
    Rng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ purpose)
}

/// A standard normal number.
pub fn normal(rng: &mut Rng) -> f64 {
    rng.sample(StandardNormal)
}

/// Sum of products, in eight lanes so that it vectorises.
#[must_use]
pub fn dot(a: &Vector, b: &Vector) -> f32 {
    let mut lanes = [0_f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum()
}

fn unit(mut vector: Vector) -> Vector {
    let length = dot(&vector, &vector).sqrt();
    vector.iter_mut().for_each(|v| *v /= length);
    vector
}

fn direction(rng: &mut Rng) -> Vector {
    unit(std::array::from_fn(|_| normal(rng) as f32))
}

/// An embedding's direction in floats.
#[must_use]
pub fn floats(embedding: &Embedding) -> Vector {
    unit(std::array::from_fn(|i| f32::from(embedding.as_slice()[i])))
}

/// What a trained model can do.
#[derive(Clone, Debug)]
pub struct Mind {
    /// What it specialises in.
    pub position: Vector,
    /// How much better it is than the average, in nats.
    pub skill: f64,
    /// Tells its noise from that of others.
    pub quirk: u64,
}

impl Mind {
    /// The embedding it publishes.
    #[must_use]
    pub fn embedding(&self) -> Embedding {
        Embedding::from_f32(&self.position).expect("a unit vector of the space's dimension")
    }
}

/// A text someone has.
#[derive(Clone, Debug)]
pub struct Document {
    /// Distinguishes it from all others.
    pub number: u64,
    /// What it is about.
    pub position: Vector,
}

impl Document {
    /// The loss of `mind`, in nats, where `cosine` is that of their positions.
    #[must_use]
    pub fn loss(&self, mind: &Mind, cosine: f32) -> f64 {
        // Four 16-bit draws, fixed by the pair: nearly normal.
        let bits = splitmix(self.number ^ mind.quirk.rotate_left(32));
        let sum: u64 = (0..4).map(|i| (bits >> (16 * i)) & 0xFFFF).sum();
        let noise = (sum as f64 / 65_535.0 - 2.0) * 3_f64.sqrt();
        BASE + DISTANCE * (1.0 - f64::from(cosine)) - mind.skill + NOISE * noise
    }

    /// How similar `mind`'s embedding of it is to a target, from the cosines of document and target, of
    /// mind and target, and of document and mind.
    #[must_use]
    pub fn similarity(target: f32, mind_target: f32, cosine: f32) -> f32 {
        (target + PULL * mind_target) / (1.0 + PULL * PULL + 2.0 * PULL * cosine).sqrt()
    }

    /// `mind`'s embedding of it.
    #[must_use]
    pub fn embedding(&self, mind: &Mind) -> Embedding {
        let pulled: Vector = std::array::from_fn(|i| self.position[i] + PULL * mind.position[i]);
        Embedding::from_f32(&pulled).expect("never zero, since the pull is below one")
    }
}

fn splitmix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Where documents are.
#[derive(Clone, Debug)]
pub struct Space {
    cone: Vector,
    clusters: Vec<Vector>,
    documents: u64,
}

impl Space {
    /// Draws the cone and its clusters.
    #[must_use]
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            cone: direction(rng),
            clusters: (0..CLUSTERS).map(|_| direction(rng)).collect(),
            documents: 0,
        }
    }

    /// A new document of a cluster.
    pub fn document(&mut self, cluster: usize, rng: &mut Rng) -> Document {
        self.documents += 1;
        Document {
            number: self.documents,
            position: self.position(cluster, rng),
        }
    }

    /// A position such as documents of a cluster have.
    pub fn position(&self, cluster: usize, rng: &mut Rng) -> Vector {
        let (own, kind) = (direction(rng), &self.clusters[cluster]);
        unit(std::array::from_fn(|i| {
            CONE * self.cone[i] + CLUSTER * kind[i] + ITSELF * own[i]
        }))
    }

    /// A model that specialises in a cluster: nearer to its middle than any one document.
    pub fn mind(&self, cluster: usize, skill: f64, rng: &mut Rng) -> Mind {
        let (own, kind) = (direction(rng), &self.clusters[cluster]);
        Mind {
            position: unit(std::array::from_fn(|i| {
                CONE * self.cone[i] + CLUSTER * kind[i] + 0.3 * own[i]
            })),
            skill,
            quirk: rng.random(),
        }
    }
}
