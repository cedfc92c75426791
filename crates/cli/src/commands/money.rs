//! `soma balance`, `soma send`, `soma faucet` and `soma stake`.

use std::time::{Duration, Instant};

use serde::Serialize;
use soma_client::{ClientError, NodeClient};
use soma_types::{
    Address, Epoch, Receipt, Shannons, TransactionHash,
    api::{AccountView, StakeView, UnbondingView},
    event::Event,
    receipt::Outcome,
    transaction::{Payment, PoolId, Withdrawal},
};

use crate::{
    args::{Signer, StakeCommand},
    context::Context,
    error::{CliError, CliResult},
    printer::{Printer, facts, short, table},
};

/// How long to wait for the faucet's payment.
const FAUCET_WAIT: Duration = Duration::from_secs(60);
/// Stakes that a node shows with an account, at most.
const STAKES_LISTED_MAX: usize = 1_000;
/// Between two questions: one block time.
const PAUSE: Duration = Duration::from_millis(250);

/// `soma balance`.
pub async fn balance(printer: Printer, context: &Context, account: Option<&str>) -> CliResult {
    let address = context.account_named(account).await?;
    let view = context.node()?.account(&address).await?;
    printer.show(&view, balance_text)
}

fn balance_text(view: &AccountView) -> String {
    let mut text = facts(&[
        ("address", view.address.to_string()),
        ("balance", format!("{} SOMA", view.balance)),
        ("nonce", view.nonce.to_string()),
    ]);
    if !view.stakes.is_empty() {
        text += "\n";
        text += &counting_table(&view.stakes);
    }
    text
}

/// `soma send`.
pub async fn send(
    printer: Printer,
    context: &Context,
    to: &str,
    amount: Shannons,
    signer: &Signer,
) -> CliResult {
    let to = context.payee(to)?;
    let account = context.account(signer).await?;
    let receipt = account.transfer(vec![Payment { to, amount }]).await?;
    show_receipt(printer, &format!("sent {amount} SOMA to {to}"), &receipt)
}

/// `soma faucet`.
pub async fn faucet(
    printer: Printer,
    context: &Context,
    account: Option<&str>,
    amount: Shannons,
) -> CliResult {
    let address = context.account_named(account).await?;
    let node = context.node()?;
    let hash = node.faucet(&address, Some(amount)).await.map_err(|error| {
        if error.is_lost() {
            CliError::unknown(format!("the faucet may have paid: {error}"))
                .hint("`soma balance` shows whether it has, in a moment")
        } else {
            error.into()
        }
    })?;
    let receipt = receipt(&node, hash, FAUCET_WAIT).await?;
    show_receipt(
        printer,
        &format!("the faucet gave {amount} SOMA to {address}"),
        &receipt,
    )
}

/// `soma stake`.
pub async fn stake(printer: Printer, context: &Context, command: &StakeCommand) -> CliResult {
    match command {
        StakeCommand::Add { pool, amount, signer } => {
            let account = context.account(signer).await?;
            let pool = pool.find(account.node()).await?;
            let receipt = account.add_stake(pool, *amount).await?;
            let done = format!("added {amount} SOMA to {pool}; it counts from the next epoch");
            show_receipt(printer, &done, &receipt)
        }
        StakeCommand::Withdraw { pool, amount, signer } => {
            let account = context.account(signer).await?;
            let stakes = account.node().account(&account.address()).await?.stakes;
            let pool = pool.pick(
                stakes.iter().map(|stake| stake.pool),
                "you have staked nothing in",
            )?;
            let stake = stakes.iter().find(|stake| stake.pool == pool);
            if stake.is_some() || stakes.len() < STAKES_LISTED_MAX {
                check_withdrawal(pool, stake, *amount)?;
            }
            let withdrawal = amount.map_or(Withdrawal::All, Withdrawal::Amount);
            let receipt = account.withdraw_stake(pool, withdrawal).await?;
            show_receipt(printer, &withdrawn_text(pool, &receipt), &receipt)
        }
        StakeCommand::List { account } => {
            let address = context.account_named(account.as_deref()).await?;
            let node = context.node()?;
            let (view, epoch) = (node.account(&address).await?, node.status().await?.epoch);
            let output = StakesOutput {
                address,
                epoch,
                stakes: view.stakes,
                unbonding: view.unbonding,
            };
            printer.show(&output, stakes_text)?;
            if output.stakes.is_empty() && output.unbonding.is_empty() {
                printer.note(format!("{address} has staked nothing; `soma stake add` does."));
            }
            Ok(())
        }
    }
}

/// Whether there is that much to withdraw: what the ledger would refuse costs a fee.
fn check_withdrawal(pool: PoolId, stake: Option<&StakeView>, amount: Option<Shannons>) -> CliResult {
    let Some(stake) = stake else {
        return Err(CliError::new(format!("you have staked nothing in {pool}"))
            .hint("`soma stake list` shows your stake; what unbonds already is released by itself"));
    };
    match amount {
        Some(amount) if amount.is_zero() => Err(CliError::usage("0 SOMA are nothing to withdraw")),
        Some(amount) if amount > stake.counting => {
            let (counting, pending) = (stake.counting, stake.pending);
            let mut text = format!("{counting} SOMA of your stake in {pool} count, fewer than {amount}");
            if !pending.is_zero() {
                text += &format!("; {pending} were added in this epoch, and come back with everything alone");
            }
            Err(CliError::new(text).hint("leave the amount out to withdraw everything"))
        }
        _ => Ok(()),
    }
}

