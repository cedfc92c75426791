//! Transactions per second, blocks and boundaries, at several numbers of models.

use soma_ledger::view;
use soma_types::{
    Commitment, ContentHash, Embedding, Epoch, Keypair, Salt, Seed, Shannons, SignedTransaction,
    SubmissionId, Transaction, TransactionKind as Kind, Transcript, VerifiedTransaction,
    list::List,
    objects::Target,
    transaction::{Payment, SubmissionReveal, Verdict},
};

use crate::{
    network::{AUDIT_COMMIT_BLOCKS, BLOCK_TRANSACTIONS, Network, Times},
    timed,
};

/// Submissions that race for each target: few in a healthy network, and then some.
const RACERS: u64 = 8;
/// Transactions whose signatures are checked, per kind.
const SIGNATURES: usize = 500;
/// Kinds of transactions, in the order of [`Rates::seconds`].
const KINDS: [&str; 5] = [
    "transfer",
    "submission commit",
    "submission reveal",
    "audit commit",
    "audit reveal",
];

/// What one network's run shows.
#[derive(Default)]
struct Rates {
    /// Seconds per transaction of each kind.
    seconds: [f64; 5],
    empty_block: f64,
    refill_block: f64,
    first_boundary: Times,
    boundary: Times,
}

/// The times of one of the boundaries that were measured.
type TimesOf = fn(&Rates) -> Times;

pub fn run(models: &[u64], accounts: u64, rounds: u64) {
    let mut samples = Vec::new();
    let rates: Vec<Rates> = models
        .iter()
        .map(|models| measure(*models, accounts, rounds, &mut samples))
        .collect();
    let checks = signature_seconds(&samples);
    println!(
        "Transactions per second on one core, {accounts} accounts (in brackets: time over that of the first column)\n"
    );
    header("", models);
    for (kind, name) in KINDS.iter().enumerate() {
        row(
            name,
            &rates,
            |rates| rates.seconds[kind],
            |seconds| format!("{:.0}", 1.0 / seconds),
        );
    }
    for (kind, name) in KINDS.iter().enumerate() {
        let check = checks[kind];
        row(
            &format!("{name}, decoded and its signature checked"),
            &rates,
            |rates| rates.seconds[kind] + check,
            |seconds| format!("{:.0}", 1.0 / seconds),
        );
    }
    println!("\nMilliseconds\n");
    header("", models);
    let ms = |seconds: f64| format!("{:.2}", 1e3 * seconds);
    row("empty block", &rates, |rates| rates.empty_block, ms);
    row(
        "100 races settled, 100 targets opened",
        &rates,
        |rates| rates.refill_block,
        ms,
    );
    let boundaries: [(&str, TimesOf); 2] = [
        ("boundary at which all models become active", |rates| {
            rates.first_boundary
        }),
        ("boundary at which none changes", |rates| rates.boundary),
    ];
    for (name, times) in boundaries {
        row(name, &rates, |rates| times(rates).total(), ms);
        row(
            &format!("{name}: what is left once it is prepared"),
            &rates,
            |rates| times(rates).total() - times(rates).prepare,
            ms,
        );
        row(
            &format!("{name}: longest part of preparing it"),
            &rates,
            |rates| times(rates).longest_part,
            ms,
        );
    }
    println!();
}

fn header(corner: &str, models: &[u64]) {
    let columns: Vec<String> = models.iter().map(|models| format!("{models} models")).collect();
    println!(
        "| {corner} | {} |\n|---{}|",
        columns.join(" | "),
        "|---".repeat(models.len())
    );
}

fn row(name: &str, rates: &[Rates], seconds: impl Fn(&Rates) -> f64, show: impl Fn(f64) -> String) {
    let cells: Vec<String> = rates
        .iter()
        .map(|one| {
            format!(
                "{} ({:.2})",
                show(seconds(one)),
                seconds(one) / seconds(&rates[0])
            )
        })
        .collect();
    println!("| {name} | {} |", cells.join(" | "));
}

