//! `soma generate`.

use clap::Args;

use super::{RoutedArgs, WholeArgs};

/// `soma generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// The text to go on from.
    #[arg(value_name = "PROMPT")]
    pub prompt: String,
    /// The models.
    #[command(flatten)]
    pub models: WholeArgs,
    /// Which of them.
    #[command(flatten)]
    pub routed: RoutedArgs,
    /// Most bytes to write.
    #[arg(
        long,
        default_value_t = 256,
        value_name = "COUNT",
        allow_negative_numbers = true
    )]
    pub bytes: u64,
    /// Draws the bytes: the same seed writes the same text on every machine.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How far probabilities are flattened; 0 takes the likeliest byte each time.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub temperature: f64,
    /// Draw from the likeliest bytes that have this share of all probability.
    #[arg(
        long,
        default_value_t = 1.0,
        value_name = "SHARE",
        allow_negative_numbers = true
    )]
    pub top_p: f64,
    /// Stop where this is written, before it.
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
}
