//! Peak memory of a whole V1 model (1.2 billion weights) on its way through the network: from its owner to a
//! node, and from there to whoever scores with it, the way the client and the agents do it.
//!
//! `cargo run --release -p soma-model --example v1_memory -- write FILE BF16` writes random weights, then
//! `cargo run --release -p soma-agents --example v1_loading -- FILE` sends them around. Each step is a
//! process of its own.
#![allow(clippy::disallowed_types)] // a benchmark needs a clock

use std::{
    env, fs,
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use soma_agents::{Downloader, Experts};
use soma_blobs::{Blob, Decrypting, FetchPolicy, Store, container::encrypt_stream};
use soma_client::NodeClient;
use soma_localnet::{Config, Localnet};
use soma_model::Model;
use soma_types::{
    Architecture, Epoch,
    objects::{CommittedWeights, Weights},
};
use tokio::runtime::Runtime;

type Failure = Box<dyn std::error::Error>;

/// Room for the container.
const STORE_BYTES: u64 = 16 << 30;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [file] => orchestrate(file),
        ["serve", folder] => serve(folder),
        ["publish", file, node] => publish(file, &NodeClient::new(node)?),
        ["client", weights, node] => fetch(&serde_json::from_str(weights)?, &NodeClient::new(node)?),
        ["agents", weights, node] => load(&serde_json::from_str(weights)?, &NodeClient::new(node)?),
        ["store", weights, folder] => read(&serde_json::from_str(weights)?, folder),
        _ => Err("give a weights file of V1".into()),
    }
}

/// Runs every step in a process of its own.
fn orchestrate(file: &str) -> Result<(), Failure> {
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let path = folder.path().to_str().ok_or("a folder's name is text")?;
    let mut server = step(&["serve", path])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(server.stdout.take().ok_or("it is piped")?).lines();
    let node = lines.next().ok_or("the node ended")??;
    let beside = |server: &Child| peak_bytes(&server.id().to_string()).map(gib);
    println!("the node, idle: {:.2} GiB", beside(&server)?);
    let published = step(&["publish", file, &node]).output()?;
    let published = String::from_utf8(published.stdout)?;
    let (line, weights) = published.trim_end().split_once('\n').ok_or("it failed")?;
    println!("{line}\nthe node, which stored them: {:.2} GiB", beside(&server)?);
    for how in ["client", "agents"] {
        step(&[how, weights, &node]).status()?;
        println!("the node, which served them: {:.2} GiB", beside(&server)?);
    }
    drop(server.stdin.take());
    server.wait()?;
    step(&["store", weights, &format!("{path}/blobs")]).status()?;
    Ok(())
}

fn step(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program is somewhere"));
    command.args(arguments);
    command
}

/// A localnet, until its input ends.
fn serve(folder: &str) -> Result<(), Failure> {
    let mut config = Config::new(Path::new(folder));
    // Nobody names these weights: they stay for an epoch, which has to last.
    config.blueprint.params.epoch_blocks *= 1_000;
    let net = Localnet::start(config)?;
    println!("http://{}", net.apis()[0]);
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(net.stop()?)
}

/// Encrypts weights and hands them to a node, as [`soma_client::Account::commit_model`] does.
fn publish(file: &str, node: &NodeClient) -> Result<(), Failure> {
    let begun = Instant::now();
    let weights = Blob::copy(&mut File::open(file)?)?;
    let (container, key) =
        Blob::written(|writer| encrypt_stream(&mut weights.reader(), weights.size_bytes(), writer))?;
    Runtime::new()?.block_on(node.put_blob(&container))?;
    let hash = container.hash();
    println!(
        "published {:.2} GiB in {:.1} s: peak {:.2} GiB",
        gib(weights.size_bytes()),
        begun.elapsed().as_secs_f64(),
        gib(peak_bytes("self")?)
    );
    let weights = Weights {
        committed: CommittedWeights {
            url: format!("soma:{hash}").parse()?,
            size_bytes: container.size_bytes(),
            hash,
            epoch: Epoch(1),
            architecture: Architecture::V1,
            sequence: 0,
            embedding: None,
        },
        key: (&key).into(),
        active_from: Epoch(2),
    };
    println!("{}", serde_json::to_string(&weights)?);
    Ok(())
}

/// As the client fetches them.
fn fetch(weights: &Weights, node: &NodeClient) -> Result<(), Failure> {
    let begun = Instant::now();
    let fetched = Runtime::new()?.block_on(node.fetch_weights(weights))?;
    let plaintext = fetched.open()?;
    let size_bytes = plaintext.plaintext_bytes();
    tell(
        "the client",
        begun,
        &Model::read(plaintext, size_bytes, &Architecture::V1)?,
    )
}

/// As submitters and auditors load them.
fn load(weights: &Weights, node: &NodeClient) -> Result<(), Failure> {
    let begun = Instant::now();
    let experts = Experts::new(Downloader::new(node.clone(), FetchPolicy::default())?);
    let loan = Runtime::new()?.block_on(experts.load(weights))?;
    tell("the agents", begun, &loan)
}

/// As a node that scores loads them from its own store.
fn read(weights: &Weights, folder: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    let store = Store::open(folder, STORE_BYTES)?;
    let model = store.read(&weights.committed.hash, |reader, size_bytes| {
        let plaintext = Decrypting::new(reader, size_bytes, &weights.key.into())?;
        let size_bytes = plaintext.plaintext_bytes();
        Ok::<_, Failure>(Model::read(plaintext, size_bytes, &Architecture::V1)?)
    })?;
    tell("a node's scoring", begun, &model.ok_or("the store lacks them")??)
}

fn tell(who: &str, begun: Instant, model: &Model) -> Result<(), Failure> {
    let (weights, peak) = (model.memory_bytes(), peak_bytes("self")?);
    println!(
        "{who}: loaded {:.2} GiB of weights in {:.1} s, peak {:.2} GiB: {:.0} MiB beside them",
        gib(weights),
        begun.elapsed().as_secs_f64(),
        gib(peak),
        1024.0 * gib(peak.saturating_sub(weights))
    );
    Ok(())
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / (1_u64 << 30) as f64
}

/// The most memory that a process ever held (Linux).
fn peak_bytes(process: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(1024 * kib.ok_or("no VmHWM")?.parse::<u64>()?)
}
