//! What scoring needs of a chunk, wherever its pass ran.

/// What a pass found of one chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// Nats of every predicted token.
    pub losses: Vec<f32>,
    /// Whether all representations are below 2^15 in magnitude. If not, the sums mean nothing.
    pub in_range: bool,
    /// Representations summed over tokens, in units of 2^-24.
    pub representations: Vec<i64>,
    /// Cosines and sines summed over tokens, `[POINTS, 2, directions]` in units of 2^-21; empty without
    /// directions.
    pub characteristic: Vec<i64>,
}
