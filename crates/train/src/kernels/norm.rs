//! Layer norm over rows, forward and backward.

use super::{
    math::{LANES, dot, sum},
    vectorised,
};

/// What the backward pass needs of a forward one.
#[derive(Clone, Debug)]
pub struct Saved {
    /// The rows, centred and scaled to variance 1, before gamma and beta.
    normal: Vec<f32>,
    /// 1 / standard deviation of each row.
    inverse: Vec<f32>,
}

/// `(x - mean) / sqrt(variance + epsilon) * gamma + beta` for each row of `gamma.len()` elements.
pub fn forward(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> (Vec<f32>, Saved) {
    let width = gamma.len();
    let rows = x.len() / width;
    let mut out = vec![0.0; x.len()];
    let mut saved = Saved {
        normal: vec![0.0; x.len()],
        inverse: vec![0.0; rows],
    };
    vectorised(
        #[inline(always)]
        || {
            let beta = &beta[..width];
            for r in 0..rows {
                let span = r * width..(r + 1) * width;
                let (x, normal, out) = (&x[span.clone()], &mut saved.normal[span.clone()], &mut out[span]);
                let mean = sum(x) / width as f32;
                for i in 0..width {
                    normal[i] = x[i] - mean;
                }
                let variance = dot(normal, normal) / width as f32;
                let inverse = 1.0 / (variance + epsilon).sqrt();
                saved.inverse[r] = inverse;
                for i in 0..width {
                    normal[i] *= inverse;
                    out[i] = normal[i].mul_add(gamma[i], beta[i]);
                }
            }
        },
    );
    (out, saved)
}

/// Gradients of x, gamma and beta.
pub fn backward(grad: &[f32], gamma: &[f32], saved: &Saved) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let width = gamma.len();
    let mut dx = vec![0.0; grad.len()];
    let (mut dgamma, mut dbeta) = (vec![0.0; width], vec![0.0; width]);
    vectorised(
        #[inline(always)]
        || {
            let mut scaled = vec![0.0; width.next_multiple_of(LANES)];
            let scaled = &mut scaled[..width];
            for (r, inverse) in saved.inverse.iter().enumerate() {
                let span = r * width..(r + 1) * width;
                let (grad, normal, dx) = (&grad[span.clone()], &saved.normal[span.clone()], &mut dx[span]);
                for i in 0..width {
                    dbeta[i] += grad[i];
                    dgamma[i] = grad[i].mul_add(normal[i], dgamma[i]);
                    scaled[i] = grad[i] * gamma[i];
                }
                let mean = sum(scaled) / width as f32;
                let slope = dot(scaled, normal) / width as f32;
                for i in 0..width {
                    dx[i] = (scaled[i] - mean - normal[i] * slope) * inverse;
                }
            }
        },
    );
    (dx, dgamma, dbeta)
}
