//! `soma node start`.

use std::{future::pending, io::Read as _, time::Duration};

use serde::Serialize;
use soma_operator::{Config, Home, StartError, Started, check::Problem};
use soma_types::ChainId;

use crate::{
    error::{CliError, CliResult},
    interrupt::Interrupt,
    logs,
    printer::{Printer, facts},
};

/// Between two looks at whether the node has ended.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Serialize)]
struct StartOutput {
    network: String,
    chain: ChainId,
    api: String,
    home: String,
}

/// `soma node start`.
pub async fn run(printer: Printer, home: Home, attached: bool, interrupt: &Interrupt) -> CliResult {
    let config = Config::read(&home.config()).map_err(|error| failed(Problem::from(error).into()))?;
    logs::start(&config)?;
    let from = home.clone();
    let node = tokio::task::spawn_blocking(move || Started::start(&from, &config))
        .await?
        .map_err(failed)?;
    let output = StartOutput {
        network: node.network.genesis.network.clone(),
        chain: node.network.genesis.chain_id(),
        api: format!("http://{}", node.api),
        home: home.path().display().to_string(),
    };
    printer.show(&output, |output| {
        facts(&[
            ("network", output.network.clone()),
            ("chain", output.chain.to_string()),
            ("API", output.api.clone()),
            ("home", output.home.clone()),
        ])
    })?;
    tokio::select! {
        () = interrupt.wait() => {}
        () = ended(&node) => {}
        () = input_ends(), if attached => {}
    }
    tokio::task::spawn_blocking(move || node.stop())
        .await?
        .map_err(failed)?;
    printer.note("Stopped. What was final is on disk.");
    Ok(())
}

async fn ended(node: &Started) {
    while !node.has_ended() {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Ends with standard input, whose bytes say nothing.
async fn input_ends() {
    let read = tokio::task::spawn_blocking(|| {
        let mut bytes = [0; 64];
        while std::io::stdin()
            .lock()
            .read(&mut bytes)
            .is_ok_and(|count| count > 0)
        {}
    });
    if read.await.is_err() {
        pending::<()>().await;
    }
}

/// What has to be put right first is exit code 2, so that nobody tries again in vain.
fn failed(error: StartError) -> CliError {
    if error.may_pass() {
        error.into()
    } else {
        CliError::usage(error).hint("`soma node check` tells all that is wrong")
    }
}
