//! `soma localnet`: a network on this machine that keeps running, with auditors for every validator.

mod genesis;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    io::{self, IsTerminal as _},
    mem::discriminant,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use serde::Serialize;
use soma_agents::ScoringDesk;
use soma_client::NodeClient;
use soma_localnet::{Blueprint, Config, Existing, Hosting, Localnet, LocalnetError};
use soma_model::Scorer;
use soma_node::{health::Health, query::LiveQuery, retention::Retention};
use soma_types::{ChainId, Epoch, api::Status, genesis::Genesis, params::Params};

use crate::{
    architecture,
    args::LocalnetArgs,
    auditors::{self, Told},
    context::Context,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Printer, count},
};

/// Between two looks at the chain.
const PAUSE: Duration = Duration::from_millis(500);
/// Validators of a new network.
const VALIDATORS_DEFAULT: u32 = 4;
/// The look of the status line.
const LINE: &str = "{spinner} {msg}";

#[derive(Serialize)]
struct LocalnetOutput {
    api: Vec<String>,
    chain: ChainId,
    network: String,
    directory: PathBuf,
    /// The validators' processes, where they have their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    processes: Vec<u32>,
}

/// `soma localnet`.
pub async fn run(
    printer: Printer,
    context: &Context,
    args: &LocalnetArgs,
    interrupt: &Interrupt,
) -> CliResult {
    let directory = match &args.dir {
        Some(directory) => directory.clone(),
        None => context.home()?.join("localnet"),
    };
    let mut config = plan(args, &directory)?;
    // Said before weights are made, which takes a while.
    config.existing.check(&directory).map_err(LocalnetError::from)?;
    let replaces = config.existing == Existing::Delete && directory.join("genesis.json").exists();
    if config.existing == Existing::Keep {
        refuse_mismatch(args, &config.blueprint, &directory)?;
    }
    let architecture = config.blueprint.params.architecture;
    let is_new = config.existing == Existing::Delete || !directory.join("genesis.json").exists();
    let mut made = None;
    if is_new {
        let cancel = interrupt.flag();
        let make = move || genesis::weights(printer, architecture, &cancel);
        made = tokio::task::spawn_blocking(make).await??;
        config.blueprint.weights = made.as_deref().map(genesis::named).transpose()?;
    }
    let network = tokio::task::spawn_blocking(move || Localnet::start(config)).await??;
    if replaces {
        printer.note(format!("Deleted the network that was in {}", directory.display()));
    }
    let served = serve(printer, network, made, &directory, interrupt).await;
    // Whatever happened, the validators have stopped by now.
    served.inspect(|()| printer.note("Stopped. Start it again with the same command."))
}

/// What to start, from what was typed.
fn plan(args: &LocalnetArgs, directory: &Path) -> CliResult<Config> {
    let listen = args.listen;
    if listen.ip() != Ipv4Addr::LOCALHOST {
        return Err(CliError::usage(format!(
            "a localnet listens on 127.0.0.1 only, not on {}",
            listen.ip()
        ))
        .hint(format!(
            "--listen 127.0.0.1:{}; its faucet gives to anyone who reaches it",
            listen.port()
        )));
    }
    let validators = args.validators.unwrap_or(VALIDATORS_DEFAULT);
    if listen.port() != 0 && u32::from(listen.port()) + validators - 1 > u32::from(u16::MAX) {
        return Err(CliError::usage(format!(
            "{validators} validators need the ports {} to {}, beyond the last, {}",
            listen.port(),
            u32::from(listen.port()) + validators - 1,
            u16::MAX
        ))
        .hint("choose a lower port with --listen"));
    }
    let architecture = architecture::parse(args.arch.as_deref().unwrap_or("nano"))?;
    let params = Params {
        architecture,
        ..Params::local()
    }
    .validate()?;
    Ok(Config {
        blueprint: Blueprint {
            params,
            validators,
            ..Blueprint::default()
        },
        existing: if args.force {
            Existing::Delete
        } else {
            Existing::Keep
        },
        api_port: listen.port(),
        retention: if args.archive {
            Retention::ARCHIVE
        } else {
            Retention {
                epochs: args.keep_epochs,
                bytes: Some(args.keep_bytes.as_u64()),
            }
        },
        hosting: if args.processes {
            Hosting::Processes {
                program: std::env::current_exe()?,
            }
        } else {
            Hosting::Here
        },
        ..Config::new(directory)
    })
}

