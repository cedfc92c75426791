//! How much of a machine models may take.

use bytesize::ByteSize;
use clap::Args;

/// Most memory and disk for the network's models.
#[derive(Debug, Args)]
pub struct Budgets {
    /// Most memory for the models that score; a scout is besides.
    #[arg(long, value_name = "SIZE", default_value = "8GiB")]
    pub memory: ByteSize,
    /// Most disk for models that memory does not hold, in the folder of wallets.
    #[arg(long, value_name = "SIZE", default_value = "16GiB")]
    pub cache: ByteSize,
}