/// Runs a network of `models` models through transfers, submissions and audits. Keeps some transactions of
/// each kind in `samples`.
fn measure(models: u64, accounts: u64, rounds: u64, samples: &mut Vec<Vec<VerifiedTransaction>>) -> Rates {
    let (setup, (mut network, first_boundary)) = timed(|| Network::new(models, accounts));
    eprintln!("{models} models: set up in {setup:.1} s");
    samples.clear();
    let mut rates = Rates {
        first_boundary,
        ..Rates::default()
    };
    rates.empty_block = (0..8)
        .map(|_| network.block(&[]).0.total())
        .fold(f64::INFINITY, f64::min);

    let mut transfers = Clock::default();
    for round in 0..10 {
        let transactions = some_transfers(&mut network, round);
        transfers.add(&mut network, &transactions);
        keep(samples, 0, &transactions);
    }
    let (mut commits, mut reveals) = (Clock::default(), Clock::default());
    for round in 0..rounds {
        let (commit, reveal) = some_submissions(&mut network, round);
        commits.add(&mut network, &commit);
        reveals.add(&mut network, &reveal);
        keep(samples, 1, &commit);
        keep(samples, 2, &reveal);
        for _ in 0..network.params.settlement_blocks {
            rates.refill_block = rates.refill_block.max(network.block(&[]).0.total());
        }
    }
    rates.boundary = network.until_epoch(3);
    let (commit, reveal) = some_audits(&mut network);
    let (mut audit_commits, mut audit_reveals) = (Clock::default(), Clock::default());
    for chunk in commit.chunks(BLOCK_TRANSACTIONS) {
        audit_commits.add(&mut network, chunk);
    }
    while network.epoch_offset().1 + 1 < AUDIT_COMMIT_BLOCKS {
        network.block(&[]);
    }
    for chunk in reveal.chunks(BLOCK_TRANSACTIONS) {
        audit_reveals.add(&mut network, chunk);
    }
    keep(samples, 3, &commit);
    keep(samples, 4, &reveal);
    let again = network.until_epoch(4);
    if again.total() < rates.boundary.total() {
        rates.boundary = again;
    }
    rates.seconds = [transfers, commits, reveals, audit_commits, audit_reveals].map(|clock| clock.each());
    rates
}

/// Time spent on transactions.
#[derive(Default)]
struct Clock {
    seconds: f64,
    transactions: usize,
}

impl Clock {
    fn add(&mut self, network: &mut Network, transactions: &[VerifiedTransaction]) {
        self.seconds += network.block(transactions).0.apply;
        self.transactions += transactions.len();
    }

    fn each(&self) -> f64 {
        self.seconds / self.transactions as f64
    }
}

fn keep(samples: &mut Vec<Vec<VerifiedTransaction>>, kind: usize, transactions: &[VerifiedTransaction]) {
    if samples.len() == kind {
        samples.push(transactions.iter().take(SIGNATURES).cloned().collect());
    }
}

/// A number that looks random, the same in every run.
fn scatter(index: u64, below: u64) -> u64 {
    let bytes = Seed([5; 32]).derive("scatter", index).0;
    u64::from_le_bytes(bytes[..8].try_into().expect("8 of 32 bytes")) % below
}

fn some_transfers(network: &mut Network, round: u64) -> Vec<VerifiedTransaction> {
    let accounts = network.addresses.len() as u64;
    (0..BLOCK_TRANSACTIONS as u64)
        .map(|index| {
            let place = 2 * (round * BLOCK_TRANSACTIONS as u64 + index);
            let payment = Payment {
                to: network.addresses[scatter(place, accounts) as usize],
                amount: Shannons(1 + index),
            };
            let payments = List::new(vec![payment]).expect("one payment");
            network.transaction(scatter(place + 1, accounts), Kind::Transfer { payments })
        })
        .collect()
}

