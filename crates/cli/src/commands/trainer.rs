//! `soma trainer run`: round after round, from wherever an earlier start was stopped.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use indicatif::ProgressBar;
use serde::Serialize;
use soma_agents::{
    Trainer,
    trainer::{Deed, Outcome, TrainerError, journal::Stage, settings::Settings, store::Store},
};
use soma_client::{Account, NodeClient};
use soma_data::DataError;
use soma_train::{Progress, TrainConfig};
use soma_types::{Epoch, ModelId, text::printable, transaction::BasisPoints};

use crate::{
    args::TrainerArgs,
    commands::{
        model::resolve,
        train::{BAR, read_weights, show},
    },
    context::Context,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::Printer,
    progress::Log,
};

/// After a failure that may pass; doubled up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A step that fails so often, although the network answers, does not come right by itself.
const FAILURES_MAX: u32 = 5;
/// Between two looks for an epoch.
const LOOK_EVERY: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct TrainerOutput {
    folder: String,
    model: Option<ModelId>,
    round: u64,
    /// What this start did.
    deeds: Vec<Deed>,
    due: Vec<Due>,
}

/// What is to be done, and when.
#[derive(Clone, Debug, Serialize)]
struct Due {
    what: &'static str,
    epoch: Epoch,
    /// About how long until then.
    in_seconds: u64,
}

/// `soma trainer run`.
pub async fn run(
    printer: Printer,
    context: &Context,
    args: &TrainerArgs,
    interrupt: &Interrupt,
) -> CliResult {
    let account = context.account_at(context.patient_node()?, &args.signer).await?;
    let store = Store::open(&args.folder)?;
    let settings = settings(&account, &store, args).await?;
    interrupt.hold();
    let (bar, log) = (
        printer.progress(1000, BAR).with_prefix("training"),
        Log::new(printer),
    );
    let shown = bar.clone();
    let watch = Arc::new(move |progress: &Progress| {
        show(&shown, progress);
        log.line(|_| {
            format!(
                "training: step {} of {}, {:.3} bits/byte",
                progress.step, progress.steps, progress.bits_per_byte
            )
        });
    });
    let trainer = Trainer::new(account.clone(), store, settings, watch, interrupt.flag()).await?;
    let trainer = trainer.reading(Arc::new(soma_sources::read));
    let mut run = Run {
        printer,
        account,
        trainer,
        bar,
        deeds: Vec::new(),
        folder: args.folder.clone(),
    };
    if args.once {
        run.once().await
    } else {
        run.on_and_on(interrupt).await
    }
}

/// A start.
struct Run {
    printer: Printer,
    account: Account,
    trainer: Trainer,
    bar: ProgressBar,
    deeds: Vec<Deed>,
    folder: PathBuf,
}

