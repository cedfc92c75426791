//! `soma train`: what is checked before the trainer runs, what is said meanwhile, and where its weights go.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use indicatif::{HumanDuration, ProgressBar};
use serde::Serialize;
use soma_data::{Dataset, Report, Rules};
use soma_files::{Output, sweep};
use soma_model::safetensors::HEADER_BYTES_MAX;
use soma_train::{Event, Progress, Stop, Teacher, TrainConfig, TrainError, Trained, distill, train};
use soma_types::text::printable;

use crate::{
    architecture,
    args::{Origin, TrainArgs},
    commands::model::resolve,
    context::Context,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Printer, count},
    progress::Log,
};

/// The look of a training run's bar.
pub const BAR: &str = "{prefix:<12} {bar:30} {msg}";

/// So much of its name keeps a file that is written elsewhere.
const RESCUED_NAME_CHARACTERS: usize = 50;

#[derive(Serialize)]
struct TrainOutput {
    /// Where the weights are; nowhere if none were made.
    weights: Option<String>,
    size_bytes: u64,
    steps: u64,
    bits_per_byte: Option<f64>,
    tokens_per_second: Option<f64>,
    finished: bool,
    data: Report,
}

/// `soma train`. `interrupt` ends the run after the pass in progress, with a checkpoint. `--out` is written
/// by a run that ends by itself; the weights of one that is stopped go beside it.
///
/// `start` are weights of the network's to start from; a teacher is a file of weights, and the part that the
/// student's own loss has.
pub fn run(
    printer: Printer,
    args: &TrainArgs,
    start: Option<Vec<u8>>,
    teacher: Option<(&PathBuf, f64)>,
    interrupt: &Interrupt,
) -> CliResult {
    let config = configure(args)?;
    let weights_bytes = 4 * config.architecture.parameters();
    let out = Output::check(&args.out)?;
    // A run that was killed while it wrote may have left what takes the room.
    sweep(args.out.parent().unwrap_or(Path::new(".")));
    let out = out.with_room(weights_bytes)?;
    let config = fit_into_memory(config, teacher.is_some())?;
    // Weights are no text, so those of an earlier run stay unread; text that they would replace is among the
    // inputs below.
    let rules = Rules {
        outputs: args.checkpoints.iter().cloned().collect(),
        unique: true,
        ..args.selection.rules()
    };
    let text = soma_sources::read(&args.data, &rules)?;
    printer.notes(&text.report.to_string());
    let out = apart_from_inputs(out, args, teacher.map(|(path, _)| path.as_path()), &text.dataset)?;
    let weights = |path: &Path| read_weights(path, weights_bytes + HEADER_BYTES_MAX);
    let init = match &args.init {
        Some(path) => Some(weights(path)?),
        None => start,
    };
    let taught = match teacher {
        Some((path, alpha)) => Some((weights(path)?, alpha)),
        None => None,
    };
    // Some of the memory is taken now.
    let config = fit_into_memory(config, teacher.is_some())?;
    interrupt.hold();
    let cancel = &*interrupt.flag();
    printer.note(plan(&config, &text.dataset));
    let mut narrator = Narrator::new(printer);
    let (init, watch) = (init.as_deref(), |event: Event<'_>| narrator.tell(&event));
    let trained = match &taught {
        Some((weights, alpha)) => {
            let (weights, alpha) = (weights.as_slice(), *alpha);
            distill(
                &config,
                &text.dataset,
                init,
                Teacher { weights, alpha },
                watch,
                cancel,
            )
        }
        None => train(&config, &text.dataset, init, watch, cancel),
    };
    let trained = trained.map_err(|error| explain(args, teacher.map(|(path, _)| path), error))?;
    narrator.bar.finish_and_clear();

    let wanted = match trained.stop {
        Stop::Steps | Stop::Time => Some(args.out.clone()),
        // There is nothing new, or no name to put more behind.
        Stop::Cancelled if trained.steps == 0 || !out.is_file() => None,
        Stop::Cancelled => Some(with_ending(&args.out, &format!(".step-{}", trained.steps))),
    };
    let place = match &wanted {
        Some(path) => Some(
            Output::check(path)
                .and_then(|place| place.write(&trained.weights).map(|()| place))
                .map_err(|error| rescue(args, &trained, &error))?,
        ),
        None => None,
    };
    let output = TrainOutput {
        weights: place.as_ref().map(|place| place.path().display().to_string()),
        size_bytes: trained.weights.len() as u64,
        steps: trained.steps,
        bits_per_byte: trained.last.map(|last| last.bits_per_byte),
        tokens_per_second: trained.last.map(|last| last.tokens_per_second),
        finished: trained.stop != Stop::Cancelled,
        data: text.report,
    };
    let sentence = |_: &TrainOutput| report(args, &trained, place.as_ref());
    if place.as_ref().is_some_and(Output::is_standard_output) {
        // The weights are there already.
        printer.note(sentence(&output));
    } else {
        printer.show(&output, sentence)?;
    }
    match trained.stop {
        Stop::Cancelled => Err(CliError::interrupted()),
        Stop::Steps | Stop::Time => Ok(()),
    }
}

/// The settings that were given, checked.
fn configure(args: &TrainArgs) -> CliResult<TrainConfig> {
    let architecture = architecture::parse(&args.arch)?;
    let steps = args.steps.unwrap_or(TrainConfig::steps_for(architecture));
    if steps == 0 && args.init.is_none() && args.checkpoints.is_none() {
        return Err(CliError::usage("--steps 0 trains nothing").hint(
            "it writes the weights of --init, or of a run's --checkpoints; give one of them, or more steps",
        ));
    }
    let config = args.settings.apply(TrainConfig {
        seed: args.seed,
        checkpoint_dir: args.checkpoints.clone(),
        ..TrainConfig::new(architecture, steps)
    });
    config.check().map_err(|error| match error {
        TrainError::Setting {
            setting,
            value,
            range,
            // The others are no options.
        } if setting != "max_seq_len" => CliError::usage(format!(
            "--{} is {value}, must be {range}",
            setting.replace('_', "-")
        )),
        error => error.into(),
    })?;
    Ok(config)
}

/// With as many threads as there is memory for, beside a teacher if there is one.
fn fit_into_memory(config: TrainConfig, is_taught: bool) -> CliResult<TrainConfig> {
    let teacher = |config: &TrainConfig, threads| {
        if is_taught {
            config.teacher_bytes(threads)
        } else {
            0
        }
    };
    config.fitted_beside(teacher).map_err(|shortage| {
        CliError::new(format!("there is not enough memory to train this: {shortage}"))
            .hint("a smaller --batch-size or --arch needs less")
    })
}

/// The network's weights that `--from` names, if it does.
pub async fn start(context: &Context, args: &TrainArgs) -> CliResult<Option<Vec<u8>>> {
    let Some(origin) = &args.from else { return Ok(None) };
    let node = context.node()?;
    let architecture = node.params().await?.architecture;
    if architecture != architecture::parse(&args.arch)? {
        return Err(
            CliError::usage("the network's weights are of another architecture than --arch")
                .hint("`soma params --json` shows the network's, for a file that --arch takes"),
        );
    }
    let mut weights = Vec::new();
    match origin {
        Origin::Genesis => node.fetch_genesis().await?.reader().read_to_end(&mut weights)?,
        Origin::Model(model) => {
            let model = resolve(&node, model).await?;
            node.fetch_model(&model)
                .await?
                .open()?
                .read_to_end(&mut weights)?
        }
    };
    Ok(Some(weights))
}

fn apart_from_inputs(
    out: Output,
    args: &TrainArgs,
    teacher: Option<&Path>,
    text: &Dataset,
) -> CliResult<Output> {
    let members = text.documents().iter().map(|document| &*document.origin.file);
    let others = [Path::new(&args.arch)].into_iter().chain(args.init.as_deref());
    let others = others.chain(teacher);
    Ok(out.apart_from(members.chain(others))?)
}

/// A file of weights, if it is no longer than such a file can be.
pub fn read_weights(path: &Path, length_bytes_max: u64) -> CliResult<Vec<u8>> {
    let shown = printable(&path.to_string_lossy()).into_owned();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(length_bytes_max + 1).read_to_end(&mut bytes))
        .map_err(|error| CliError::new(format!("cannot read {shown}: {error}")))?;
    if bytes.len() as u64 > length_bytes_max {
        let most = ByteSize(length_bytes_max);
        return Err(CliError::new(format!(
            "{shown} is longer than any weights of this architecture ({most})"
        ))
        .hint("see --arch"));
    }
    Ok(bytes)
}

