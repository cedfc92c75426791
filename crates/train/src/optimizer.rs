//! AdamW with a global limit on the gradient's norm (Kingma and Ba 2015; Loshchilov and Hutter 2019).

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    kernels::{math, vectorised},
    weights::Weights,
};

/// Decay of the mean gradient.
const BETA_1: f64 = 0.9;
/// Decay of the mean squared gradient: short runs want a short memory.
const BETA_2: f64 = 0.98;
/// Keeps the division finite.
const EPSILON: f32 = 1e-8;

/// Tensors by name, as flat arrays.
pub type Flat = BTreeMap<String, Vec<f32>>;

/// The optimizer's memory.
#[derive(Clone, Debug, Default, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Moments {
    /// Updates made.
    pub step: u64,
    /// Mean gradients.
    pub first: Flat,
    /// Mean squared gradients.
    pub second: Flat,
}

/// Settings of one update.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// The learning rate.
    pub rate: f64,
    /// Decoupled weight decay, of matrices only.
    pub decay: f64,
    /// The gradient is scaled down to this norm if it is longer.
    pub norm_max: f64,
}

impl Moments {
    /// No updates yet.
    #[must_use]
    pub fn new(weights: &Weights) -> Self {
        let zeros: Flat = weights
            .tensors()
            .iter()
            .map(|(n, t)| (n.clone(), vec![0.0; t.data.len()]))
            .collect();
        Self {
            step: 0,
            first: zeros.clone(),
            second: zeros,
        }
    }

    /// Whether these are moments of such weights: the same names and sizes.
    #[must_use]
    pub fn fit(&self, weights: &Weights) -> bool {
        [&self.first, &self.second].into_iter().all(|flat| {
            flat.len() == weights.tensors().len()
                && weights
                    .tensors()
                    .iter()
                    .all(|(n, t)| flat.get(n).is_some_and(|m| m.len() == t.data.len()))
        })
    }

    /// Updates the weights; returns the gradient's norm before clipping (NaN or infinite if the gradient is,
    /// and then nothing is changed).
    ///
    /// # Panics
    /// If `grads` lacks a tensor of the weights: a caller's bug.
    pub fn update(&mut self, weights: &mut Weights, grads: &Flat, update: Update) -> f64 {
        let norm = grads
            .values()
            .map(|g| {
                f64::from(vectorised(
                    #[inline(always)]
                    || math::dot(g, g),
                ))
            })
            .sum::<f64>()
            .sqrt();
        if !norm.is_finite() {
            return norm;
        }
        self.step += 1;
        let (correct_1, correct_2) = (1.0 - power(BETA_1, self.step), 1.0 - power(BETA_2, self.step));
        let clip = if norm > update.norm_max {
            (update.norm_max / norm) as f32
        } else {
            1.0
        };
        // rate * (m / c1) / (sqrt(v / c2) + epsilon)
        let (rate, root) = ((update.rate / correct_1) as f32, (1.0 / correct_2).sqrt() as f32);
        let (b1, b2) = (BETA_1 as f32, BETA_2 as f32);
        for (name, tensor) in weights.tensors_mut() {
            let keep = if tensor.shape.len() > 1 {
                1.0 - (update.rate * update.decay) as f32
            } else {
                1.0
            };
            let grad = &grads[name];
            let (Some(first), Some(second)) = (self.first.get_mut(name), self.second.get_mut(name)) else {
                unreachable!("the moments have the names of the weights")
            };
            vectorised(
                #[inline(always)]
                || {
                    for (((w, g), m), v) in tensor.data.iter_mut().zip(grad).zip(first).zip(second) {
                        let g = g * clip;
                        *m = b1 * *m + (1.0 - b1) * g;
                        *v = b2 * *v + (1.0 - b2) * g * g;
                        *w = *w * keep - rate * *m / (v.sqrt() * root + EPSILON);
                    }
                },
            );
        }
        norm
    }
}

/// base^exponent by repeated squaring, the same on every machine.
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut product = 1.0;
    while exponent > 0 {
        if exponent % 2 == 1 {
            product *= base;
        }
        base *= base;
        exponent /= 2;
    }
    product
}

/// Adds gradients, tensor by tensor.
pub fn accumulate(total: &mut Flat, more: &Flat) {
    for (name, more) in more {
        if let Some(total) = total.get_mut(name) {
            vectorised(
                #[inline(always)]
                || {
                    for (t, m) in total.iter_mut().zip(more) {
                        *t += m;
                    }
                },
            );
        } else {
            total.insert(name.clone(), more.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use soma_types::Architecture;

    const SMALL: Architecture = Architecture {
        embedding_dim: 4,
        heads: 1,
        layers: 1,
        ffn_dim: 4,
        max_seq_len: 4,
        rope_wavelength: 10,
    };

    #[test]
    fn powers_are_products() {
        assert_eq!([0, 1, 2, 5].map(|n| power(0.5, n)), [1.0, 0.5, 0.25, 0.03125]);
        assert!((power(0.98, 100) - 0.132_619_555_9).abs() < 1e-9);
        assert_eq!(power(0.9, u64::MAX), 0.0);
    }

    #[test]
    fn the_first_update_moves_by_the_rate_against_the_sign() {
        let mut weights = Weights::fresh(&SMALL, 1);
        let before = weights.clone();
        let grads: Flat = weights
            .tensors()
            .iter()
            .map(|(n, t)| (n.clone(), vec![-0.001; t.data.len()]))
            .collect();
        let update = Update {
            rate: 0.01,
            decay: 0.0,
            norm_max: 1e9,
        };
        Moments::new(&weights).update(&mut weights, &grads, update);
        for (name, tensor) in weights.tensors() {
            for (new, old) in tensor.data.iter().zip(&before.tensors()[name].data) {
                assert!((new - old - 0.01).abs() < 1e-6, "{name}: {old} became {new}");
            }
        }
    }

    #[test]
    fn long_gradients_are_clipped_and_bad_ones_change_nothing() {
        let mut weights = Weights::fresh(&SMALL, 1);
        let grads = |x: f32| -> Flat {
            weights
                .tensors()
                .iter()
                .map(|(n, t)| (n.clone(), vec![x; t.data.len()]))
                .collect()
        };
        let (long, bad) = (grads(100.0), grads(f32::NAN));
        let update = Update {
            rate: 0.01,
            decay: 0.0,
            norm_max: 1.0,
        };
        let mut moments = Moments::new(&weights);
        let before = (weights.clone(), moments.clone());
        assert!(moments.update(&mut weights, &bad, update).is_nan());
        assert_eq!((weights.clone(), moments.clone()), before);
        let norm = moments.update(&mut weights, &long, update);
        assert!(norm > 1000.0);
        let length: f32 = moments
            .first
            .values()
            .flatten()
            .map(|m| m * m)
            .sum::<f32>()
            .sqrt();
        assert!(
            (length - 0.1).abs() < 1e-4,
            "the mean gradient has length {length}, a tenth of 1 was expected"
        );
    }
}