/// A network that exists keeps its shape: says so instead of ignoring what was typed.
fn refuse_mismatch(args: &LocalnetArgs, blueprint: &Blueprint, directory: &Path) -> CliResult {
    // A damaged genesis is reported when it is opened.
    let Some(genesis) = fs::read(directory.join("genesis.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Genesis>(&bytes).ok())
    else {
        return Ok(());
    };
    let found = u32::try_from(genesis.validators.len()).unwrap_or(u32::MAX);
    let problem = match (args.validators, &args.arch) {
        (Some(wanted), _) if wanted != found => format!("has {}, not {wanted}", count(found, "validator")),
        (_, Some(wanted)) if blueprint.params.architecture != genesis.params.architecture => {
            format!("has another architecture than {wanted}")
        }
        _ => return Ok(()),
    };
    Err(CliError::new(format!("the network in {} {problem}", directory.display()))
        .hint("leave the option out to go on with it, choose another folder with --dir, or delete it with --force"))
}

/// Runs until interrupted or until a validator fails; then stops every validator.
async fn serve(
    printer: Printer,
    mut network: Localnet,
    weights: Option<Vec<u8>>,
    directory: &Path,
    interrupt: &Interrupt,
) -> CliResult {
    let outcome = operate(printer, &mut network, weights, directory, interrupt).await;
    let stopped = tokio::task::spawn_blocking(move || network.stop()).await?;
    outcome.and(stopped.map_err(CliError::from))
}

/// Waits until every node has blocks to show, starts the auditors, tells where everything is, and watches.
async fn operate(
    printer: Printer,
    network: &mut Localnet,
    weights: Option<Vec<u8>>,
    directory: &Path,
    interrupt: &Interrupt,
) -> CliResult {
    let nodes = network
        .apis()
        .iter()
        .map(|address| NodeClient::new(&format!("http://{address}")))
        .collect::<Result<Vec<_>, _>>()?;
    let serving = async {
        for node in &nodes {
            while node.status().await.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    tokio::select! {
        () = serving => {}
        error = failure(printer, network) => return Err(error),
        () = interrupt.wait() => return Ok(()),
    }
    let architecture = network.genesis().params.architecture;
    genesis::host(printer, &nodes[0], architecture, weights).await?;
    // They end when this function returns.
    let desk = ScoringDesk::new(Scorer::new()?);
    let told: Arc<Mutex<BTreeMap<usize, Told>>> = Arc::default();
    let _auditors = auditors::start(network, &nodes, directory, &desk, move |index, step| {
        let troubles = match step {
            Ok(progress) => progress.passed_over,
            Err(error) => vec![error],
        };
        // What was told is sound wherever a panic left it.
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        for trouble in told.entry(index).or_default().news(&troubles, Instant::now()) {
            printer.note(format!("auditor of validator {index}: {trouble}"));
        }
    })?;
    announce(printer, network, &nodes, directory)?;
    let query = network.queries().first().cloned();
    tokio::select! {
        never = watch(printer, &nodes[0], query.as_ref()) => match never {},
        error = failure(printer, network) => Err(error),
        () = interrupt.wait() => Ok(()),
    }
}

/// Ends when a validator has stopped by itself.
async fn failure(printer: Printer, network: &mut Localnet) -> CliError {
    loop {
        for news in network.news() {
            printer.note(news);
        }
        if let Some(failure) = network.failure() {
            return failure.into();
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tells where everything is.
fn announce(printer: Printer, network: &Localnet, nodes: &[NodeClient], directory: &Path) -> CliResult {
    let output = LocalnetOutput {
        api: nodes.iter().map(|node| node.address().to_owned()).collect(),
        chain: network.genesis().chain_id(),
        network: network.genesis().network.clone(),
        directory: directory.to_owned(),
        processes: network.process_ids(),
    };
    printer.show(&output, |output| {
        let option = if output.api[0] == soma_client::node::LOCAL_URL {
            String::new()
        } else {
            format!(" --network {}", output.api[0])
        };
        format!(
            "{}\nTry `soma wallet new`, `soma faucet{option}`, `soma status{option}`. Ctrl-C stops it; nothing is lost.",
            crate::printer::facts(&[
                ("network", output.network.clone()),
                ("chain", output.chain.to_string()),
                ("folder", output.directory.display().to_string()),
                ("API", output.api.join(" ")),
            ])
        )
    })
}

/// Follows the chain: a status line on a terminal, a line for every epoch elsewhere. On both, a line when the
/// network is not well, and when it is again.
async fn watch(printer: Printer, node: &NodeClient, query: Option<&LiveQuery>) -> Infallible {
    let line = printer.progress(0, LINE);
    let terminal = io::stderr().is_terminal();
    let mut last: Option<Epoch> = None;
    let mut told = Health::Well;
    loop {
        // Validators with processes of their own are asked over HTTP alone.
        let health = query.map_or(Health::Starting, LiveQuery::health);
        if health != Health::Starting && discriminant(&health) != discriminant(&told) {
            line.suspend(|| printer.note(format!("health: {health}")));
            told = health;
        }
        // A node that is too busy to answer is asked again.
        if let Ok(status) = node.status().await {
            if terminal {
                show_line(&line, &status);
            } else if last != Some(status.epoch) {
                printer.note(format!("epoch {} at block {}", status.epoch, status.height));
            }
            last = Some(status.epoch);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn show_line(line: &ProgressBar, status: &Status) {
    let into_epoch = status.height.0.saturating_sub(status.epoch_first_height.0);
    line.set_message(format!(
        "epoch {}, block {} ({into_epoch} of {}), final after {} ms, {} waiting",
        status.epoch,
        status.height,
        status.epoch_length_blocks,
        status.finality_ms.p50,
        count(status.mempool_transactions, "transaction")
    ));
    line.tick();
}