/// What a withdrawal did, in the terms of `soma stake list`.
fn withdrawn_text(pool: PoolId, receipt: &Receipt) -> String {
    let mut text = format!("withdrew from {pool}");
    for event in &receipt.events {
        if let Event::StakeWithdrawn {
            unbonding,
            release,
            returned,
            ..
        } = event
        {
            if !unbonding.is_zero() {
                text += &format!(
                    "\n{unbonding} SOMA unbond: they count until this epoch ends, and are released in epoch {release}"
                );
            }
            if !returned.is_zero() {
                text += &format!("\n{returned} SOMA did not count yet, and are back");
            }
        }
    }
    text
}

/// What `soma stake list` shows.
#[derive(Serialize)]
struct StakesOutput {
    address: Address,
    epoch: Epoch,
    stakes: Vec<StakeView>,
    unbonding: Vec<UnbondingView>,
}

/// The kind of a pool, and its id in short.
fn pool_cells(pool: PoolId) -> [String; 2] {
    match pool {
        PoolId::Model(model) => ["model".into(), short(model)],
        PoolId::Validator(address) => ["validator".into(), short(address)],
    }
}

/// What counts and what will.
fn counting_table(stakes: &[StakeView]) -> String {
    let rows = stakes.iter().map(|stake| {
        let [kind, id] = pool_cells(stake.pool);
        vec![kind, id, stake.counting.to_string(), stake.pending.to_string()]
    });
    table(
        &["stake in", "", "counting", "pending"],
        &["counting", "pending"],
        rows,
    )
}

fn stakes_text(output: &StakesOutput) -> String {
    let mut parts = Vec::new();
    if !output.stakes.is_empty() {
        parts.push(counting_table(&output.stakes));
    }
    if !output.unbonding.is_empty() {
        let rows = output.unbonding.iter().map(|view| {
            let [kind, id] = pool_cells(view.pool);
            let when = match view.release.0.saturating_sub(output.epoch.0) {
                0 => "now".into(),
                1 => format!("in epoch {}, the next", view.release),
                ahead => format!("in epoch {}, {ahead} ahead", view.release),
            };
            vec![kind, id, view.amount.to_string(), when]
        });
        parts.push(table(
            &["unbonding from", "", "amount", "released"],
            &["amount"],
            rows,
        ));
    }
    parts.join("\n")
}

/// Prints what was done, and the transaction behind it.
pub fn show_receipt(printer: Printer, done: &str, receipt: &Receipt) -> CliResult {
    printer.show(receipt, |receipt| format!("{done}\n{}", receipt_text(receipt)))
}

/// A transaction's hash, what it cost, and its height.
pub fn receipt_text(receipt: &Receipt) -> String {
    let mut lines = vec![
        ("transaction", receipt.transaction.to_string()),
        ("fee", format!("{} SOMA", receipt.fee)),
    ];
    for event in &receipt.events {
        if let Event::AccountOpened { price, .. } = event {
            lines.push(("new account", format!("{price} SOMA")));
        }
    }
    lines.push(("height", receipt.height.to_string()));
    facts(&lines)
}

/// Waits for the receipt of another's transaction. One that failed is an error.
async fn receipt(node: &NodeClient, hash: TransactionHash, patience: Duration) -> CliResult<Receipt> {
    let start = Instant::now();
    loop {
        let view = match node.transaction(&hash).await {
            Ok(view) => view,
            Err(error) if start.elapsed() > patience => return Err(unpaid(&hash, &error.to_string())),
            Err(_) => None,
        };
        if let Some(receipt) = view.and_then(|view| view.receipt) {
            return match &receipt.outcome {
                Outcome::Applied { .. } => Ok(receipt),
                Outcome::Failed { rejection } => Err(ClientError::Failed {
                    rejection: rejection.clone(),
                    receipt: Box::new(receipt),
                }
                .into()),
            };
        }
        if start.elapsed() > patience {
            return Err(unpaid(&hash, &format!("it waits after {} s", patience.as_secs())));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Another's transaction that may still happen.
fn unpaid(hash: &TransactionHash, why: &str) -> CliError {
    CliError::unknown(format!("transaction {hash} may still happen: {why}"))
        .hint(format!("`soma transaction show {hash}` looks it up"))
}

#[cfg(test)]
mod tests {
    use soma_types::{ModelId, objects::Shares};

    use crate::record::Record;

    use super::*;

    #[test]
    fn a_withdrawal_is_told_as_the_table_tells_it() {
        let pool = PoolId::Model(ModelId([0x11; 32]));
        let stake = StakeView {
            pool,
            shares: Shares(0),
            counting: Shannons(5),
            pending: Shannons(7),
        };
        let check = |amount: Option<u64>| check_withdrawal(pool, Some(&stake), amount.map(Shannons));
        assert!(check(None).is_ok() && check(Some(5)).is_ok());
        assert_eq!(check(Some(0)).unwrap_err().exit_code(&Record::default()), 2);
        let error = check(Some(6)).unwrap_err().to_string();
        assert!(
            error.contains("0.000000005 SOMA") && error.contains("0.000000007"),
            "{error}"
        );
        let error = check_withdrawal(pool, None, None).unwrap_err().to_string();
        assert!(error.contains("staked nothing in model 0x11"), "{error}");
    }
}
