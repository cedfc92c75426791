//! How fast the ledger is, whether that depends on the number of models, and what limits it.
//!
//!     cargo bench -p soma-ledger --bench ledger [-- rates] [-- routing] [-- --models N,N --accounts N --rounds N]
//!
//! `rates`: transactions per second on one core, with signature checks aside and included, and what
//! blocks and epoch boundaries cost. `routing`: targets routed over 10^5 models of dimension 2048, next to
//! the machine's memory bandwidth and numpy's f32 product (where `$PYTHON`, or `python3`, has numpy).
//! Prints Markdown tables; docs/ledger.md holds a run.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    reason = "measures time; nothing here is decided by"
)]

mod network;
mod peak;
mod rates;
mod routing;

use std::{hint::black_box, time::Instant};

/// What to measure.
struct Options {
    sections: Vec<String>,
    models: Vec<u64>,
    accounts: u64,
    rounds: u64,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self {
            sections: Vec::new(),
            models: vec![1_000, 10_000, 100_000],
            accounts: 1_000_000,
            rounds: 4,
        };
        let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
        while let Some(argument) = arguments.next() {
            let mut number = || -> Vec<u64> {
                let text = arguments.next().unwrap_or_default();
                text.split(',')
                    .map(|part| {
                        part.parse()
                            .unwrap_or_else(|_| panic!("{argument} takes numbers, not '{text}'"))
                    })
                    .collect()
            };
            match argument.as_str() {
                "--models" => options.models = number(),
                "--accounts" => options.accounts = number()[0],
                "--rounds" => options.rounds = number()[0],
                "rates" | "routing" => options.sections.push(argument),
                other => panic!("'{other}' is neither rates, routing, --models, --accounts nor --rounds"),
            }
        }
        options
    }

    fn wants(&self, section: &str) -> bool {
        self.sections.is_empty() || self.sections.iter().any(|wanted| wanted == section)
    }
}

fn main() {
    let options = Options::parse();
    if options.wants("rates") {
        rates::run(&options.models, options.accounts, options.rounds);
    }
    if options.wants("routing") {
        let models = options.models.iter().copied().max().unwrap_or(100_000);
        routing::run(models as usize);
    }
}

/// The seconds that `work` takes, and what it returns.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let value = work();
    (start.elapsed().as_secs_f64(), value)
}

/// The least seconds of `times` runs of `work`.
fn best_of<T>(times: usize, mut work: impl FnMut() -> T) -> f64 {
    (0..times)
        .map(|_| timed(|| black_box(work())).0)
        .fold(f64::INFINITY, f64::min)
}
