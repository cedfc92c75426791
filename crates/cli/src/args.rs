//! The command line, as clap reads it (docs/interfaces.md, first table).

mod training;

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};
use soma_client::account::MAX_FEE_DEFAULT;
use soma_types::{Shannons, TransactionHash, upgrade::ParamChange};

use crate::{
    context::NodeName,
    reference::{PoolReference, Reference},
};

pub use training::TrainSettings;

/// SOMA trains one open foundation model by competition over the Internet.
#[derive(Debug, Parser)]
#[command(
    name = "soma",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
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
    /// Show how the network is doing.
    Status,
    /// Show an epoch: its pool, hits, difficulty and audits.
    Epoch {
        /// Which; the current one if left out.
        epoch: Option<u64>,
    },
    /// Show the network's parameters.
    Params,
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
        #[arg(value_parser = amount)]
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
        #[arg(long, default_value = "5000", value_parser = amount)]
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
    /// Train a model.
    Train(TrainArgs),
    /// Score data exactly.
    ///
    /// TOKENS counts what is predicted: every byte but the first of each chunk of the architecture's max_seq_len bytes, and the end
    /// mark where the last chunk has room for it.
    Score(ScoreArgs),
    /// Compute the specialization embedding of weights over data.
    Embed(EmbedArgs),
    /// Look at targets.
    #[command(subcommand)]
    Target(TargetCommand),
    /// Score data against the open targets and submit what hits.
    Submit(SubmitArgs),
    /// Look at submissions.
    #[command(subcommand)]
    Submission(SubmissionCommand),
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

/// `soma demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// A folder with one sub-folder of text per domain; the bundled corpora if left out.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Epochs of competition.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub epochs: u64,
    /// Makes keys, training and the choice of documents repeatable.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Seconds of training in all: half for the generalist, the rest shared by the specialists.
    #[arg(long, default_value_t = 130, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub train_seconds: u64,
    /// `nano`, or a JSON file with the dimensions of a model.
    #[arg(long, default_value = "nano", value_name = "nano|v1|FILE")]
    pub arch: String,
    /// Keep the network's folder and the weights here.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `soma localnet`.
#[derive(Debug, Args)]
pub struct LocalnetArgs {
    /// The network's folder.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Validators, all in this process; a new network has 4 if left out.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub validators: Option<u32>,
    /// `nano`, `v1`, or a JSON file with the dimensions of a model; a new network's is `nano` if left out.
    #[arg(long, value_name = "nano|v1|FILE")]
    pub arch: Option<String>,
    /// Where the first validator's API listens; the others take the next ports. Port 0: any free ones.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    pub listen: std::net::SocketAddr,
    /// Delete the network in the folder and start a new one.
    #[arg(long)]
    pub force: bool,
}

/// Who signs, and how much it may cost.
#[derive(Debug, Args)]
pub struct Signer {
    /// The wallet that signs; the one in use if left out.
    #[arg(long, value_name = "NAME")]
    pub wallet: Option<String>,
    /// The most that one transaction may cost in fees, in SOMA.
    #[arg(long, value_name = "AMOUNT", default_value_t = MAX_FEE_DEFAULT)]
    pub max_fee: Shannons,
    /// How long to wait for a transaction's end, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub wait: u64,
}

/// An amount that pays something: zero would cost a fee and change nothing.
fn amount(text: &str) -> Result<Shannons, String> {
    match text.parse::<Shannons>() {
        Ok(amount) if amount.is_zero() => {
            Err("an amount of zero changes nothing, and would cost a fee".into())
        }
        Ok(amount) => Ok(amount),
        Err(error) => Err(error.to_string()),
    }
}

/// `soma wallet`.
#[derive(Debug, Subcommand)]
pub enum WalletCommand {
    /// Make a new key and show its recovery words once.
    New {
        /// Its name.
        #[arg(default_value = "default")]
        name: String,
    },
    /// Take over a key from recovery words or a secret key: typed unseen at a terminal, else read from standard input.
    ///
    /// Also read are what `soma wallet export` and `soma wallet new` print, with --json or without, and a bare wallet's file.
    Import {
        /// Its name.
        name: String,
        /// What was typed in a place where others see it.
        #[arg(hide = true)]
        exposed: Vec<String>,
    },
    /// Show a wallet's secret key.
    Export {
        /// Its name; the one in use if left out.
        name: Option<String>,
    },
    /// List the wallets.
    List,
    /// Choose the wallet that commands use.
    Use {
        /// Its name.
        name: String,
    },
}

