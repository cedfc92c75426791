//! `soma genesis`: a network is founded by operators who trust none of them ([`soma_operator::founding`]).

use std::path::{Path, PathBuf};

use serde::Serialize;
use soma_operator::{
    Home, Secrets,
    founding::{Dealt, FoundingFolder},
};
use soma_types::ChainId;

use crate::{
    args::GenesisCommand,
    context::Context,
    error::CliResult,
    printer::{Printer, count, facts},
};

#[derive(Serialize)]
struct DealOutput {
    network: String,
    chain: ChainId,
    validators: usize,
}

#[derive(Serialize)]
struct BuildOutput {
    network: String,
    chain: ChainId,
    network_key: String,
    hash: String,
    file: PathBuf,
}

/// `soma genesis`. Computes for seconds, or minutes where there are many validators, and says so before.
pub fn run(printer: Printer, context: &Context, command: &GenesisCommand) -> CliResult {
    match command {
        GenesisCommand::Deal { founding } => deal(printer, context, founding),
        GenesisCommand::Build { founding } => build(printer, founding),
    }
}

fn deal(printer: Printer, context: &Context, founding: &Path) -> CliResult {
    let secrets = Secrets::read(&Home::new(context.home()?).secrets())?;
    let folder = FoundingFolder::open(founding)?;
    tell_of_proofs(printer, &folder);
    let dealt = folder.deal(&secrets, rng())?;
    let output = DealOutput {
        network: folder.genesis().network.clone(),
        chain: folder.genesis().chain_id(),
        validators: folder.genesis().validators.len(),
    };
    printer.show(&output, |output| {
        let done = match dealt {
            Dealt::Now => "Dealt to",
            Dealt::Before => "Had dealt before to",
        };
        format!(
            "{done} {} of {}.\n{}",
            count(output.validators as u64, "validator"),
            output.network,
            facts(&[("chain", output.chain.to_string())])
        )
    })?;
    printer.note(
        "Compare the chain with the other operators: one who has another has another plan or other entries",
    );
    Ok(())
}

fn build(printer: Printer, founding: &Path) -> CliResult {
    let folder = FoundingFolder::open(founding)?;
    tell_of_proofs(printer, &folder);
    let network = folder.build(rng())?;
    let file = folder.network_path();
    network.write(&file)?;
    let output = BuildOutput {
        network: network.genesis.network.clone(),
        chain: network.genesis.chain_id(),
        network_key: format!("0x{}", hex_of(&network.committee.network_key())),
        hash: format!("0x{}", hex_of(&network.hash())),
        file,
    };
    printer.show(&output, |output| {
        facts(&[
            ("network", output.network.clone()),
            ("chain", output.chain.to_string()),
            ("network key", output.network_key.clone()),
            ("hash", output.hash.clone()),
            ("file", output.file.display().to_string()),
        ])
    })?;
    printer.note("Compare the hash with the other operators, then `soma node join`");
    Ok(())
}

/// Why nothing is to be seen for a while.
pub fn tell_of_proofs(printer: Printer, folder: &FoundingFolder) {
    let validators = count(folder.genesis().validators.len() as u64, "validator");
    printer.note(format!(
        "Computing the proofs of {validators}: seconds for a few, minutes for many"
    ));
}

/// Randomness of the operating system.
pub fn rng() -> impl rand_core::CryptoRng {
    rand::make_rng::<rand::rngs::StdRng>()
}

/// Bytes as digits.
pub fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
