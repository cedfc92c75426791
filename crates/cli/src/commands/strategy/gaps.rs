//! `soma gaps`: where models that win beat one's own, on the data they win.

use std::{fs, path::Path};

use serde::Serialize;
use soma_agents::{
    gaps::{Domain, Epochs, Gap, domains, measure, sort},
    winners::{data, winners},
};
use soma_files::{At as _, replace};
use soma_model::{LOSS_NONE, Scorer};
use soma_types::{ContentHash, Epoch, ModelId, Seed, TargetId, text::printable};

use crate::{
    args::GapsArgs,
    commands::{model::resolve, scoring::load_for_network},
    context::Context,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Printer, count, short, table},
};

/// Nano-nats in a nat.
const NANO: f64 = 1e9;

#[derive(Serialize)]
struct GapsOutput {
    gaps: Vec<GapOutput>,
    domains: Vec<DomainOutput>,
    /// Winners whose data the network does not keep any more.
    gone: u64,
}

#[derive(Serialize)]
struct GapOutput {
    target: TargetId,
    epoch: Epoch,
    winner: ModelId,
    data: ContentHash,
    size_bytes: u64,
    winner_loss_nano: u64,
    /// None for weights without a score.
    loss_nano: Option<u64>,
    gap_nano: Option<i64>,
    /// Where the data was written.
    file: Option<String>,
}

#[derive(Serialize)]
struct DomainOutput {
    model: ModelId,
    targets: u64,
    mean_gap_nats: f64,
}

/// `soma gaps`.
pub async fn gaps(printer: Printer, context: &Context, args: &GapsArgs, interrupt: &Interrupt) -> CliResult {
    let node = context.node()?;
    let own = match &args.model {
        Some(model) => Some(resolve(&node, model).await?),
        None => None,
    };
    let architecture = node.params().await?.architecture;
    let path = args.weights.clone();
    let model = tokio::task::spawn_blocking(move || load_for_network(&path, &architecture)).await??;
    let scorer = Scorer::new()?;
    let now = node.status().await?.epoch;
    let since = now.minus(args.epochs).unwrap_or_default();
    let found = winners(&node, since, args.limit as usize, |winner| {
        Some(winner.model) != own
    })
    .await?;
    let (mut measured, mut texts, mut gone) = (Vec::new(), Vec::new(), 0);
    let (mut epochs, mut seed): (_, Option<(Epoch, Seed)>) = (Epochs::default(), None);
    interrupt.hold();
    let stop = interrupt.flag();
    for winner in found {
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(CliError::interrupted());
        }
        let Some(bytes) = data(&node, &winner).await? else {
            gone += 1;
            continue;
        };
        let of_epoch = match seed {
            Some((epoch, seed)) if epoch == winner.epoch => seed,
            _ => node.epoch(Some(winner.epoch)).await?.state.seed,
        };
        seed = Some((winner.epoch, of_epoch));
        let directions = epochs.directions(winner.epoch, &of_epoch, &model);
        let gap = tokio::task::block_in_place(|| measure(scorer, &model, winner, &bytes, directions))?;
        if args.out.is_some() && gap.nano() > 0 {
            texts.push((gap.winner.hash, bytes));
        }
        measured.push(gap);
    }
    sort(&mut measured);
    if let Some(folder) = &args.out {
        write(folder, &texts)?;
    }
    let output = GapsOutput {
        domains: domains(&measured).into_iter().map(DomainOutput::from).collect(),
        gaps: measured
            .into_iter()
            .map(|gap| GapOutput::new(gap, args.out.as_deref()))
            .collect(),
        gone,
    };
    printer.show(&output, text)?;
    if output.gone > 0 {
        let gone = count(output.gone, "winner");
        printer.note(format!("The network does not keep the data of {gone} any more"));
    }
    if output.gaps.is_empty() {
        printer.note(format!(
            "Nothing was won by others since epoch {since}, or none of it is kept"
        ));
    } else if let Some(folder) = &args.out {
        let folder = printable(&folder.to_string_lossy()).into_owned();
        printer.note(format!("Wrote {} to {folder}", count(texts.len() as u64, "text")));
    }
    Ok(())
}

fn write(folder: &Path, texts: &[(ContentHash, Vec<u8>)]) -> CliResult {
    fs::create_dir_all(folder).at("create", folder)?;
    for (hash, bytes) in texts {
        replace(&folder.join(name(hash)), bytes)?;
    }
    Ok(())
}

fn name(hash: &ContentHash) -> String {
    format!("{}.txt", hash.to_string().trim_start_matches("0x"))
}

impl GapOutput {
    fn new(gap: Gap, folder: Option<&Path>) -> Self {
        let nano = gap.nano();
        let Gap { winner, mine_nano } = gap;
        let is_scored = mine_nano != LOSS_NONE;
        let file = folder
            .filter(|_| nano > 0)
            .map(|folder| folder.join(name(&winner.hash)));
        Self {
            target: winner.target,
            epoch: winner.epoch,
            winner: winner.model,
            data: winner.hash,
            size_bytes: winner.size_bytes,
            winner_loss_nano: winner.loss_nano,
            loss_nano: is_scored.then_some(mine_nano),
            gap_nano: i64::try_from(nano).ok().filter(|_| is_scored),
            file: file.map(|file| file.display().to_string()),
        }
    }
}

impl From<Domain> for DomainOutput {
    fn from(domain: Domain) -> Self {
        Self {
            model: domain.model,
            targets: domain.targets,
            mean_gap_nats: domain.mean_gap,
        }
    }
}

fn text(output: &GapsOutput) -> String {
    if output.gaps.is_empty() {
        return String::new();
    }
    let nats = |nano: u64| format!("{:.4}", nano as f64 / NANO);
    let rows = output.gaps.iter().map(|gap| {
        vec![
            short(gap.target),
            gap.epoch.to_string(),
            short(gap.winner),
            gap.size_bytes.to_string(),
            nats(gap.winner_loss_nano),
            gap.loss_nano.map_or("none".into(), nats),
            gap.gap_nano
                .map_or("all".into(), |gap| format!("{:+.4}", gap as f64 / NANO)),
        ]
    });
    let header = [
        "target", "epoch", "winner", "bytes", "its loss", "own loss", "gap",
    ];
    let all = table(&header, &["epoch", "bytes", "its loss", "own loss", "gap"], rows);
    let rows = output.domains.iter().map(|domain| {
        let mean = format!("{:+.4}", domain.mean_gap_nats);
        vec![short(domain.model), domain.targets.to_string(), mean]
    });
    let sums = table(&["winner", "targets", "mean gap"], &["targets", "mean gap"], rows);
    format!("{all}\n{sums}")
}
