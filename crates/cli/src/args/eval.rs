//! `soma eval`.

use std::path::PathBuf;

use clap::Args;

use super::{RoutedArgs, WholeArgs};

/// `soma eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The text: files, folders, globs, addresses or data sets by name; `-` for standard input.
    #[arg(required = true, value_name = "SRC")]
    pub data: Vec<PathBuf>,
    /// The models.
    #[command(flatten)]
    pub models: WholeArgs,
    /// Which of them.
    #[command(flatten)]
    pub routed: RoutedArgs,
}
