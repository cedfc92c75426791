//! `soma submit`.

use std::{num::NonZeroUsize, path::PathBuf, str::FromStr};

use clap::Args;
use soma_types::Shannons;

use super::{Selection, budgets::Budgets, positive::positive, signer::Signer};
use crate::reference::Reference;

/// `soma submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Text to submit: files, folders, globs, addresses or data sets by name, read as `soma train` reads
    /// them; `-` for standard input.
    ///
    /// A text of more than 2048 bytes is cut at line ends into pieces, called FILE#OFFSET, and each is
    /// submitted by itself. Stopped, the same command goes on where it was.
    #[arg(long, required = true, num_args = 1.., value_name = "SRC")]
    pub data: Vec<PathBuf>,
    /// What to read of it.
    #[command(flatten)]
    pub selection: Selection,
    /// Stop after this many hits, those of a run that was stopped and of one that goes on there counted
    /// together; otherwise when the text is used up.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub hits: Option<u64>,
    /// Go on for ever: when the text is used up, read it again, and try what did not win on the targets that
    /// are open then.
    #[arg(long)]
    pub follow: bool,
    /// A model that looks at each document first, so that only targets it may hit are tried: weights
    /// (safetensors) or a model of the network; `none` tries all. If left out, the network's genesis weights.
    #[arg(long, value_name = "FILE|model:ID|none")]
    pub scout: Option<ScoutName>,
    /// Most memory and disk for models.
    #[command(flatten)]
    pub budgets: Budgets,
    /// Submissions under way at a time.
    #[arg(long, value_name = "N", default_value = "8", value_parser = positive::<NonZeroUsize>)]
    pub under_way: NonZeroUsize,
    /// Most that bonds and deposits may lock at a time, in SOMA; they come back two epochs later.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub bond_budget: Option<Shannons>,
    /// Most that fees may cost in all, in SOMA; a run that goes on where another was stopped counts both.
    /// With 0 it ends at the first hit, and nothing is sent.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub fee_budget: Option<Shannons>,
    /// Serve winning data yourself: below this URL, by its hash. The node serves it otherwise.
    #[arg(long, value_name = "URL", requires = "url_folder")]
    pub url_base: Option<String>,
    /// The folder that is served there. Data is put into it once it has won.
    #[arg(long, value_name = "DIR", requires = "url_base")]
    pub url_folder: Option<PathBuf>,
    /// Tell nobody where the text comes from. Otherwise the reveal tells its licence, source, address and id,
    /// as far as its source says them, for ever.
    #[arg(long)]
    pub no_provenance: bool,
    /// Options of transactions.
    #[command(flatten)]
    pub signer: Signer,
}

/// What was typed for a scout.
#[derive(Clone, Debug)]
pub enum ScoutName {
    /// No scout: everything is scored.
    None,
    /// A model of the network.
    Model(Reference),
    /// Weights on this machine.
    File(PathBuf),
}

impl FromStr for ScoutName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix("model:") {
            Some(id) => Self::Model(id.parse()?),
            None if text == "none" => Self::None,
            None => Self::File(text.into()),
        })
    }
}
