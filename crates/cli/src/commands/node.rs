//! `soma node`: a validator's node in a process of its own.

mod start;

use std::{path::Path, time::SystemTime};

use serde::Serialize;
use soma_files::At as _;
use soma_operator::{
    Config, Home,
    check::{self, Aspect, Finding},
    founding::{Entry, FoundingFolder},
};
use soma_types::{Address, PublicKey, transaction::BasisPoints};

use super::genesis::{hex_of, rng, tell_of_proofs};
use crate::{
    args::{NodeCommand, NodeInitArgs},
    context::Context,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Printer, facts, table},
};

/// `soma node`.
pub async fn run(
    printer: Printer,
    context: &Context,
    command: NodeCommand,
    interrupt: &Interrupt,
) -> CliResult {
    let home = Home::new(context.home()?);
    match command {
        NodeCommand::Init(args) => {
            let account = match &args.account {
                Some(account) => context.payee(account)?,
                None => context.account_named(None).await?,
            };
            tokio::task::spawn_blocking(move || init(printer, &home, account, &args)).await?
        }
        NodeCommand::Join { founding } => {
            tokio::task::spawn_blocking(move || join(printer, &home, &founding)).await?
        }
        NodeCommand::Check => tokio::task::spawn_blocking(move || look(printer, &home)).await?,
        NodeCommand::Start { attached } => {
            interrupt.hold();
            start::run(printer, home, attached, interrupt).await
        }
    }
}

#[derive(Serialize)]
struct InitOutput {
    network_key: PublicKey,
    account: Address,
    settings: String,
    entry: String,
}

fn init(printer: Printer, home: &Home, account: Address, args: &NodeInitArgs) -> CliResult {
    let mut config = Config::new(args.listen.unwrap_or(args.address));
    config.p2p.reach = args.reach.into();
    config.api.listen = args.api;
    config.validate().map_err(CliError::usage)?;
    config.p2p.reach.admits(args.address).map_err(|error| {
        CliError::usage(error).hint("for peers that come from elsewhere: --reach private, or machine")
    })?;
    // Keys are made once: what can fail comes before them.
    let folder = match &args.founding {
        Some(founding) => founding.join("entries"),
        None => home.path().to_owned(),
    };
    std::fs::create_dir_all(&folder).at("create", &folder)?;
    let entry = home.create(&config, rng(), |secrets| Entry {
        identity: secrets.public(),
        dealing: secrets
            .dealing
            .as_ref()
            .expect("keys that were just made deal")
            .public(),
        account,
        address: args.address,
        commission: BasisPoints::new(args.commission).expect("clap has bounded it"),
    })?;
    let path = folder.join(entry.file_name());
    entry.write(&path)?;
    let output = InitOutput {
        network_key: soma_node::consensus::public_key(&entry.identity),
        account,
        settings: home.config().display().to_string(),
        entry: path.display().to_string(),
    };
    printer.show(&output, |output| {
        facts(&[
            ("network key", output.network_key.to_string()),
            ("account", output.account.to_string()),
            ("settings", output.settings.clone()),
            ("entry", output.entry.clone()),
        ])
    })?;
    printer.note(
        "The entry is public: every operator needs it. secrets.json stays here; keep a copy of it offline",
    );
    Ok(())
}

#[derive(Serialize)]
struct JoinOutput {
    network: String,
    chain: soma_types::ChainId,
    hash: String,
}

fn join(printer: Printer, home: &Home, founding: &Path) -> CliResult {
    let founding = FoundingFolder::open(founding)?;
    tell_of_proofs(printer, &founding);
    let network = home.join(&founding, rng())?;
    let output = JoinOutput {
        network: network.genesis.network.clone(),
        chain: network.genesis.chain_id(),
        hash: format!("0x{}", hex_of(&network.hash())),
    };
    printer.show(&output, |output| {
        facts(&[
            ("network", output.network.clone()),
            ("chain", output.chain.to_string()),
            ("hash", output.hash.clone()),
        ])
    })?;
    printer.note("Compare the hash with the other operators, then `soma node check` and `soma node start`");
    Ok(())
}

#[derive(Serialize)]
struct CheckOutput {
    aspect: Aspect,
    /// None where it could not be looked at.
    ok: Option<bool>,
    problem: Option<String>,
}

fn look(printer: Printer, home: &Home) -> CliResult {
    let found: Vec<CheckOutput> = check::all(home, SystemTime::now())
        .into_iter()
        .map(|Finding { aspect, result }| CheckOutput {
            aspect,
            ok: result.as_ref().map(Result::is_ok),
            problem: result.and_then(Result::err).map(|problem| problem.to_string()),
        })
        .collect();
    let counted = |state| found.iter().filter(|line| line.ok == state).count();
    let (wrong, unseen) = (counted(Some(false)), counted(None));
    printer.show(&found, |found| {
        let rows = found.iter().map(|line| {
            let state = match line.ok {
                Some(true) => "ok",
                Some(false) => "wrong",
                None => "not looked at",
            };
            let aspect = format!("{:?}", line.aspect).to_lowercase();
            vec![aspect, state.to_owned(), line.problem.clone().unwrap_or_default()]
        });
        table(&["ASPECT", "STATE", "PROBLEM"], &[], rows)
    })?;
    let beside = match unseen {
        0 => String::new(),
        unseen => format!(", and {unseen} could not be looked at before"),
    };
    match wrong {
        0 => Ok(()),
        wrong => Err(CliError::differs(format!(
            "the node cannot start: {wrong} of {} are not in order{beside}",
            found.len()
        ))),
    }
}
