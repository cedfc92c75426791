//! `soma score` and `soma embed`.

use std::{net::SocketAddr, path::PathBuf};

use bytesize::ByteSize;
use clap::{Args, Subcommand};
use soma_types::Seed;

use super::Selection;

/// A seed: whole, or as a number in its first bytes, little-endian.
fn seed(text: &str) -> Result<Seed, &'static str> {
    let malformed = "give a whole number below 2^64, or 0x and 64 hex digits";
    if text.starts_with("0x") {
        return text.parse().map_err(|_| malformed);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed);
    }
    let number: u64 = text.parse().map_err(|_| malformed)?;
    let mut seed = Seed::default();
    seed.0[..8].copy_from_slice(&number.to_le_bytes());
    Ok(seed)
}

/// `soma score`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ScoreArgs {
    /// What else there is to do.
    #[command(subcommand)]
    pub command: Option<ScoreCommand>,
    /// What to score.
    #[command(flatten)]
    pub files: Option<ScoreFiles>,
    /// What to read of it. Not among the files: clap never finds optional arguments that flatten others.
    #[command(flatten)]
    pub selection: Selection,
}

/// What `soma score` scores.
#[derive(Debug, Args)]
pub struct ScoreFiles {
    /// Weights (safetensors), one or several.
    #[arg(long, required = true, value_name = "FILE[,FILE..]")]
    pub weights: Vec<PathBuf>,
    /// `nano`, `v1`, or a JSON file with the dimensions of a model.
    #[arg(long, default_value = "nano", value_name = "nano|v1|FILE")]
    pub arch: String,
    /// The documents to score: files, folders, globs, addresses or data sets by name, as `soma train` reads
    /// them; `-` for standard input.
    ///
    /// A file is one document of at most 16 MiB, its bytes as they are. `.gz` and `.zst` are unpacked, and
    /// each line of `.jsonl` and row of `.parquet` is a document of its own. In folders, what is hidden,
    /// binary or a link is left out.
    #[arg(long, required = true, num_args = 1.., value_name = "SRC")]
    pub data: Vec<PathBuf>,
    /// Sets SIGReg's directions: a number, or 0x and 64 hex digits, as an epoch's seed is written.
    #[arg(long, default_value = "0", value_parser = seed)]
    pub seed: Seed,
    /// Most memory for models; by default one at a time is kept.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,
}

/// `soma score` with a word behind it.
#[derive(Debug, Subcommand)]
pub enum ScoreCommand {
    /// Check that this machine scores exactly: run the conformance suite on every backend.
    SelfTest,
    /// Serve exact scores over HTTP: POST /v1/score, GET /health, GET /openapi.json.
    Serve(ServeArgs),
}

/// `soma score serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Weights (safetensors), one or several, called by the files' names.
    #[arg(long, required = true, value_name = "FILE[,FILE..]")]
    pub weights: Vec<PathBuf>,
    /// `nano`, `v1`, or a JSON file with the dimensions of a model.
    #[arg(long, default_value = "nano", value_name = "nano|v1|FILE")]
    pub arch: String,
    /// Where to listen. Whoever reaches it may use it.
    #[arg(long, default_value = "127.0.0.1:9100", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Most memory for models.
    #[arg(long, default_value = "8GiB", value_name = "SIZE")]
    pub memory: ByteSize,
    /// Requests that may wait while one is served; more are told when to come back.
    #[arg(long, default_value_t = 64, value_name = "COUNT")]
    pub waiting: usize,
    /// Longest request, its documents in base64.
    #[arg(long, default_value = "64MiB", value_name = "SIZE")]
    pub body: ByteSize,
    /// Seconds that one request may compute.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
}

/// `soma embed`.
#[derive(Debug, Args)]
pub struct EmbedArgs {
    /// The weights (safetensors).
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// `nano`, `v1`, or a JSON file with the dimensions of a model.
    #[arg(long, default_value = "nano", value_name = "nano|v1|FILE")]
    pub arch: String,
    /// The text to embed: files, folders, globs, addresses or data sets by name, read as `soma train` reads
    /// them; `-` for standard input.
    #[arg(long, required = true, num_args = 1.., value_name = "SRC")]
    pub data: Vec<PathBuf>,
    /// Draws the 256 sequences that are embedded.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// What to read of it.
    #[command(flatten)]
    pub selection: Selection,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_numbers_or_whole() {
        let mut seven = [0; 32];
        seven[0] = 7;
        assert_eq!(seed("7"), Ok(Seed(seven)));
        let whole = format!("0x{}", "ab".repeat(32));
        assert_eq!(seed(&whole), Ok(Seed([0xab; 32])));
        for text in [
            "",
            "-1",
            "+1",
            "1.5",
            "0x",
            "0xab",
            "18446744073709551616",
            &whole[..65],
            &whole[2..],
        ] {
            assert!(seed(text).is_err(), "{text}");
        }
    }
}
