//! The `soma` binary: reads the command line, calls the libraries, prints.
#![forbid(unsafe_code)]

mod architecture;
mod args;
mod auditors;
mod commands;
mod context;
mod corpora;
mod demo;
#[cfg(test)]
mod documented;
mod error;
mod hints;
#[cfg(test)]
mod interfaces;
mod interrupt;
mod logs;
mod node_name;
mod printer;
mod progress;
mod record;
mod reference;
mod report;
mod standing;
mod terminal;
mod usage;
mod weights;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    args::{Cli, Command, ScoreArgs, ScoreCommand, TrainerCommand},
    commands::{
        chain, completions, compress, content, data, encryption, eval, forecast, generate, genesis, global,
        localnet, model, money, node, proof, recheck, recompute, scoring, serve, sim, strategy, submit,
        target, train, trainer, transaction, validator, wallet, whole::from_network, why,
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
        Err(error) => return misused(error),
    };
    quiet_validators();
    soma_model::device::provide(soma_cuda::open);
    let printer = Printer::new(if cli.global.json {
        Format::Json
    } else {
        Format::Text
    });
    // A node keeps a log.
    if !matches!(cli.command, Command::Node(_)) {
        logs::note(printer);
    }
    let context = match Context::new(&cli.global, printer) {
        Ok(context) => context,
        Err(error) => {
            let record = Record::default();
            error.report(printer, &record);
            return ExitCode::from(error.exit_code(&record));
        }
    };
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
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report(printer, context.record());
            ExitCode::from(error.exit_code(context.record()))
        }
    };
    // What is written behind is not finished any more.
    soma_files::abandon();
    code
}

/// A command line that makes no sense, or asks for help.
fn misused(error: clap::Error) -> ExitCode {
    let exit_code = u8::try_from(error.exit_code()).unwrap_or(error::USAGE);
    let wants_json = std::env::args_os()
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json");
    if wants_json && error.use_stderr() {
        let text = usage::text(error);
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
    usage::print(error);
    ExitCode::from(exit_code)
}

/// A validator that cannot go on panics by its engine's design; the localnet reports why in one sentence, so
/// the panic itself stays silent: on the validator's first thread, and on those of its runtime, which gives
/// them no names of their own. Any other panic is a bug and is shown.
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

async fn run(mut command: Command, printer: Printer, context: &Context) -> CliResult {
    // What was done is told however the command ends.
    let record = context.record().clone();
    let interrupt = Interrupt::listen_then(printer, move || {
        let error = CliError::interrupted();
        if record.has_something() {
            error.report(printer, &record);
        }
        error.exit_code(&record)
    });
    if let Command::Verify(args) = &command {
        proof::require_key(args)?;
    }
    if let Some(models) = command.models() {
        from_network(printer, context, models).await?;
    }
    match command {
        Command::Demo(args) => {
            interrupt.hold();
            demo::run(printer, &args, &interrupt).await
        }
        Command::Localnet(args) => {
            interrupt.hold();
            localnet::run(printer, context, &args, &interrupt).await
        }
        Command::Node(command) => node::run(printer, context, command, &interrupt).await,
        Command::Genesis(command) => genesis::run(printer, context, &command),
        Command::Status => chain::status(printer, context).await,
        Command::Epoch { epoch } => chain::epoch(printer, context, epoch).await,
        Command::Params => chain::params(printer, context).await,
        Command::Prove(command) => proof::prove(printer, context, &command).await,
        Command::Verify(args) => match args.network_key {
            Some(key) => proof::verify(printer, &args.file, &key),
            None => tokio::task::spawn_blocking(move || recompute::run(printer, &args)).await?,
        },
        Command::Wallet(command) => wallet::run(printer, context, &command).await,
        Command::Balance { account } => money::balance(printer, context, account.as_deref()).await,
        Command::Send { to, amount, signer } => money::send(printer, context, &to, amount, &signer).await,
        Command::Faucet { account, amount } => {
            money::faucet(printer, context, account.as_deref(), amount).await
        }
        Command::Stake(command) => money::stake(printer, context, &command).await,
        Command::Transaction(command) => transaction::run(printer, context, &command).await,
        Command::Model(command) => model::run(printer, context, &command).await,
        Command::Weights(command) => {
            tokio::task::spawn_blocking(move || encryption::run(printer, &command)).await?
        }
        Command::Global(command) => global::run(printer, context, &command).await,
        Command::Train(args) => {
            let start = train::start(context, &args).await?;
            tokio::task::spawn_blocking(move || train::run(printer, &args, start, None, &interrupt)).await?
        }
        Command::Distill(args) => {
            let start = train::start(context, &args.train).await?;
            tokio::task::spawn_blocking(move || {
                train::run(
                    printer,
                    &args.train,
                    start,
                    Some((&args.teacher, args.alpha)),
                    &interrupt,
                )
            })
            .await?
        }
        Command::Merge(args) => tokio::task::spawn_blocking(move || strategy::merge(printer, &args)).await?,
        Command::Gaps(args) => strategy::gaps(printer, context, &args, &interrupt).await,
        Command::Sparse(args) => strategy::sparse(printer, context, &args).await,
        Command::Trainer(TrainerCommand::Run(args)) => {
            trainer::run(printer, context, &args, &interrupt).await
        }
        Command::Score(ScoreArgs {
            command,
            files,
            selection,
        }) => match (command, files) {
            (Some(ScoreCommand::Serve(args)), _) => {
                interrupt.hold();
                scoring::serve(printer, &args, &interrupt).await
            }
            (Some(ScoreCommand::SelfTest), _) => {
                tokio::task::spawn_blocking(move || scoring::self_test(printer)).await?
            }
            (None, Some(files)) => {
                tokio::task::spawn_blocking(move || scoring::score(printer, &files, &selection, &interrupt))
                    .await?
            }
            (None, None) => Err(CliError::usage("nothing to score: give --weights and --data")),
        },
        Command::Embed(args) => tokio::task::spawn_blocking(move || scoring::embed(printer, &args)).await?,
        Command::Generate(args) => tokio::task::spawn_blocking(move || generate::run(printer, &args)).await?,
        Command::Eval(args) => tokio::task::spawn_blocking(move || eval::run(printer, &args)).await?,
        Command::Compress(args) => {
            tokio::task::spawn_blocking(move || compress::compress(printer, &args, &interrupt)).await?
        }
        Command::Decompress(args) => {
            tokio::task::spawn_blocking(move || compress::decompress(printer, &args, &interrupt)).await?
        }
        Command::Serve(args) => serve::run(printer, context, &args, &interrupt).await,
        Command::Target(command) => target::targets(printer, context, &command).await,
        Command::Content(command) => content::run(printer, context, &command).await,
        Command::Data(command) => data::run(printer, context, &command, &interrupt).await,
        Command::Submit(args) => submit::run(printer, context, &args, &interrupt).await,
        Command::Judge(args) => recheck::judge(printer, context, &args).await,
        Command::Submission(command) => target::submissions(printer, context, &command).await,
        Command::Forecast(command) => forecast::run(printer, context, &command, &interrupt).await,
        Command::Why { id } => why::run(printer, context, &id).await,
        Command::Validator(command) => validator::run(printer, context, &command, &interrupt).await,
        Command::Completions { shell } => completions::run(printer, shell),
        Command::Sim(command) => tokio::task::spawn_blocking(move || sim::run(printer, &command)).await?,
    }
}