/// `soma stake`.
#[derive(Debug, Subcommand)]
pub enum StakeCommand {
    /// Add stake to a model or a validator. It counts from the next epoch.
    Add {
        /// `model:ID` or `validator:ADDRESS`; the id's first digits, or its short form, will do.
        pool: PoolReference,
        /// How much, in SOMA.
        #[arg(value_parser = amount)]
        amount: Shannons,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Withdraw stake. It unbonds first.
    Withdraw {
        /// `model:ID` or `validator:ADDRESS`; the id's first digits, or its short form, will do.
        pool: PoolReference,
        /// How much, in SOMA; everything if left out.
        #[arg(value_parser = amount)]
        amount: Option<Shannons>,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// List stake: what counts, what will from the next epoch, and what unbonds until when.
    List {
        /// A wallet's name or an address; the wallet in use if left out.
        account: Option<String>,
    },
}

/// `soma transaction`.
#[derive(Debug, Subcommand)]
pub enum TransactionCommand {
    /// Show what became of a transaction.
    Show {
        /// Its hash.
        transaction: TransactionHash,
    },
    /// List what was handed in from here and how it ended is not known: answers were lost, or the command was stopped.
    List,
    /// Hand the same bytes in again, which cannot happen twice, and wait for the end.
    Resend {
        /// Its hash.
        transaction: TransactionHash,
        /// How long to wait, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        wait: u64,
    },
}

/// `soma model`.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Create a model with a first stake.
    Create {
        /// The owner's share of its rewards, in basis points (100 = 1%).
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(0..=10_000))]
        commission: u16,
        /// The first stake, in SOMA; the least allowed if left out.
        #[arg(long, value_parser = amount)]
        stake: Option<Shannons>,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Encrypt weights, hand them to the node and commit to them.
    Commit {
        /// The model.
        model: Reference,
        /// The weights (safetensors).
        weights: PathBuf,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Reveal what was committed in the epoch before.
    Reveal {
        /// The model.
        model: Reference,
        /// The text whose mean embedding the model registers: what it is good at; what was given at the commit if left
        /// out. May be repeated.
        #[arg(long, value_name = "SRC", requires = "weights")]
        data: Vec<PathBuf>,
        /// The weights (safetensors) that were committed, to embed the text with.
        #[arg(long, value_name = "FILE", requires = "data")]
        weights: Option<PathBuf>,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Commit now, wait for the next epoch, and reveal. Stopped in between, the same command goes on where it was.
    Update {
        /// The model.
        model: Reference,
        /// The weights (safetensors).
        weights: PathBuf,
        /// The text whose mean embedding the model registers. May be repeated.
        #[arg(long, required = true, value_name = "SRC")]
        data: Vec<PathBuf>,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Change the owner's share of a model's rewards from the next epoch.
    SetCommission {
        /// The model.
        model: Reference,
        /// The new share, in basis points (100 = 1%).
        #[arg(value_parser = clap::value_parser!(u16).range(0..=10_000))]
        commission: u16,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Stop competing at the next boundary, for good. Stake in the model can still be withdrawn.
    Deactivate {
        /// The model.
        model: Reference,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// List the models.
    List,
    /// Show one model.
    Show {
        /// The model.
        model: Reference,
    },
    /// Download and decrypt a model's weights.
    Fetch {
        /// The model.
        model: Reference,
        /// Where to write them.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// `soma train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Text to train on: files, folders or globs, or `-` for standard input.
    ///
    /// `.gz` and `.zst` are unpacked, and each line of `.jsonl` is a text of its own. In folders, what is hidden, binary or a
    /// link is left out, and so are the checkpoints of this run.
    #[arg(long, required = true, num_args = 1.., value_name = "SRC")]
    pub data: Vec<PathBuf>,
    /// `nano`, `v1`, or a JSON file with the dimensions of a model.
    #[arg(long, default_value = "nano", value_name = "nano|v1|FILE")]
    pub arch: String,
    /// Optimizer steps. [default: 1000; 10000 for v1]
    #[arg(long)]
    pub steps: Option<u64>,
    /// Where to write the weights (safetensors).
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Start from these weights instead of random ones.
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,
    /// Save progress here, and resume from it when it exists.
    #[arg(long, value_name = "DIR")]
    pub checkpoints: Option<PathBuf>,
    /// What to train on.
    #[arg(long, default_value = "cpu")]
    pub device: Device,
    /// Makes the run repeatable.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How to train.
    #[command(flatten)]
    pub settings: TrainSettings,
}

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// This machine's processor.
    Cpu,
}

/// `soma score`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ScoreArgs {
    /// What else there is to do.
    #[command(subcommand)]
    pub command: Option<ScoreCommand>,
    /// What to score.
    #[command(flatten)]
    pub files: Option<ScoreFiles>,
}

/// What `soma score` scores.
#[derive(Debug, Args)]
pub struct ScoreFiles {
    /// Weights (safetensors), one or several.
    #[arg(long, required = true, value_name = "FILE[,FILE..]")]
    pub weights: Vec<PathBuf>,
    /// `nano`, `v1`, or a JSON file with the dimensions of a model.
    #[arg(long, default_value = "nano", value_name = "nano|v1|FILE")]
    pub arch: String,
    /// The documents to score: files, folders or globs, or `-` for standard input.
    ///
    /// A file is one document of at most 16 MiB, its bytes as they are. `.gz` and `.zst` are unpacked, and each line of `.jsonl`
    /// is a document of its own. In folders, what is hidden, binary or a link is left out.
    #[arg(long, required = true, num_args = 1.., value_name = "SRC")]
    pub data: Vec<PathBuf>,
    /// Sets SIGReg's directions.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Most memory for models; by default one at a time is kept.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,
}

/// `soma score` with a word behind it.
#[derive(Debug, Subcommand)]
pub enum ScoreCommand {
    /// Check that this machine scores exactly: run the conformance suite on every backend.
    SelfTest,
    /// Serve exact scores over HTTP: POST /v1/score, GET /health, GET /openapi.json.
    Serve(ServeArgs),
}

/// `soma score serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Weights (safetensors), one or several, called by the files' names.
    #[arg(long, required = true, value_name = "FILE[,FILE..]")]
    pub weights: Vec<PathBuf>,
    /// `nano`, `v1`, or a JSON file with the dimensions of a model.
    #[arg(long, default_value = "nano", value_name = "nano|v1|FILE")]
    pub arch: String,
    /// Where to listen. Whoever reaches it may use it.
    #[arg(long, default_value = "127.0.0.1:9100", value_name = "ADDRESS")]
    pub listen: std::net::SocketAddr,
    /// Most memory for models.
    #[arg(long, default_value = "8GiB", value_name = "SIZE")]
    pub memory: ByteSize,
    /// Requests that may wait while one is served; more are told when to come back.
    #[arg(long, default_value_t = 64, value_name = "COUNT")]
    pub waiting: usize,
    /// Longest request, its documents in base64.
    #[arg(long, default_value = "64MiB", value_name = "SIZE")]
    pub body: ByteSize,
    /// Seconds that one request may compute.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
}

/// `soma embed`.
#[derive(Debug, Args)]
pub struct EmbedArgs {
    /// The weights (safetensors).
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// `nano`, `v1`, or a JSON file with the dimensions of a model.
    #[arg(long, default_value = "nano", value_name = "nano|v1|FILE")]
    pub arch: String,
    /// The text to embed: files, folders or globs, or `-` for standard input; read as `soma train` reads it.
    #[arg(long, required = true, num_args = 1.., value_name = "SRC")]
    pub data: Vec<PathBuf>,
}

/// `soma target`.
#[derive(Debug, Subcommand)]
pub enum TargetCommand {
    /// List the current epoch's targets.
    List {
        /// Only those with this status.
        #[arg(long)]
        status: Option<TargetFilter>,
    },
    /// Show one target.
    Show {
        /// The target.
        target: Reference,
    },
}

/// Which targets to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TargetFilter {
    /// Waiting for a hit.
    Open,
    /// Filled.
    Filled,
}

/// `soma submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Text to submit: files, folders or globs, or `-` for standard input; read as `soma train` reads it.
    ///
    /// A text of more than 2048 bytes is cut at line ends into pieces, called FILE#OFFSET, and each is submitted by itself.
    #[arg(long, required = true, num_args = 1.., value_name = "SRC")]
    pub data: Vec<PathBuf>,
    /// Stop after this many hits; otherwise when the text is used up.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub hits: Option<u64>,
    /// Estimate each document from this many of its chunks first, and score only what may hit.
    #[arg(long, value_name = "CHUNKS")]
    pub prefilter: Option<std::num::NonZeroUsize>,
    /// Options of transactions.
    #[command(flatten)]
    pub signer: Signer,
}

/// `soma submission`.
#[derive(Debug, Subcommand)]
pub enum SubmissionCommand {
    /// List submissions.
    List {
        /// Only this wallet's or address's.
        #[arg(long)]
        submitter: Option<String>,
    },
    /// Demand that a winner be audited, and lock a bond.
    Challenge {
        /// The submission.
        submission: Reference,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
}

/// `soma sim`.
#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// Run the real ledger for years with simulated agents; write checks, numbers and plots.
    Economy(EconomyArgs),
}

/// `soma sim economy`.
#[derive(Debug, Args)]
pub struct EconomyArgs {
    /// Epochs of the long run, a day each; 3652 are all of the emission.
    #[arg(long, default_value_t = 3_652, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub epochs: u64,
    /// Makes every draw repeatable.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The folder that the report is written into.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `soma validator`.
#[derive(Debug, Subcommand)]
pub enum ValidatorCommand {
    /// List the validators, and what is proposed.
    List,
    /// Become a validator in the ledger: stake, a vote, and duties, but no blocks yet.
    ///
    /// From the next epoch on the largest validators have seats: they vote on proposals and on rent, report models, and are
    /// drawn as auditors. What this does not do yet: blocks are ordered by the validators of the network's genesis
    /// until committees are reshared, and a seat is paid for blocks, so a registered validator earns nothing so far; and no
    /// command of this program audits for it.
    Register {
        /// The wallet with the key that the validator's node signs with: one of its own, not the one that holds money.
        #[arg(long, value_name = "WALLET")]
        network_key: String,
        /// Its share of its pool's rewards, in basis points (100 = 1%).
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(0..=10_000))]
        commission: u16,
        /// The first stake, in SOMA; the least allowed if left out.
        #[arg(long, value_parser = amount)]
        stake: Option<Shannons>,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Give up the seat at the next boundary. The stake stays in the pool until it is withdrawn.
    Leave {
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Change the validator's share of its pool's rewards from the next epoch.
    Commission {
        /// The new share, in basis points (100 = 1%).
        #[arg(value_parser = clap::value_parser!(u16).range(0..=10_000))]
        commission: u16,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Vote on the price of storing weights: the stake-weighted median of the seats counts from the next epoch.
    Rent {
        /// The price of a MiB for an epoch, in SOMA.
        amount: Shannons,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Report that a model's revealed weights are unusable. Past two thirds of the seats' stake it is retired and slashed.
    ReportModel {
        /// The model.
        model: Reference,
        /// What is wrong.
        #[arg(long)]
        fault: Fault,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Show that a validator voted for two blocks in one view. It loses a part of its pool and its seat; anyone may.
    ReportEquivocation {
        /// The evidence, in JSON: {"network_key":"0x..","epoch":5,"view":6,"first":{"digest":"0x..","signature":"0x.."},
        /// "second":{..}}.
        evidence: PathBuf,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
    /// Propose a change of the protocol.
    Propose(ProposeArgs),
    /// Vote for a proposal.
    Vote {
        /// Its number.
        proposal: u64,
        /// Take an earlier vote back.
        #[arg(long)]
        withdraw: bool,
        /// Options of transactions.
        #[command(flatten)]
        signer: Signer,
    },
}

/// What is wrong with a model's revealed weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// The encrypted file cannot be downloaded.
    Unavailable,
    /// It has another size or hash than committed.
    HashMismatch,
    /// The revealed key is not the one that its header commits to.
    WrongKey,
    /// The weights do not parse, or do not fit the architecture.
    BadWeights,
}

/// `soma validator propose`.
#[derive(Debug, Args)]
pub struct ProposeArgs {
    /// The version of the rules; the one in force if left out.
    #[arg(long, value_name = "NUMBER")]
    pub protocol: Option<u32>,
    /// The shape of models, if it changes: `nano`, `v1`, or a JSON file.
    #[arg(long, value_name = "nano|v1|FILE")]
    pub arch: Option<String>,
    /// A new value of a parameter, as `soma params --json` shows it (amounts in shannons). May be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = crate::commands::validator::change)]
    pub changes: Vec<ParamChange>,
    /// The first epoch under the new rules; three epochs ahead if left out.
    #[arg(long, value_name = "EPOCH")]
    pub activation: Option<u64>,
    /// Options of transactions.
    #[command(flatten)]
    pub signer: Signer,
}
