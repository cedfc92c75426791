//! Judges drawn after the commit (docs/economy.md): what the draw of three of R near models does to whoever
//! trains on what it submits, to a codec, to copies, and to the honest.
//!
//! `cargo run --release -p soma-agents --example judges` prints the odds of draws. With `-- TEXT FOLDER`, and
//! TEXT from `benches/judges/texts TEXT`, it trains nano models, scores documents exactly, and counts.
//! Weights and scores are kept in FOLDER; the plot is `judges.svg` there.

mod cast;
mod codec;
mod market;
mod plot;
mod rules;
mod scores;
mod study;
mod text;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use soma_data::Document;

use crate::{
    cast::{Cast, Entrant, KINDS, SPECIALISTS},
    rules::{Draw, RULES, chances},
    scores::{Scored, scores},
    study::{Findings, Spread, Stage, Studied},
    text::Region,
};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    odds();
    let mut arguments = env::args().skip(1).map(PathBuf::from);
    let (Some(text), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Ok(());
    };
    fs::create_dir_all(&folder)?;
    let regions = text::regions(&text)?;
    let cast = cast::cast(&folder, &regions)?;
    let stage = stage(&folder, &regions, &cast)?;
    losses(&stage);
    let mut found = Vec::new();
    for rule in RULES {
        let findings = stage.study(rule);
        print(rule.name, &findings);
        found.push((rule, findings));
    }
    let svg = plot::figure(&found).to_svg();
    soma_files::replace(&folder.join("judges.svg"), svg.as_bytes())?;
    Ok(())
}

/// Of all draws, those with at least one of an owner's models, and those whose best is the best of all, the
/// second of all and so on.
fn odds() {
    println!("NEAR  WITH ONE OF 1, 2, 4, 8   BEST IS FIRST, SECOND, THIRD OF ALL, in % of draws of three");
    for near in [3, 6, 8, 12] {
        let chances = chances(Draw::Even, &vec![1.0; near]);
        let with_one_of = |models: usize| 100.0 * chances.iter().take(models).sum::<f64>();
        let with: Vec<String> = [1, 2, 4, 8]
            .map(|models| format!("{:5.1}", with_one_of(models)))
            .into();
        let best: Vec<String> = chances
            .iter()
            .take(3)
            .map(|chance| format!("{:5.1}", 100.0 * chance))
            .collect();
        println!("{near:4}  {}   {}", with.join(" "), best.join(" "));
    }
}

/// Scores everyone who has a part.
fn stage<'a>(folder: &Path, regions: &'a [Region], cast: &'a Cast) -> Result<Stage<'a>, Failure> {
    let everyone: Vec<&Entrant> = cast
        .generalists
        .iter()
        .chain(cast.locals.iter().flat_map(|local| &local.specialists))
        .collect();
    let scored = |entrants: &[&'a Entrant], set: &str, documents: &[Document]| {
        let scored = entrants
            .iter()
            .map(|entrant| Ok((*entrant, scores(folder, entrant, set, documents)?)));
        scored.collect::<Result<Vec<(&Entrant, Vec<Scored>)>, Failure>>()
    };
    let mut studied = Vec::new();
    let mut first = cast.generalists.len();
    for (region, local) in regions.iter().zip(&cast.locals) {
        if let Some(cheats) = &local.cheats {
            let all: Vec<_> = cheats
                .owners
                .iter()
                .chain([&cheats.copy, &cheats.codec])
                .collect();
            studied.push(Studied {
                name: &region.name,
                first,
                honest: scored(&everyone, &region.name, &region.documents)?,
                cheats: scored(&all, &region.name, &region.documents)?,
            });
        }
        first += local.specialists.len();
    }
    let codec = cast
        .locals
        .iter()
        .find_map(|local| local.cheats.as_ref())
        .map(|cheats| &cheats.codec);
    let with_codec: Vec<_> = everyone.iter().copied().chain(codec).collect();
    Ok(Stage {
        cast,
        studied,
        private: scored(&with_codec, "private", &codec::documents())?,
    })
}

/// Mean losses of the reference, of each region's own and of its cheats, on the owner's and on the others'
/// documents.
fn losses(stage: &Stage<'_>) {
    println!("NATS A BYTE: on the owner's documents, on the others'");
    for region in &stage.studied {
        print!("{:10}", region.name);
        let own = &region.honest[region.first..][..SPECIALISTS.len()];
        for (_, scored) in region.honest[..1].iter().chain(own).chain(&region.cheats) {
            let (owned, others) = scored.split_at(scored.len() / 2);
            let mean = |part: &[Scored]| {
                part.iter()
                    .map(|scored| scored.loss_nano as f64 / 1e9)
                    .sum::<f64>()
                    / part.len() as f64
            };
            print!("  {:.3} {:.3}", mean(owned), mean(others));
        }
        println!();
    }
}

fn print(name: &str, findings: &Findings) {
    let points = |spread: &Spread| format!("{:5.1} /{:5.1}", 100.0 * spread.mean, 100.0 * spread.worst);
    println!("{name}");
    for (kind, gain) in KINDS.iter().chain([&"codec"]).zip(&findings.gains) {
        println!("    gain, {kind:22} {}", points(gain));
    }
    for (size, gain) in &findings.crowds {
        println!("    gain, {size} models            {}", points(gain));
    }
    for (kind, lost) in KINDS.iter().zip(&findings.lost) {
        println!("    best honest loses, {kind:22} {}", points(lost));
    }
    let f = findings;
    println!("    copy earns {} of its victim's", points(&f.copied));
    println!(
        "    committed {:.3}, refused {:.3}, unpaid {:.3}, foreign {:.3}, models {:.1}",
        f.committed, f.refused, f.unpaid, f.foreign, f.models
    );
    println!("    specialists, the best first: {:.3?}", f.ranks);
    for (least, most) in [(0.0, 0.03), (0.03, 0.06), (0.06, 0.12), (0.12, 0.3)] {
        let found = f
            .pairs
            .iter()
            .filter(|(better, _)| (least..most).contains(better));
        let parts: Vec<f64> = found.map(|(_, part)| *part).collect();
        if parts.is_empty() {
            continue;
        }
        let mean = parts.iter().sum::<f64>() / parts.len() as f64;
        println!(
            "    {} pairs, {least} to {most} better: {mean:.3} of what the two earn",
            parts.len()
        );
    }
}
