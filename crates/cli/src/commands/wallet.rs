//! `soma wallet`: keys.

use std::io::{self, IsTerminal as _, Read as _};

use serde::Serialize;
use soma_client::{Mnemonic, wallet::WalletInfo};
use soma_types::Address;

use crate::{
    args::WalletCommand,
    context::{Context, PASSWORD_VARIABLE, password},
    error::{CliError, CliResult},
    printer::{Printer, facts, table},
};

/// Longest input that can be words or a secret key, in bytes.
const SECRET_BYTES_MAX: u64 = 4096;

#[derive(Serialize)]
struct NewOutput<'a> {
    #[serde(flatten)]
    wallet: &'a WalletInfo,
    words: &'a str,
}

#[derive(Serialize)]
struct ExportOutput<'a> {
    address: Address,
    secret_key: &'a str,
    words: Option<&'a str>,
}

/// `soma wallet`.
pub async fn run(printer: Printer, context: &Context, command: &WalletCommand) -> CliResult {
    match command {
        WalletCommand::New { name } => new(printer, context, name).await,
        WalletCommand::Import { name } => import(printer, context, name).await,
        WalletCommand::Export { name } => export(printer, context, name.as_deref()).await,
        WalletCommand::List => list(printer, context),
        WalletCommand::Use { name } => {
            let wallet = context.wallets()?.use_wallet(name)?;
            printer.show(&wallet, |wallet| {
                format!("commands now use wallet '{}', {}", wallet.name, wallet.address)
            })
        }
    }
}

async fn new(printer: Printer, context: &Context, name: &str) -> CliResult {
    let (wallets, owned, password) = (context.wallets()?, name.to_owned(), password());
    // Shown first: a wallet whose words nobody saw must not be used. Slow on purpose where a password is set.
    let wallet = tokio::task::spawn_blocking(move || {
        wallets.create_shown(&owned, password.as_deref(), |wallet, mnemonic| {
            let words = mnemonic.words();
            let output = NewOutput {
                wallet,
                words: &words,
            };
            printer
                .show_surely(&output, new_text)
                .map_err(|error| error.hint("its words would be lost, so no wallet was made"))
        })
    })
    .await??;
    printer.note("Write the words down: they restore the wallet, and whoever has them has its money.");
    warn_if_bare(printer, &wallet);
    Ok(())
}

fn new_text(output: &NewOutput<'_>) -> String {
    wallet_text(output.wallet) + &facts(&[("words", output.words.to_owned())])
}

async fn import(printer: Printer, context: &Context, name: &str) -> CliResult {
    if io::stdin().is_terminal() {
        printer.note("Type the recovery words or the secret key, then Ctrl-D on a line of its own:");
    }
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(SECRET_BYTES_MAX)
        .read_to_string(&mut text)?;
    let text = text.trim().to_owned();
    if text.is_empty() {
        return Err(
            CliError::usage("standard input holds neither recovery words nor a secret key")
                .hint(format!("for example: soma wallet import {name} < words.txt")),
        );
    }
    let (wallets, name, password) = (context.wallets()?, name.to_owned(), password());
    let wallet = tokio::task::spawn_blocking(move || -> CliResult<WalletInfo> {
        if text.contains(char::is_whitespace) {
            Ok(wallets.import_mnemonic(&name, &Mnemonic::parse(&text)?, 0, password.as_deref())?)
        } else {
            Ok(wallets.import_secret_key(&name, &text, password.as_deref())?)
        }
    })
    .await??;
    printer.show(&wallet, wallet_text)?;
    warn_if_bare(printer, &wallet);
    Ok(())
}

async fn export(printer: Printer, context: &Context, name: Option<&str>) -> CliResult {
    let secret = context.unlock(name).await?;
    let (key, words) = (secret.secret_key(), secret.mnemonic().map(Mnemonic::words));
    let output = ExportOutput {
        address: secret.keypair().address(),
        secret_key: &key,
        words: words.as_ref().map(|words| words.as_str()),
    };
    printer.show(&output, |output| output.secret_key.to_owned())?;
    printer.note("Whoever has this key has the wallet's money.");
    Ok(())
}

fn list(printer: Printer, context: &Context) -> CliResult {
    let wallets = context.wallets()?.list()?;
    if wallets.is_empty() {
        printer.note("There is no wallet yet; `soma wallet new` makes one.");
    }
    printer.show(&wallets, |wallets| {
        if wallets.is_empty() {
            return String::new();
        }
        let rows = wallets.iter().map(|wallet| {
            vec![
                wallet.name.clone(),
                wallet.address.to_string(),
                if wallet.encrypted { "encrypted" } else { "" }.into(),
                if wallet.current { "in use" } else { "" }.into(),
            ]
        });
        table(&["wallet", "address", "", ""], &[], rows)
    })
}

fn wallet_text(wallet: &WalletInfo) -> String {
    facts(&[
        ("wallet", wallet.name.clone()),
        ("address", wallet.address.to_string()),
    ])
}

fn warn_if_bare(printer: Printer, wallet: &WalletInfo) {
    if !wallet.encrypted {
        printer.note(format!(
            "The key is not encrypted; with a password in {PASSWORD_VARIABLE} it would be."
        ));
    }
}
