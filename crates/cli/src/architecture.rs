//! `--arch nano|v1|FILE`.

use std::fs;

use soma_types::Architecture;

use crate::error::{CliError, CliResult};

/// The architecture that `--arch` names.
///
/// # Errors
/// When it is no preset, no readable JSON file, or makes no sense.
pub fn parse(text: &str) -> CliResult<Architecture> {
    match text {
        "nano" => Ok(Architecture::NANO),
        "v1" => Ok(Architecture::V1),
        file => {
            let hint = "give nano, v1, or a JSON file with embedding_dim, heads, layers, ffn_dim, max_seq_len and rope_wavelength";
            let json = fs::read_to_string(file).map_err(|error| {
                CliError::new(format!("cannot read the architecture {file}: {error}")).hint(hint)
            })?;
            let architecture: Architecture = serde_json::from_str(&json)
                .map_err(|error| CliError::new(format!("{file} is no architecture: {error}")).hint(hint))?;
            Ok(architecture.validate()?)
        }
    }
}
