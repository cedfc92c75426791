//! A generalist, then one specialist per domain: prints learning curves and the table of held-out bits per
//! byte.
//!
//! `cargo run --release -p soma-train --example curve -- [DATA] [generalist ktokens] [specialist ktokens]
//! [rate] [batch] [passes] [specialist rate]`
//!
//! Lengths are in thousands of tokens, so that a busy machine gives the same table, only later.

use std::{path::Path, sync::atomic::AtomicBool, time::Instant};

use soma_data::{Dataset, load_domains};
use soma_train::{Event, TrainConfig, Trained, evaluate, split::split, train};
use soma_types::Architecture;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: f64| arguments.get(at).map_or(Ok(default), |a| a.parse());
    let data = arguments.first().map_or("data", String::as_str);
    let (general_ktokens, special_ktokens) = (number(1, 1500.0)?, number(2, 600.0)?);
    let mut config = TrainConfig::new(Architecture::NANO, 0);
    config.learning_rate = number(3, config.learning_rate)?;
    config.batch_size = number(4, config.batch_size as f64)? as usize;
    config.grad_accum = number(5, config.grad_accum as f64)? as usize;

    let mut domains = Vec::new();
    for domain in load_domains(Path::new(data))? {
        let parts = split(&domain.name, &domain.dataset)?;
        println!("{}: {} bytes to train on", domain.name, parts.train.size_bytes());
        domains.push((domain.name, parts));
    }
    let all = Dataset::joined(domains.iter().map(|(_, parts)| &parts.train)).ok_or("no data")?;
    let table = |label: &str, trained: &Trained| -> Result<(), Box<dyn std::error::Error>> {
        let start = Instant::now();
        let mut line = format!("{label:>12}");
        for (name, parts) in &domains {
            let result = evaluate(&Architecture::NANO, &trained.weights, &parts.held_out, None)?;
            line += &format!("  {name} {:.3}", result.bits_per_byte);
        }
        println!("{line}  ({:.1} s to evaluate)", start.elapsed().as_secs_f64());
        Ok(())
    };

    let tokens_per_step =
        (config.batch_size * config.grad_accum) as f64 * f64::from(Architecture::NANO.max_seq_len);
    config.steps = (general_ktokens * 1e3 / tokens_per_step) as u64;
    let generalist = run("generalist", &config, &all, None)?;
    table("generalist", &generalist)?;
    config.steps = (special_ktokens * 1e3 / tokens_per_step) as u64;
    config.learning_rate = number(6, config.learning_rate / 2.0)?;
    for (index, (name, parts)) in domains.iter().enumerate() {
        config.seed = index as u64 + 1;
        let specialist = run(name, &config, &parts.train, Some(&generalist.weights))?;
        table(name, &specialist)?;
    }
    Ok(())
}

fn run(
    label: &str,
    config: &TrainConfig,
    data: &Dataset,
    init: Option<&[u8]>,
) -> Result<Trained, Box<dyn std::error::Error>> {
    let mut next = 0;
    let trained = train(
        config,
        data,
        init,
        |event| {
            let Event::Updated(p) = event else { return };
            if p.elapsed.as_secs() >= next {
                next = p.elapsed.as_secs() + 5;
                println!(
                    "{label} {:5.1} s  step {}  {:.3} bits/byte  sigreg {:.4}  norm {:.2}  rate {:.1e}  {:.0} tokens/s",
                    p.elapsed.as_secs_f64(),
                    p.step,
                    p.bits_per_byte,
                    p.sigreg,
                    p.gradient_norm,
                    p.learning_rate,
                    p.tokens_per_second
                );
            }
        },
        &AtomicBool::new(false),
    )?;
    println!("{label}: {} steps, {:?}", trained.steps, trained.stop);
    Ok(trained)
}
