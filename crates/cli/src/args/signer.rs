//! Who signs a transaction, and what it may cost.

use clap::Args;
use soma_client::account::MAX_FEE_DEFAULT;
use soma_types::{ChainId, Shannons};

/// Who signs, and how much it may cost.
#[derive(Debug, Args)]
pub struct Signer {
    /// The wallet that signs; the one in use if left out.
    #[arg(long, value_name = "NAME")]
    pub wallet: Option<String>,
    /// The most that one transaction may cost in fees, in SOMA.
    #[arg(long, value_name = "AMOUNT", default_value_t = MAX_FEE_DEFAULT)]
    pub max_fee: Shannons,
    /// Sign for this chain alone: no node of another is believed. If left out, $SOMA_CHAIN, or any.
    #[arg(long, value_name = "ID")]
    pub chain: Option<ChainId>,
    /// How long to wait for a transaction's end, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub wait: u64,
}

/// An amount that pays something: zero would cost a fee and change nothing.
pub(super) fn amount(text: &str) -> Result<Shannons, String> {
    match text.parse::<Shannons>() {
        Ok(amount) if amount.is_zero() => {
            Err("an amount of zero changes nothing, and would cost a fee".into())
        }
        Ok(amount) => Ok(amount),
        Err(error) => Err(error.to_string()),
    }
}
