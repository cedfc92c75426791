//! `soma compress` and `soma decompress`.

use std::path::PathBuf;

use clap::Args;

use super::WholeArgs;

/// `soma compress`.
#[derive(Debug, Args)]
pub struct CompressArgs {
    /// The file to compress, of any bytes; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where it goes; `-` for standard output.
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// The models.
    #[command(flatten)]
    pub models: WholeArgs,
}

/// `soma decompress`.
#[derive(Debug, Args)]
pub struct DecompressArgs {
    /// What `soma compress` wrote; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the text goes; `-` for standard output.
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// The models, in any order, and others beside them. Their architecture is the one that the file names.
    #[command(flatten)]
    pub models: WholeArgs,
}
