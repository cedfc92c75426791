//! `soma serve`.

use std::net::SocketAddr;

use clap::Args;

use super::WholeArgs;

/// `soma serve`.
#[derive(Debug, Args)]
pub struct ServeModelsArgs {
    /// The models.
    #[command(flatten)]
    pub models: WholeArgs,
    /// Follow the network: bring the global model of each epoch into the folder, and serve it from then on.
    #[arg(long, conflicts_with = "weights")]
    pub follow: bool,
    /// Where to listen. Whoever reaches it may use it.
    #[arg(long, default_value = "127.0.0.1:9200", value_name = "ADDRESS")]
    pub listen: SocketAddr,
}
