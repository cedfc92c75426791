//! The `soma` binary: reads the command line, calls the libraries, prints.
#![forbid(unsafe_code)]

mod architecture;
mod args;
mod auditors;
mod commands;
mod context;
mod corpora;
mod demo;
mod error;
mod hints;
mod interrupt;
mod printer;
mod progress;
mod record;
mod reference;
mod weights;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    args::{Cli, Command, ScoreArgs, ScoreCommand},
    commands::{
        chain, localnet, model, money, scoring, sim, submit, target, train, transaction, validator, wallet,
    },
    context::Context,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Format, Printer},
    record::Record,
};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    quiet_validators();
    let context = Context::new(&cli.global);
    let printer = context.printer();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("soma")
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(run(cli.command, printer, &context));
            // Whatever still computes after Ctrl-C is of no use to anyone.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report(printer, context.record());
            ExitCode::from(error.exit_code(context.record()))
        }
    }
}

/// A command line that makes no sense, or asks for help.
fn misused(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os()
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json");
    if wants_json && error.use_stderr() {
        let text = error.to_string();
        let (message, help) = text.split_once("\n\n").unwrap_or((&text, ""));
        let error = CliError::usage(message.trim_start_matches("error: ").trim());
        let error = if help.is_empty() {
            error
        } else {
            error.hint(help.trim())
        };
        let record = Record::default();
        error.report(Printer::new(Format::Json), &record);
        return ExitCode::from(error.exit_code(&record));
    }
    // Where nobody listens, the exit code has to do.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(error::USAGE))
}

/// A validator that cannot go on panics by its engine's design; the localnet reports why in one
/// sentence, so the panic itself stays silent: on the validator's first thread, and on those of its runtime, which
/// gives them no names of their own. Any other panic is a bug and is shown.
fn quiet_validators() {
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !std::thread::current()
            .name()
            .is_some_and(|name| name.starts_with("validator-") || name == "tokio-rt-worker")
        {
            show(panic);
        }
    }));
}

async fn run(command: Command, printer: Printer, context: &Context) -> CliResult {
    match command {
        Command::Demo(args) => demo::run(printer, &args, &Interrupt::listen()).await,
        Command::Localnet(args) => localnet::run(printer, context, &args, &Interrupt::listen()).await,
        Command::Status => chain::status(printer, context).await,
        Command::Epoch { epoch } => chain::epoch(printer, context, epoch).await,
        Command::Params => chain::params(printer, context).await,
        Command::Wallet(command) => wallet::run(printer, context, &command).await,
        Command::Balance { account } => money::balance(printer, context, account.as_deref()).await,
        Command::Send { to, amount, signer } => money::send(printer, context, &to, amount, &signer).await,
        Command::Faucet { account, amount } => {
            money::faucet(printer, context, account.as_deref(), amount).await
        }
        Command::Stake(command) => money::stake(printer, context, &command).await,
        Command::Transaction(command) => transaction::run(printer, context, &command).await,
        Command::Model(command) => model::run(printer, context, &command).await,
        Command::Train(args) => {
            let interrupt = Interrupt::listen();
            tokio::task::spawn_blocking(move || train::run(printer, &args, &interrupt.flag())).await?
        }
        Command::Score(ScoreArgs { command, files }) => match (command, files) {
            (Some(ScoreCommand::Serve(args)), _) => {
                scoring::serve(printer, &args, &Interrupt::listen()).await
            }
            (Some(ScoreCommand::SelfTest), _) => {
                tokio::task::spawn_blocking(move || scoring::self_test(printer)).await?
            }
            (None, Some(files)) => {
                let interrupt = Interrupt::listen();
                tokio::task::spawn_blocking(move || scoring::score(printer, &files, &interrupt.flag()))
                    .await?
            }
            (None, None) => Err(CliError::usage("nothing to score: give --weights and --data")),
        },
        Command::Embed(args) => tokio::task::spawn_blocking(move || scoring::embed(printer, &args)).await?,
        Command::Target(command) => target::targets(printer, context, &command).await,
        Command::Submit(args) => {
            let record = context.record().clone();
            let told = move || CliError::interrupted().report(printer, &record);
            submit::run(printer, context, &args, &Interrupt::listen_then(told)).await
        }
        Command::Submission(command) => target::submissions(printer, context, &command).await,
        Command::Validator(command) => validator::run(printer, context, &command).await,
        Command::Sim(command) => tokio::task::spawn_blocking(move || sim::run(printer, &command)).await?,
    }
}
