//! What clients who ask for the heaviest pages as fast as they can do to finality: `cargo run --release -p
//! soma-localnet --example greedy [-- --clients N --models N --accounts N --seconds N]`.
//!
//! Four validators and all clients are on this machine, with as many models and accounts as that in the
//! state. Prints a Markdown table: blocks per second and the time from a block's proposal to its finality,
//! with nobody there and with all of them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use soma_client::NodeClient;
use soma_localnet::{Config, Localnet};
use soma_types::{
    Epoch, Keypair, Seed, Shannons, Transaction, TransactionKind, amount::SHANNONS_PER_SOMA,
    genesis::GenesisAccount, transaction::BasisPoints,
};

type Failure = Box<dyn std::error::Error>;

/// Models that are made before the next ones: fewer than a mempool holds.
const MADE_TOGETHER: usize = 4_096;

struct Options {
    clients: usize,
    models: usize,
    accounts: usize,
    seconds: u64,
}

impl Options {
    fn parse() -> Result<Self, Failure> {
        let mut options = Self {
            clients: 200,
            models: 2_000,
            accounts: 10_000,
            seconds: 20,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().unwrap_or_default();
            match name.as_str() {
                "--clients" => options.clients = value.parse()?,
                "--models" => options.models = value.parse()?,
                "--accounts" => options.accounts = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                _ => {
                    let known = "--clients, --models, --accounts, --seconds";
                    return Err(format!("'{name}' is none of {known}").into());
                }
            }
        }
        options.accounts = options.accounts.max(options.models);
        Ok(options)
    }
}

fn owner(index: usize) -> Keypair {
    Keypair::from_secret_bytes(Seed([9; 32]).derive("owner", index as u64).0)
}

fn main() -> Result<(), Failure> {
    let options = Options::parse()?;
    let folder = tempfile::tempdir()?;
    let mut config = Config::new(folder.path());
    config.blueprint.accounts = (0..options.accounts)
        .map(|index| GenesisAccount {
            address: owner(index).address(),
            balance: Shannons(50 * SHANNONS_PER_SOMA),
        })
        .collect();
    let net = Localnet::start(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(populate(&net, options.models))?;
    println!("| | blocks a second | finality: half within | 95% within | longest | answers a second |");
    println!("|---|---|---|---|---|---|");
    let during = |name: &str| {
        let (answers, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let clients = if name == "nobody" { 0 } else { options.clients };
        let greedy: Vec<_> = (0..clients)
            .map(|index| {
                let (api, answers, done) = (net.apis()[index % 4], answers.clone(), done.clone());
                std::thread::spawn(move || ask(api, index, &answers, &done))
            })
            .collect();
        // What was under way before is over.
        std::thread::sleep(Duration::from_secs(2));
        let (start, before) = (Instant::now(), answers.load(Ordering::Relaxed));
        let first = height(&net);
        std::thread::sleep(Duration::from_secs(options.seconds));
        let (last, seconds) = (height(&net), start.elapsed().as_secs_f64());
        let answered = answers.load(Ordering::Relaxed) - before;
        done.store(true, Ordering::Relaxed);
        for client in greedy {
            let _ = client.join();
        }
        let index = net.queries()[0].index();
        let mut finality: Vec<u64> = (first + 1..=last)
            .filter_map(|at| index.finality_ms(at))
            .collect();
        finality.sort_unstable();
        let part = |hundredths: usize| {
            finality
                .get(finality.len() * hundredths / 100)
                .copied()
                .unwrap_or(0)
        };
        println!(
            "| {name} | {:.2} | {} ms | {} ms | {} ms | {:.0} |",
            (last - first) as f64 / seconds,
            part(50),
            part(95),
            finality.last().copied().unwrap_or(0),
            answered as f64 / seconds,
        );
    };
    during("nobody");
    during(&format!("{} clients", options.clients));
    net.stop()?;
    Ok(())
}

fn height(net: &Localnet) -> u64 {
    net.queries()[0].index().tip().map_or(0, |tip| tip.height)
}

/// A model of each owner.
async fn populate(net: &Localnet, models: usize) -> Result<(), Failure> {
    let client = NodeClient::new(&format!("http://{}", net.apis()[0]))?;
    let (chain, params) = (net.genesis().chain_id(), &net.genesis().params);
    while height(net) == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let created = |index: usize| {
        let keys = owner(index);
        let transaction = Transaction {
            chain,
            sender: keys.public_key(),
            nonce: 0,
            expires: Epoch(60),
            max_fee: Shannons(SHANNONS_PER_SOMA),
            kind: TransactionKind::CreateModel {
                commission: BasisPoints::default(),
                stake: params.model_stake_min,
                architecture: params.architecture,
            },
        };
        transaction.sign(&keys)
    };
    for first in (0..models).step_by(MADE_TOGETHER) {
        let end = models.min(first + MADE_TOGETHER);
        let some: Vec<_> = (first..end).map(created).collect();
        for answer in client.submit_all(&some).await? {
            answer.map_err(|problem| problem.detail)?;
        }
        let last = owner(end - 1).address();
        while client.account(&last).await?.nonce == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// Asks for the heaviest pages, one after another, until `done`.
fn ask(api: SocketAddr, index: usize, answers: &AtomicU64, done: &AtomicBool) {
    let nobody = format!("0x{}", "5a".repeat(32));
    let payer = owner(index).address();
    let pages = [
        "/v1/models?limit=1000".to_owned(),
        format!("/v1/models?owner={nobody}&limit=1000"),
        format!("/v1/models?owner={nobody}&limit=1000&cursor=500"),
        format!("/v1/accounts/{payer}/transactions?limit=1000"),
    ];
    for page in pages.iter().cycle().skip(index) {
        if done.load(Ordering::Relaxed) {
            return;
        }
        // Who is refused asks again.
        if get(api, page).is_ok() {
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn get(api: SocketAddr, page: &str) -> std::io::Result<u64> {
    let mut stream = TcpStream::connect(api)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(
        stream,
        "GET {page} HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    answer
        .starts_with(b"HTTP/1.1 200")
        .then_some(answer.len() as u64)
        .ok_or_else(|| std::io::ErrorKind::Other.into())
}