/// What is about to be done, and what it takes.
fn plan(config: &TrainConfig, text: &Dataset) -> String {
    let threads = config.thread_count();
    format!(
        "Training {} weights on {} of text: {} of {} x {} chunks, learning rate {} ({}), \
         {}, up to {} of memory",
        config.architecture.parameters(),
        ByteSize(text.size_bytes()),
        count(config.steps, "step"),
        config.grad_accum,
        config.batch_size,
        config.learning_rate,
        config.schedule,
        count(threads as u64, "thread"),
        ByteSize(config.memory_bytes(threads)),
    )
}

/// A path with more at the end of its name.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Puts weights that could not be written where they were wanted somewhere else, and says where.
fn rescue(args: &TrainArgs, trained: &Trained, error: &soma_files::FileError) -> CliError {
    let name = args.out.file_name().unwrap_or_default().to_string_lossy();
    // Short enough for every disk.
    let name: String = name.chars().take(RESCUED_NAME_CHARACTERS).collect();
    let folders = [
        args.checkpoints.clone(),
        Some(PathBuf::from(".")),
        std::env::home_dir(),
        Some(std::env::temp_dir()),
    ];
    for folder in folders.into_iter().flatten() {
        let path = folder.join(format!("{name}.rescued-{}", std::process::id()));
        if !path.exists()
            && let Ok(place) = Output::check(&path)
            && place.write(&trained.weights).is_ok()
        {
            let shown = printable(&path.to_string_lossy()).into_owned();
            return CliError::new(format!("{error}; the weights are in {shown} instead"));
        }
    }
    let failed = CliError::new(format!("{error}, and neither can any other place that was tried"));
    match &args.checkpoints {
        Some(folder) => failed.hint(format!(
            "the checkpoint in {} may have them: make room, and run the same command again",
            printable(&folder.to_string_lossy())
        )),
        None => failed,
    }
}

