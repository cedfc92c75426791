//! The command line, as clap reads it (docs/interfaces.md, first table). Each group of commands has a file.

mod budgets;
mod compress;
mod content;
mod data;
mod demo;
mod eval;
mod forecast;
mod generate;
mod global;
mod localnet;
mod market;
mod model;
mod node;
mod positive;
mod proof;
mod score;
mod serve;
mod signer;
mod sim;
mod stake;
mod strategy;
mod submit;
mod train;
mod trainer;
mod transaction;
mod validator;
mod wallet;
mod weights;
mod whole;
mod won;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use soma_types::Shannons;

use self::signer::amount;
use crate::{node_name::NodeName, reference::Reference};

pub use self::{
    budgets::Budgets,
    compress::{CompressArgs, DecompressArgs},
    content::{ContentCommand, NetworkFolder},
    data::Selection,
    demo::DemoArgs,
    eval::EvalArgs,
    forecast::{ForecastCommand, ForecastModelArgs, ForecastSubmitArgs},
    generate::GenerateArgs,
    global::GlobalCommand,
    localnet::LocalnetArgs,
    market::{JudgeArgs, SubmissionCommand, TargetCommand},
    model::ModelCommand,
    node::{GenesisCommand, NodeCommand, NodeInitArgs},
    proof::{ProveCommand, VerifyArgs},
    score::{EmbedArgs, ScoreArgs, ScoreCommand, ScoreFiles, ServeArgs},
    serve::ServeModelsArgs,
    signer::Signer,
    sim::{EconomyArgs, NetworkArgs, SimCommand},
    stake::StakeCommand,
    strategy::{DistillArgs, GapsArgs, MergeArgs, SparseArgs},
    submit::{ScoutName, SubmitArgs},
    train::{Origin, TrainArgs},
    trainer::{TrainerArgs, TrainerCommand},
    transaction::TransactionCommand,
    validator::{AuditArgs, Fault, ProposeArgs, ValidatorCommand},
    wallet::WalletCommand,
    weights::{CommittedTo, OwnStorage, WeightsCommand},
    whole::{RoutedArgs, WholeArgs},
    won::{DataCommand, WonFormat},
};

