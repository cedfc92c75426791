//! Tokens per second of processor time, by batch size: a measure that other work on the machine disturbs
//! little.
//!
//! `cargo run --release -p soma-train --example speed -- [DATA] [steps] [threads]` (Linux)

use std::{num::NonZeroUsize, sync::atomic::AtomicBool};

use soma_data::{Rules, read};
use soma_train::{TrainConfig, train};
use soma_types::Architecture;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let data = read(
        &[arguments.first().map_or("data", String::as_str)],
        &Rules::default(),
    )?
    .dataset;
    let steps = arguments.get(1).map_or(Ok(12), |a| a.parse())?;
    let threads = arguments.get(2).map_or(Ok(1), |a| a.parse())?;
    for (batch, grad_accum) in [(1, 8), (2, 4), (4, 2), (8, 1)] {
        for directions in [0, 64, 256] {
            let mut config = TrainConfig::new(Architecture::NANO, steps);
            (config.batch_size, config.grad_accum, config.sigreg_directions) =
                (batch, grad_accum, directions);
            config.threads = NonZeroUsize::new(threads);
            let before = processor_seconds()?;
            let trained = train(&config, &data, None, |_| (), &AtomicBool::new(false))?;
            let spent = processor_seconds()? - before;
            let last = trained.last.ok_or("no steps")?;
            println!(
                "{batch} chunks x {grad_accum} passes, {directions:3} directions: {:6.0} tokens per processor second, {:6.0} per second",
                last.tokens as f64 / spent,
                last.tokens_per_second
            );
        }
    }
    Ok(())
}

/// User and system time of this process so far.
fn processor_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .ok_or("unknown format")?
        .1
        .split_whitespace()
        .collect();
    // utime and stime, in ticks of 10 ms.
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}