/// What was done, for people.
fn report(args: &TrainArgs, trained: &Trained, place: Option<&Output>) -> String {
    let shown = |path: &Path| printable(&path.to_string_lossy()).into_owned();
    let out = shown(&args.out);
    let steps = count(trained.steps, "step");
    let mut text = match (trained.stop, place) {
        (Stop::Cancelled, Some(place)) => format!(
            "stopped after {steps}, whose weights are in {}; {out} is left as it was",
            shown(place.path())
        ),
        (Stop::Cancelled, None) => format!("stopped after {steps}; no weights were written"),
        (Stop::Steps | Stop::Time, _) => format!("wrote {out} after {steps}"),
    };
    if let Some(last) = &trained.last {
        text += &format!("; {}", describe(last));
    } else if trained.steps > 0 {
        text += "; its checkpoint held them all, and nothing was left to do";
    }
    if trained.stop == Stop::Cancelled && args.checkpoints.is_some() {
        text += "\nthe same command goes on from there";
    }
    text
}

/// The trainer's errors, with the file or the option that they are about.
fn explain(args: &TrainArgs, teacher: Option<&PathBuf>, error: TrainError) -> CliError {
    let shown = |path: &PathBuf| printable(&path.to_string_lossy()).into_owned();
    let init = args.init.as_ref().map(shown);
    match (error, init) {
        (TrainError::Teacher(error), _) => {
            CliError::new(format!("{}: {error}", teacher.map(shown).unwrap_or_default())).hint(
                "the teacher's file must be safetensors of exactly the student's architecture; see --arch",
            )
        }
        (error @ TrainError::Overflow { .. }, Some(init)) => {
            CliError::new(format!("{init}: {error}")).hint("start from other weights, or from none")
        }
        (TrainError::Weights(error), Some(init)) => CliError::new(format!("{init}: {error}"))
            .hint("the file must be safetensors of exactly this architecture; see --arch"),
        (error @ TrainError::Diverged { learning_rate, .. }, _) => {
            CliError::new(error).hint(format!("try --learning-rate {}", learning_rate / 10.0))
        }
        (error @ TrainError::Beyond { done, .. }, _) => CliError::new(error).hint(format!(
            "--steps {done} writes the weights that it holds, and more go on from them"
        )),
        (error, _) => error.into(),
    }
}

/// Says how a run goes: a bar on a terminal, lines elsewhere.
struct Narrator {
    printer: Printer,
    bar: ProgressBar,
    log: Log,
    /// The share that was done when this process took up the run.
    done_before: Option<f64>,
    saved_at: Option<u64>,
    /// A full disk stays full for a while: it is said once.
    is_warned: bool,
}

impl Narrator {
    fn new(printer: Printer) -> Self {
        Self {
            printer,
            bar: printer.progress(1000, BAR).with_prefix("training"),
            log: Log::new(printer),
            done_before: None,
            saved_at: None,
            is_warned: false,
        }
    }

    fn tell(&mut self, event: &Event<'_>) {
        match event {
            Event::Resumed { step } => self.say(&format!("Going on from the checkpoint's step {step}")),
            Event::Saved { step } => {
                self.saved_at = Some(*step);
                self.is_warned = false;
            }
            Event::Unsaved { step, error } => {
                if !self.is_warned {
                    self.is_warned = true;
                    self.say(&format!(
                        "warning: no checkpoint at step {step}: {error}; the run goes on, and tries again at the next"
                    ));
                }
            }
            Event::Updated(progress) => {
                show(&self.bar, progress);
                let before = *self
                    .done_before
                    .get_or_insert(progress.done - 1.0 / progress.steps.max(1) as f64);
                self.log.line(|spent| self.line(progress, spent, before));
            }
        }
    }

    fn line(&self, progress: &Progress, spent: Duration, before: f64) -> String {
        let mut line = format!("{} of {}", describe(progress), progress.steps);
        if progress.done < 1.0 && progress.done > before {
            let left = spent.mul_f64((1.0 - progress.done) / (progress.done - before));
            line += &format!(", {} left", HumanDuration(left));
        }
        if let Some(step) = self.saved_at {
            line += &format!(", saved at step {step}");
        }
        line
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| self.printer.note(text));
    }
}

/// Moves a bar to where the run is.
pub fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_position((progress.done * 1000.0) as u64);
    bar.set_message(describe(progress));
}

fn describe(progress: &Progress) -> String {
    let imitation = if progress.imitation > 0.0 {
        format!(", {:.4} from the teacher", progress.imitation)
    } else {
        String::new()
    };
    format!(
        "{:.3} bits/byte, SIGReg {:.3}{imitation}, {:.0} tokens/s, step {}",
        progress.bits_per_byte, progress.sigreg, progress.tokens_per_second, progress.step
    )
}
