//! How many payments a second four validators on one machine make final, how long each waits for that, and
//! what it costs.
//!
//!     cargo build --release -p soma-cli -p soma-network-bench
//!     target/release/soma-network-bench [--rates N,N.. --seconds N --senders N --validators N --program FILE]
//!
//! The validators are processes, and the senders live in this one, on the same cores: what it does (signing,
//! encoding, HTTP) is part of the load. Payments are offered at a steady rate by batches of a tenth of a
//! second, whatever becomes of them; each sender's go to one validator. The time of one is from before its
//! request to when its validator says that it is in a final block. Prints a Markdown table.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    reason = "measures time; nothing here is decided by"
)]

mod load;
mod network;

use std::{path::PathBuf, time::Duration};

use self::{
    load::Load,
    network::{Network, own_work_s},
};

/// What to measure.
struct Options {
    rates: Vec<u64>,
    seconds: u64,
    senders: u64,
    validators: u32,
    program: PathBuf,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self {
            rates: vec![100, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000],
            seconds: 20,
            senders: 128,
            validators: 4,
            program: beside_this(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let text = arguments.next().unwrap_or_default();
            let number = || -> u64 {
                text.parse()
                    .unwrap_or_else(|_| panic!("{argument} takes a number, not '{text}'"))
            };
            match argument.as_str() {
                "--rates" => {
                    let numbers = text.split(',').map(|part| {
                        part.parse()
                            .unwrap_or_else(|_| panic!("--rates takes numbers, not '{text}'"))
                    });
                    options.rates = numbers.collect();
                }
                "--seconds" => options.seconds = number(),
                "--senders" => options.senders = number(),
                "--validators" => options.validators = number() as u32,
                "--program" => options.program = text.into(),
                other => {
                    panic!("'{other}' is none of --rates, --seconds, --senders, --validators and --program")
                }
            }
        }
        let program = options.program.display();
        assert!(
            options.program.is_file(),
            "there is no program '{program}': run cargo build --release -p soma-cli"
        );
        options
    }
}

/// The `soma` program that was built with the same profile.
fn beside_this() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a name");
    this.with_file_name("soma")
}

fn main() {
    let options = Options::parse();
    let network = Network::start(&options.program, options.validators);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be had");
    let mut load = runtime.block_on(Load::new(&network.apis, options.senders));
    println!(
        "| offered/s | final/s | refused | final after: p50 ms | p95 ms | p95 of the last third ms | blocks/s | fullest block | a payment's work: validators µs | senders µs |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for rate in options.rates {
        let (validators_s, here_s) = (network.work_s(), own_work_s());
        let seen = runtime.block_on(load.offer(rate, Duration::from_secs(options.seconds)));
        let each = |seconds: f64| 1e6 * seconds / seen.final_total.max(1) as f64;
        println!(
            "| {rate} | {:.0} | {} | {} | {} | {} | {:.2} | {} | {:.0} | {:.0} |",
            seen.final_per_second,
            seen.refused,
            seen.percentile(0.5),
            seen.percentile(0.95),
            seen.last_third_p95(),
            seen.blocks_per_second,
            seen.fullest_block,
            each(network.work_s() - validators_s),
            each(own_work_s() - here_s),
        );
    }
}