/// SOMA trains one open foundation model by competition over the Internet.
#[derive(Debug, Parser)]
#[command(name = "soma", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// The network to talk to: `local`, or the URL of a node. If left out, $SOMA_NETWORK or `local`.
    #[arg(long, global = true, value_name = "local|URL")]
    pub network: Option<NodeName>,
    /// Where keys and secrets are kept. If left out, $SOMA_HOME or `.soma` in the home folder.
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole competition on this machine, start to finish.
    Demo(DemoArgs),
    /// Run a local network that keeps running and survives restarts.
    Localnet(LocalnetArgs),
    /// Run a validator's node as a process of its own.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Found a network together with other operators.
    #[command(subcommand)]
    Genesis(GenesisCommand),
    /// Show how the network is doing.
    Status,
    /// Show an epoch: its pool, hits, difficulty and audits.
    Epoch {
        /// Which; the current one if left out.
        epoch: Option<u64>,
    },
    /// Show the network's parameters.
    Params,
    /// Print a proof of what a node says, for `soma verify`.
    #[command(subcommand)]
    Prove(ProveCommand),
    /// Check a proof with nothing but the network's key, or compute an answer of `soma serve` again: exit
    /// code 5 if it is not so.
    Verify(VerifyArgs),
    /// Keep keys.
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// Show an account's balance.
    Balance {
        /// A wallet's name or an address; the wallet in use if left out.
        account: Option<String>,
    },
    /// Pay someone. Who has no account yet costs the price of one besides: see `soma params`.
    Send {
        /// A wallet's name or an address.
        to: String,
        /// How much, in SOMA.
        #[arg(value_parser = amount, allow_negative_numbers = true)]
        amount: Shannons,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Ask a localnet for money.
    Faucet {
        /// Who gets it; the wallet in use if left out.
        account: Option<String>,
        /// How much, in SOMA.
        #[arg(long, default_value = "5000", value_parser = amount, allow_negative_numbers = true)]
        amount: Shannons,
    },
    /// Add or withdraw stake, or list it.
    #[command(subcommand)]
    Stake(StakeCommand),
    /// Look transactions up, and finish those whose end is not known.
    #[command(subcommand)]
    Transaction(TransactionCommand),
    /// Publish models and look at them.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Encrypt and decrypt weights, for storage of one's own.
    #[command(subcommand)]
    Weights(WeightsCommand),
    /// Show the global model, or take it home.
    #[command(subcommand)]
    Global(GlobalCommand),
    /// Train a model.
    Train(TrainArgs),
    /// Train a model that learns from a teacher's weights as well.
    Distill(DistillArgs),
    /// Average two models' weights.
    Merge(MergeArgs),
    /// Find where models that win are better than one's own, on the data they win.
    Gaps(GapsArgs),
    /// Find where few models compete: the part of all targets that a model would be given at each place.
    Sparse(SparseArgs),
    /// Keep a model trained and published by itself.
    #[command(subcommand)]
    Trainer(TrainerCommand),
    /// Score data exactly.
    ///
    /// TOKENS counts what is predicted: every byte but the first of each chunk of the architecture's
    /// max_seq_len bytes, and the end mark where the last chunk has room for it.
    Score(ScoreArgs),
    /// Compute the specialization embedding of weights over data.
    Embed(EmbedArgs),
    /// Write on from a text: the same text on every machine, byte for byte, for the same models and seed.
    Generate(GenerateArgs),
    /// How well models predict a text, each alone and as a whole, and which of them speaks where.
    Eval(EvalArgs),
    /// Compress a file with models: in about as many bits as `soma eval` says they need for it.
    Compress(CompressArgs),
    /// Open a file that was compressed with models, with the same models: on every machine, to the bit.
    Decompress(DecompressArgs),
    /// Serve models after OpenAI's interface: completions and embeddings that anyone can compute again.
    Serve(ServeModelsArgs),
    /// Look at targets.
    #[command(subcommand)]
    Target(TargetCommand),
    /// Take home the public data that won.
    #[command(subcommand)]
    Data(DataCommand),
    /// Take content down from a node, and say why.
    #[command(subcommand)]
    Content(ContentCommand),
    /// Score data against the open targets and submit what hits.
    Submit(SubmitArgs),
    /// Say what an auditor would find of a document and a target, and whether the ledger would take it,
    /// before anything is paid: exit code 0 if it is valid and would be taken, 5 if not.
    Judge(JudgeArgs),
    /// Look at submissions, and check them.
    #[command(subcommand)]
    Submission(SubmissionCommand),
    /// Say what weights or documents would have earned, before anything is paid.
    #[command(subcommand)]
    Forecast(ForecastCommand),
    /// Say why a submission did not win, pay or count, why a model gets no targets, or why a transaction did
    /// nothing.
    Why {
        /// A submission, a model, or a transaction's whole hash.
        id: Reference,
    },
    /// Look at validators, become one, and change the protocol as one of them.
    #[command(subcommand)]
    Validator(ValidatorCommand),
    /// Simulate years of the network.
    #[command(subcommand)]
    Sim(SimCommand),
    /// Print what makes a shell complete commands, for it to load.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Which models stand for the whole, where the command works with them.
    pub const fn models(&mut self) -> Option<&mut WholeArgs> {
        match self {
            Self::Generate(GenerateArgs { models, .. })
            | Self::Eval(EvalArgs { models, .. })
            | Self::Compress(CompressArgs { models, .. })
            | Self::Decompress(DecompressArgs { models, .. })
            | Self::Serve(ServeModelsArgs { models, .. })
            | Self::Verify(VerifyArgs {
                network_key: None,
                models,
                ..
            }) => Some(models),
            _ => None,
        }
    }
}
