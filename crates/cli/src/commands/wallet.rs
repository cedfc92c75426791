//! `soma wallet`: keys.

use std::io::{self, IsTerminal as _, Read as _};

use serde::Serialize;
use soma_client::{
    Mnemonic,
    paper::{self, Paper},
    wallet::WalletInfo,
};
use soma_types::Address;

use crate::{
    args::WalletCommand,
    context::{Context, PASSWORD_VARIABLE, new_password},
    error::{CliError, CliResult},
    printer::{Printer, facts, table},
    terminal::Terminal,
};
use zeroize::Zeroizing;

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
        WalletCommand::Import { name, exposed } if exposed.is_empty() => import(printer, context, name).await,
        WalletCommand::Import { .. } => Err(CliError::usage(
            "words and keys are not given on the command line, where others see them and the shell keeps them",
        )
        .hint("`soma wallet import NAME` asks for them, or reads standard input: NAME < words.txt")),
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
    let wallets = context.wallets()?;
    wallets.check_free(name)?;
    // A script is not asked: the words are for a person's eyes.
    let person = io::stdin().is_terminal() && io::stdout().is_terminal();
    let terminal = if person { Terminal::open() } else { None };
    let password = new_password(name, terminal.as_ref()).await?;
    let owned = name.to_owned();
    // Shown first: a wallet whose words nobody saw must not be used. Slow on purpose where a password is set.
    let wallet = tokio::task::spawn_blocking(move || {
        let password = password.as_ref().map(|password| password.as_str());
        wallets.create_shown(&owned, password, |wallet, mnemonic| {
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
    let wallets = context.wallets()?;
    wallets.check_free(name)?;
    let terminal = if io::stdin().is_terminal() {
        Terminal::open()
    } else {
        None
    };
    let text = match &terminal {
        Some(terminal) => {
            let prompt = format!(
                "Recovery words or secret key for wallet '{name}' (not shown; an empty line ends them): "
            );
            let is_whole = |text: &str| Paper::read(text.as_bytes()).is_ok();
            let typed = terminal.ask_until(&prompt, is_whole).await?;
            Zeroizing::new(typed.ok_or_else(CliError::interrupted)?.as_bytes().to_vec())
        }
        None => tokio::task::spawn_blocking(read_input).await??,
    };
    let paper = Paper::read(&text).map_err(|error| match error {
        paper::PaperError::Empty => {
            CliError::usage("standard input holds neither recovery words nor a secret key")
                .hint(format!("for example: soma wallet import {name} < words.txt"))
        }
        error => error.into(),
    })?;
    let (password, name) = (new_password(name, terminal.as_ref()).await?, name.to_owned());
    let import = move || wallets.import(&name, &paper, password.as_ref().map(|password| password.as_str()));
    let wallet = tokio::task::spawn_blocking(import).await??;
    printer.show(&wallet, wallet_text)?;
    warn_if_bare(printer, &wallet);
    Ok(())
}

/// Standard input, to one byte past the longest secret.
fn read_input() -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(paper::LENGTH_BYTES_MAX + 1));
    io::stdin()
        .lock()
        .take(paper::LENGTH_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
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
    let listing = context.wallets()?.list()?;
    let wallets = listing.wallets;
    for file in &listing.unusable {
        printer.note(file.to_string());
    }
    if wallets.is_empty() && listing.unusable.is_empty() {
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
