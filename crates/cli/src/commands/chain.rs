//! `soma status`, `soma epoch` and `soma params`: how the network is doing.

use serde_json::Value;
use soma_types::{
    Epoch, Shannons,
    api::{EpochView, Status},
    objects::EpochRecord,
    params::ONE_Q16,
};

use crate::{
    context::Context,
    error::{CliError, CliResult},
    printer::{Printer, count, facts},
};

/// `soma status`.
pub async fn status(printer: Printer, context: &Context) -> CliResult {
    let status = context.node()?.status().await?;
    printer.show(&status, status_text)
}

fn status_text(status: &Status) -> String {
    let into_epoch = status.height.0.saturating_sub(status.epoch_first_height.0);
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let mut lines = vec![
        ("network", status.network.clone()),
        ("chain", status.chain.to_string()),
        ("network key", status.network_key.clone()),
        ("node", format!("soma {}{}", status.version, role(status))),
        ("height", status.height.to_string()),
        ("block", status.block.to_string()),
        ("state root", status.state_root.to_string()),
        (
            "epoch",
            format!(
                "{} (block {into_epoch} of {})",
                status.epoch, status.epoch_length_blocks
            ),
        ),
        ("validators", status.validators.to_string()),
        ("waiting", count(status.mempool_transactions, "transaction")),
        (
            "finality",
            format!(
                "{} ms (95%: {} ms)",
                status.finality_ms.p50, status.finality_ms.p95
            ),
        ),
        (
            "block time",
            format!("{} ms (95%: {} ms)", status.block_ms.p50, status.block_ms.p95),
        ),
        (
            "to peers",
            format!(
                "{} sent, {} received",
                mebibytes(status.network_bytes_sent),
                mebibytes(status.network_bytes_received)
            ),
        ),
        ("protocol", format!("version {}", status.protocol_version)),
    ];
    if let Some(upgrade) = &status.upgrade {
        let warning = if upgrade.supported {
            ""
        } else {
            ": THIS NODE DOES NOT IMPLEMENT IT and stops before; install a newer release"
        };
        lines.push((
            "upgrade",
            format!(
                "proposal {} takes effect in epoch {}, protocol version {}{warning}",
                upgrade.proposal, upgrade.activation, upgrade.version
            ),
        ));
    }
    facts(&lines)
}

fn role(status: &Status) -> &'static str {
    if status.network_identity.is_some() {
        ", a validator"
    } else {
        ", a follower"
    }
}

/// `soma epoch`.
pub async fn epoch(printer: Printer, context: &Context, epoch: Option<u64>) -> CliResult {
    let (node, asked) = (context.node()?, epoch.map(Epoch));
    let view = match (node.epoch(asked).await, asked) {
        (Err(error), Some(asked)) if error.is_not_found() => {
            let now = node.status().await?.epoch;
            return Err(match asked > now {
                true => CliError::new(format!("epoch {asked} has not begun: epoch {now} is in progress")),
                false => error.into(),
            });
        }
        (view, _) => view?,
    };
    printer.show(&view, epoch_text)
}

fn epoch_text(view: &EpochView) -> String {
    let state = &view.state;
    let last = state.first_height.0 + state.length_blocks.saturating_sub(1);
    let mut lines = vec![
        (
            "epoch",
            format!(
                "{}{}",
                view.epoch,
                if view.current { ", in progress" } else { ", over" }
            ),
        ),
        ("blocks", format!("{} to {last}", state.first_height)),
        ("committee", count(state.committee, "validator")),
        ("models", format!("{} in the competition", state.models)),
        (
            "targets",
            format!("{} opened, {} hit", state.targets_opened, state.hits),
        ),
        (
            "submissions",
            format!(
                "{} committed, {} revealed",
                state.submissions_committed, state.submissions_revealed
            ),
        ),
        (
            "difficulty",
            format!("{:.3} standard deviations", q16(state.difficulty.z_q16)),
        ),
        ("transactions", state.transactions.to_string()),
        (
            "fees",
            format!(
                "{} SOMA, multiplier {:.3}",
                state.fees,
                state.fee_multiplier_q16 as f64 / ONE_Q16 as f64
            ),
        ),
        (
            "rent",
            format!("{} SOMA, {} per MiB", state.rent, state.rent_per_mib_epoch),
        ),
        (
            "audit rate",
            format!("{:.2}%", f64::from(state.audit_rate.get()) / 100.0),
        ),
        ("least bond", format!("{} SOMA", state.bond_floor)),
    ];
    if let Some(record) = &view.record {
        lines.extend(record_lines(record));
    }
    facts(&lines)
}

fn record_lines(record: &EpochRecord) -> Vec<(&'static str, String)> {
    let soma = |amount: Shannons| format!("{amount} SOMA");
    vec![
        ("emission", soma(record.emission)),
        ("burned", soma(record.burned)),
        ("reserve", soma(record.reserve)),
        (
            "rewards",
            format!(
                "{} SOMA per hit, {} for validators",
                record.reward_per_hit, record.validator_pot
            ),
        ),
        (
            "audits",
            format!(
                "{} done, {} heard by the committee, {} found false",
                record.audited, record.heard, record.found_false
            ),
        ),
        (
            "paid",
            format!(
                "{} to submitters, {} to models, {} to validators",
                record.paid_submitters, record.paid_models, record.paid_validators
            ),
        ),
        (
            "settled",
            if record.settled {
                "yes".into()
            } else {
                format!("{} so far", count(record.settled_hits, "winner"))
            },
        ),
    ]
}

fn q16(value: i64) -> f64 {
    value as f64 / ONE_Q16 as f64
}

/// `soma params`.
pub async fn params(printer: Printer, context: &Context) -> CliResult {
    let params = context.node()?.params().await?;
    let json = serde_json::to_value(&params)?;
    printer.show(&json, |json| {
        let lines: Vec<(&str, String)> = json
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), parameter(value)))
            .collect();
        facts(&lines)
    })
}

/// A parameter as people read it; amounts, which are strings of digits, in SOMA.
fn parameter(value: &Value) -> String {
    match value {
        Value::String(text) => match text.parse() {
            Ok(amount) => format!("{} SOMA", Shannons(amount)),
            Err(_) => text.clone(),
        },
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            fields.join(", ")
        }
        other => other.to_string(),
    }
}
