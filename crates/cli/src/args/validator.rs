//! `soma validator`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use soma_types::{
    Shannons,
    upgrade::{FIXED_PARAMS, ParamChange},
};

use super::{
    budgets::Budgets,
    signer::{Signer, amount},
};
use crate::reference::Reference;

/// `soma validator`.
#[derive(Debug, Subcommand)]
pub enum ValidatorCommand {
    /// List the validators, and what is proposed.
    List,
    /// Become a validator in the ledger: stake, a vote, and duties, but no blocks yet.
    ///
    /// From the next epoch on the largest validators have seats: they vote on proposals and on rent, report
    /// models, and are drawn as auditors. What this does not do yet: blocks are ordered by the validators of
    /// the network's genesis until committees are reshared, and a seat is paid for blocks, so a registered
    /// validator earns nothing for them so far. It audits with `soma validator audit`.
    Register {
        /// The wallet with the key that the validator's node signs with: one of its own, not the one that
        /// holds money.
        #[arg(long, value_name = "WALLET")]
        network_key: String,
        /// Its share of its pool's rewards, in basis points (100 = 1%).
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(0..=10_000))]
        commission: u16,
        /// The first stake, in SOMA; the least allowed if left out.
        #[arg(long, value_parser = amount, allow_negative_numbers = true)]
        stake: Option<Shannons>,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Examine what the validator is drawn for, and vote on it, until stopped.
    ///
    /// A seat is paid for its audits: winners that it is drawn for are downloaded and scored again, weights
    /// that were revealed are looked at, and the verdicts are committed and revealed in their windows. Run
    /// it beside the node, for ever; started again, it goes on where it was.
    Audit(AuditArgs),
    /// Give up the seat at the next boundary. The stake stays in the pool until it is withdrawn.
    Leave {
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Change the validator's share of its pool's rewards from the next epoch.
    Commission {
        /// The new share, in basis points (100 = 1%).
        #[arg(value_parser = clap::value_parser!(u16).range(0..=10_000))]
        commission: u16,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Vote on the price of storing weights: the stake-weighted median of the seats counts from the next
    /// epoch.
    Rent {
        /// The price of a MiB for an epoch, in SOMA.
        #[arg(allow_negative_numbers = true)]
        amount: Shannons,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Report that a model's revealed weights are unusable. Past two thirds of the seats' stake it is retired
    /// and slashed.
    ReportModel {
        /// The model.
        model: Reference,
        /// What is wrong.
        #[arg(long)]
        fault: Fault,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Show that a validator voted for two blocks in one view. It loses a part of its pool and its seat;
    /// anyone may.
    ReportEquivocation {
        /// The evidence, in JSON:
        /// {"network_key":"0x..","epoch":5,"view":6,"first":{"digest":"0x..","signature":"0x.."},
        /// "second":{..}}.
        evidence: PathBuf,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Propose a change of the protocol.
    Propose(ProposeArgs),
    /// Vote for a proposal.
    Vote {
        /// Its number.
        proposal: u64,
        /// Take an earlier vote back.
        #[arg(long)]
        withdraw: bool,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
}

/// `soma validator audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Most memory and disk for models.
    #[command(flatten)]
    pub budgets: Budgets,
    /// Options of transactions.
    #[command(flatten)]
    pub signer: Signer,
}

/// What is wrong with a model's revealed weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// The encrypted file cannot be downloaded.
    Unavailable,
    /// It has another size or hash than committed.
    HashMismatch,
    /// The revealed key is not the one that its header commits to.
    WrongKey,
    /// The weights do not parse, or do not fit the architecture.
    BadWeights,
}

/// `soma validator propose`.
#[derive(Debug, Args)]
pub struct ProposeArgs {
    /// The version of the rules; the one in force if left out.
    #[arg(long, value_name = "NUMBER")]
    pub protocol: Option<u32>,
    /// The shape of models, if it changes: `nano`, `v1`, or a JSON file.
    #[arg(long, value_name = "nano|v1|FILE")]
    pub arch: Option<String>,
    /// A new value of a parameter, as `soma params --json` shows it (amounts in shannons). May be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = change)]
    pub changes: Vec<ParamChange>,
    /// The first epoch under the new rules; three epochs ahead if left out.
    #[arg(long, value_name = "EPOCH")]
    pub activation: Option<u64>,
    /// Options of transactions.
    #[command(flatten)]
    pub signer: Signer,
}

/// Reads `NAME=VALUE`.
fn change(text: &str) -> Result<ParamChange, String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("'{text}' is not of the form NAME=VALUE"))?;
    if let Some((_, why)) = FIXED_PARAMS.iter().find(|(fixed, _)| *fixed == name) {
        return Err(format!("{name} cannot change: it {why}"));
    }
    if !ParamChange::NAMES.contains(&name) {
        return Err(format!(
            "there is no parameter {name}: use one of {}",
            ParamChange::NAMES.join(", ")
        ));
    }
    // Numbers are numbers, amounts are strings: one of them fits.
    let number = value.parse::<u64>().map(Value::from);
    let candidates = [number.ok(), Some(Value::from(value))];
    candidates
        .into_iter()
        .flatten()
        .find_map(|value| serde_json::from_value(json!({ name: value })).ok())
        .ok_or_else(|| format!("'{value}' is no value for {name}: see `soma params --json`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_as_people_write_them() {
        assert_eq!(change("fee_base=7"), Ok(ParamChange::FeeBase(Shannons(7))));
        assert_eq!(change("open_targets=20"), Ok(ParamChange::OpenTargets(20)));
        assert!(change("emission_epochs=9").unwrap_err().contains("for ever"));
        assert!(change("speed=9").unwrap_err().contains("open_targets"));
        assert!(change("open_targets=many").is_err());
        assert!(change("open_targets").is_err());
    }
}