impl Run {
    /// Does what is due, and tells what is due when.
    async fn once(&mut self) -> CliResult {
        let mut failures = 0;
        loop {
            match self.trainer.step().await {
                Ok(Outcome::Waits(_)) => return self.tell().await,
                Ok(Outcome::Stopped) => {
                    self.tell().await?;
                    return Err(CliError::interrupted());
                }
                Ok(outcome) => {
                    failures = 0;
                    // Training may outlast epochs: what is due next then is the next start's.
                    if matches!(outcome, Outcome::Did(Deed::Began { .. })) {
                        self.trainer.rest();
                    }
                    self.note(outcome);
                }
                // An epoch that ended under way makes the ledger refuse what the next look at it puts right.
                Err(error) if may_pass(&error) && failures < FAILURES_MAX => {
                    failures += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Goes on until it is stopped.
    async fn on_and_on(&mut self, interrupt: &Interrupt) -> CliResult {
        let (mut failures, mut pause, mut told) = (0, PAUSE, String::new());
        loop {
            let wait = match self.trainer.step().await {
                Ok(Outcome::Stopped) => {
                    self.tell().await?;
                    return Err(CliError::interrupted());
                }
                Ok(Outcome::Waits(until)) => {
                    (failures, pause) = (0, PAUSE);
                    told.clear();
                    self.until(until).await
                }
                Ok(outcome) => {
                    (failures, pause) = (0, PAUSE);
                    self.note(outcome);
                    continue;
                }
                Err(error) => {
                    let passes = may_pass(&error);
                    failures += u32::from(!is_outside(&error));
                    let text = error.to_string();
                    if !passes || failures > FAILURES_MAX {
                        return Err(error.into());
                    }
                    if told != text {
                        self.bar
                            .suspend(|| self.printer.note(format!("{text}; trying again")));
                        told = text;
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                    pause
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = interrupt.wait() => {}
            }
        }
    }

    fn note(&mut self, outcome: Outcome) {
        if let Outcome::Did(deed) = outcome {
            self.bar.reset();
            self.bar.suspend(|| self.printer.note(deed.to_string()));
            self.deeds.push(deed);
        }
    }

    /// How long to sleep before the next look for an epoch.
    async fn until(&self, epoch: Epoch) -> Duration {
        let left = seconds_until(self.account.node(), epoch)
            .await
            .unwrap_or_default();
        Duration::from_secs(left / 2).clamp(Duration::from_millis(200), LOOK_EVERY)
    }

    /// Tells what was done, and what is due when.
    async fn tell(&mut self) -> CliResult {
        self.bar.finish_and_clear();
        let journal = self.trainer.journal();
        let mut due = Vec::new();
        let node = self.account.node();
        let mut reveal = None;
        if let (Some(model), Some(_)) = (journal.model, &journal.publishing)
            && let Ok(view) = node.model(&model).await
            && let Some(committed) = view.model.committed
        {
            reveal = Some(committed.epoch.next());
            due.extend(reveal.map(|epoch| ("reveal the committed weights", epoch)));
        }
        let now = node.status().await?.epoch;
        due.push(match journal.stage {
            Stage::Resting { until } => ("begin the next round", until),
            // One file of weights is on its way at a time.
            Stage::Ready { .. } => ("commit to the weights that are ready", reveal.unwrap_or(now)),
            _ => ("go on with the round", now),
        });
        let mut all = Vec::new();
        for (what, epoch) in due {
            all.push(Due {
                what,
                epoch,
                in_seconds: seconds_until(node, epoch).await.unwrap_or_default(),
            });
        }
        let output = TrainerOutput {
            folder: self.folder.display().to_string(),
            model: journal.model,
            round: journal.round,
            deeds: std::mem::take(&mut self.deeds),
            due: all,
        };
        self.printer.show(&output, text)
    }
}

/// Whether the same step may do better a moment later.
fn may_pass(error: &TrainerError) -> bool {
    is_outside(error) || matches!(error, TrainerError::Client(error) if error.rejection_code().is_some())
}

/// Whether the network is to blame, which may last: the node, or the way to text that lies elsewhere.
fn is_outside(error: &TrainerError) -> bool {
    match error {
        TrainerError::Client(error) => error.is_passing() || error.is_lost() || error.is_unknown(),
        TrainerError::Data(DataError::Unreadable { path, .. }) => soma_sources::is_elsewhere(path),
        _ => false,
    }
}

/// About how long it is until an epoch begins.
async fn seconds_until(node: &NodeClient, epoch: Epoch) -> CliResult<u64> {
    let status = node.status().await?;
    let Some(ahead) = epoch.0.checked_sub(status.epoch.0).filter(|ahead| *ahead > 0) else {
        return Ok(0);
    };
    let rest = (status.epoch_first_height.0 + status.epoch_length_blocks).saturating_sub(status.height.0);
    let blocks = rest + (ahead - 1) * status.epoch_length_blocks;
    let block_ms = node.params().await?.block_time_ms.max(status.block_ms.p50);
    Ok(blocks.saturating_mul(block_ms).div_ceil(1_000))
}

/// What was remembered, with what is given now.
async fn settings(account: &Account, store: &Store, args: &TrainerArgs) -> CliResult<Settings> {
    let before = store.settings()?;
    let architecture = account.params().await?.architecture;
    let model = match &args.model {
        Some(model) => Some(resolve(account.node(), model).await?),
        None => before.as_ref().and_then(|before| before.model),
    };
    let selection = &args.selection;
    let data = match (&before, args.data.is_empty()) {
        (Some(before), true) => before.data.clone(),
        (None, true) => {
            return Err(
                CliError::usage("nothing to train on: a trainer's first start needs --data SRC").hint(
                    "for example `soma trainer run trainer --data my-texts`; later starts need no options",
                ),
            );
        }
        (_, false) => {
            let data = absolute(&args.data)?;
            let (sources, rules) = (data.clone(), args.selection.rules());
            // Nothing is remembered that cannot be read.
            tokio::task::spawn_blocking(move || {
                soma_sources::documents(&sources, &rules, None)?
                    .next()
                    .transpose()
            })
            .await??;
            data
        }
    };
    let start = match &args.init {
        Some(path) => {
            let weights_bytes = 4 * architecture.parameters();
            let weights = read_weights(path, weights_bytes + soma_model::safetensors::HEADER_BYTES_MAX)?;
            soma_model::Model::from_bytes(&weights, &architecture)
                .map_err(|error| CliError::new(format!("{}: {error}", printable(&path.to_string_lossy()))))?;
            Some(store.put_weights(&weights)?)
        }
        None => before.as_ref().and_then(|before| before.start),
    };
    // Other text is read by other rules; the same text by the same, unless others are given.
    let kept = before.as_ref().filter(|_| args.data.is_empty());
    let (want, take_bytes) = match kept {
        Some(before) if selection.is_default() => (before.want.clone(), before.take_bytes),
        _ => {
            let rules = selection.rules();
            (rules.want, rules.take_bytes)
        }
    };
    let defaults = Settings {
        data,
        want,
        take_bytes,
        model,
        start,
        steps: TrainConfig::steps_for(architecture),
        learning_rate: None,
        seed: 1,
        targets: 50,
        gain: 0.001,
        follow_wins: 100,
        follow_epochs: 7,
        commission: BasisPoints::new(1_000)?,
        stake: None,
    };
    let before = before.unwrap_or_else(|| defaults.clone());
    let settings = Settings {
        steps: args.steps.unwrap_or(before.steps),
        learning_rate: args.learning_rate.or(before.learning_rate),
        seed: args.seed.unwrap_or(before.seed),
        targets: args.targets.map_or(before.targets, |targets| targets as usize),
        gain: args.gain.unwrap_or(before.gain),
        follow_wins: args.follow_wins.unwrap_or(before.follow_wins),
        follow_epochs: args.follow_epochs.unwrap_or(before.follow_epochs),
        commission: args.commission.map_or(Ok(before.commission), BasisPoints::new)?,
        stake: args.stake.or(before.stake),
        ..defaults
    };
    if !(0.0..1.0).contains(&settings.gain) {
        return Err(CliError::usage(format!(
            "--gain is {}, must be 0 to less than 1",
            settings.gain
        )));
    }
    let config = TrainConfig::new(architecture, settings.steps);
    TrainConfig {
        learning_rate: settings.learning_rate.unwrap_or(config.learning_rate),
        ..config
    }
    .check()
    .map_err(CliError::usage)?;
    Ok(settings)
}

/// A later start may be from elsewhere.
fn absolute(sources: &[PathBuf]) -> CliResult<Vec<PathBuf>> {
    let here = env::current_dir()?;
    let whole = |source: &PathBuf| {
        if source.as_path() == Path::new("-") {
            return Err(CliError::usage(
                "a trainer reads its text at every start: --data - is read only once",
            ));
        }
        // A file of that name comes before a data set of that name.
        let path = here.join(source);
        Ok(if soma_sources::is_elsewhere(source) && !path.exists() {
            source.clone()
        } else {
            path
        })
    };
    sources.iter().map(whole).collect()
}

fn text(output: &TrainerOutput) -> String {
    let mut text = String::new();
    if let Some(model) = output.model {
        text += &format!("model {model}, round {}\n", output.round);
    }
    if output.deeds.is_empty() {
        text += "nothing was due\n";
    }
    for due in &output.due {
        text += &match due.in_seconds {
            0 => format!("due now: {}\n", due.what),
            seconds => format!(
                "due in epoch {}, in about {}: {}\n",
                due.epoch,
                indicatif::HumanDuration(Duration::from_secs(seconds)),
                due.what
            ),
        };
    }
    text
}