/// Commits and reveals of [`RACERS`] submissions for each open target.
fn some_submissions(
    network: &mut Network,
    round: u64,
) -> (Vec<VerifiedTransaction>, Vec<VerifiedTransaction>) {
    let targets: Vec<Target> = view::open_targets(&mut network.sandbox.state).expect("loaded");
    assert_eq!(targets.len(), network.params.open_targets as usize);
    let salt = Salt([6; 32]);
    let accounts = network.addresses.len() as u64;
    let dim = network.params.architecture.embedding_dim as usize;
    let embeddings: Vec<Embedding> = targets
        .iter()
        .map(|target| Embedding::draw(&target.seed, dim))
        .collect();
    let (mut commits, mut reveals) = (Vec::new(), Vec::new());
    for racer in 0..RACERS {
        for ((target, embedding), place) in targets.iter().zip(&embeddings).zip(0..) {
            let number = (round * RACERS + racer) * targets.len() as u64 + place;
            let account = scatter(u64::MAX - number, accounts);
            let reveal = SubmissionReveal {
                data_url: "https://storage.example.org/data/0123456789abcdef"
                    .parse()
                    .expect("a URL"),
                data_size_bytes: 100,
                data_hash: ContentHash(Seed([7; 32]).derive("data", number).0),
                losses_nano: List::new(vec![2_000_000_000; target.models.len()]).expect("few"),
                cross_entropy_nano: 1_000_000_000,
                embedding: embedding.clone(),
            };
            let commitment = reveal.commitment(&network.addresses[account as usize], &salt);
            let commit = Kind::CommitSubmission {
                target: target.id,
                commitment,
            };
            let commit = network.transaction(account, commit);
            let submission = SubmissionId::created_by(&commit.hash());
            commits.push(commit);
            let reveal = Kind::RevealSubmission {
                submission,
                salt,
                reveal,
            };
            reveals.push((account, reveal));
        }
    }
    let reveals = reveals
        .into_iter()
        .map(|(account, kind)| network.transaction(account, kind))
        .collect();
    (commits, reveals)
}

/// Commits and reveals of all auditors of all winners.
fn some_audits(network: &mut Network) -> (Vec<VerifiedTransaction>, Vec<VerifiedTransaction>) {
    let tasks = view::audit_tasks(&mut network.sandbox.state, 0, u64::MAX).expect("loaded");
    assert!(!tasks.is_empty());
    let (verdict, transcript, salt) = (Verdict::Valid, Transcript([8; 32]), Salt([9; 32]));
    let mut kinds = Vec::new();
    for task in &tasks {
        for auditor in &task.polled.voters {
            let account = network.addresses.iter().position(|address| address == auditor);
            let account = account.expect("auditors are the first accounts") as u64;
            let submission = task.submission.id;
            let commitment: Commitment = verdict.commitment(auditor, &submission, &transcript, &salt);
            let commit = Kind::CommitAudit {
                submission,
                commitment,
            };
            let reveal = Kind::RevealAudit {
                submission,
                salt,
                verdict,
                transcript,
            };
            kinds.push((account, commit, reveal));
        }
    }
    let commits = kinds
        .iter()
        .map(|(account, commit, _)| network.transaction(*account, commit.clone()))
        .collect();
    let reveals = kinds
        .into_iter()
        .map(|(account, _, reveal)| network.transaction(account, reveal))
        .collect();
    (commits, reveals)
}

/// Seconds to decode a transaction of each kind and check its signature.
fn signature_seconds(samples: &[Vec<VerifiedTransaction>]) -> Vec<f64> {
    let keys = Keypair::from_secret_bytes([10; 32]);
    samples
        .iter()
        .map(|transactions| {
            let encoded: Vec<Vec<u8>> = transactions
                .iter()
                .map(|verified| {
                    let transaction = Transaction {
                        sender: keys.public_key(),
                        expires: Epoch(u64::MAX),
                        ..verified.transaction().clone()
                    };
                    transaction.sign(&keys).encode()
                })
                .collect();
            let (seconds, ()) = timed(|| {
                for bytes in &encoded {
                    let signed = SignedTransaction::decode(bytes).expect("it was encoded");
                    signed.verify().expect("it was signed");
                }
            });
            seconds / encoded.len() as f64
        })
        .collect()
}
