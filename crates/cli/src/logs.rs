//! What a node tells of itself while it runs: lines on standard error, for people or for programs.

use std::io;

use soma_operator::{Config, LogFormat};
use tracing_subscriber::EnvFilter;

use crate::error::{CliError, CliResult};

/// From here on what the node tells is written as `config` says.
pub fn start(config: &Config) -> CliResult {
    let filter = EnvFilter::try_new(&config.log.filter).map_err(|error| {
        CliError::usage(format!("[log] filter = '{}': {error}", config.log.filter))
            .hint("a level (error, warn, info, debug, trace), or levels of modules: 'info,soma_node=debug'")
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false);
    let started = match config.log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    started.map_err(CliError::new)
}
