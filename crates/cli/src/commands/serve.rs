//! `soma serve`: models at work behind OpenAI's interface.
//!
//! With `--follow` they are the network's: at each boundary the epoch's global model is brought home and
//! takes over, while texts in hand are written to their end. Models that stay are not loaded again. Where an
//! epoch's cannot be had, those that are there serve on.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use soma_client::NodeClient;
use soma_model::{Scorer, Sequence};
use soma_serving::{Expert, Models, Serving, engine::AT_ONCE, server};
use soma_types::{Architecture, ContentHash, Epoch, text::printable};

use super::{
    global::{bring, forget_outgrown, taken_home},
    whole::{files, hash, load, require, require_some},
};
use crate::{
    args::{ServeModelsArgs, WholeArgs},
    context::Context,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Printer, count},
};

/// Until what failed is tried again.
const PAUSE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct ServeOutput {
    url: String,
    models: Vec<String>,
    /// BLAKE3 of the models' files; the whole, which is first, has none of its own.
    weights: Vec<ContentHash>,
    epoch: Option<Epoch>,
    backend: String,
}

/// `soma serve`.
pub async fn run(
    printer: Printer,
    context: &Context,
    args: &ServeModelsArgs,
    interrupt: &Interrupt,
) -> CliResult {
    let followed = args.models.folder.as_ref().filter(|_| args.follow);
    let node = match followed {
        Some(folder) => {
            let node = context.patient_node()?;
            // What is there serves, until what the network has now takes over.
            if taken_home(folder).is_err() {
                bring(printer, &node, folder).await?;
            }
            Some(node)
        }
        None => None,
    };
    let serving = Serving::new(loaded(printer, &args.models, None).await?);
    let listener = soma_http::listen(args.listen)?;
    let models = serving.current().models;
    let output = ServeOutput {
        url: format!("http://{}/v1", listener.local_addr()?),
        models: models.names().map(str::to_owned).collect(),
        weights: models.experts().iter().map(|expert| expert.weights).collect(),
        epoch: models.epoch(),
        backend: models.scorer().simd().to_string(),
    };
    drop(models);
    printer.show(&output, |output| {
        format!(
            "Serving {} at {}",
            printable(&output.models.join(", ")),
            output.url
        )
    })?;
    interrupt.hold();
    let interrupt = interrupt.clone();
    let served = server::serve(listener, serving.clone(), async move { interrupt.wait().await });
    match (node, followed) {
        (Some(node), Some(folder)) => tokio::select! {
            served = served => served?,
            never = follow(printer, &node, &args.models, folder, &serving) => match never {},
        },
        _ => served.await?,
    }
    printer.note("Stopped.");
    Ok(())
}

/// Has each epoch's global model take over.
async fn follow(
    printer: Printer,
    node: &NodeClient,
    args: &WholeArgs,
    folder: &Path,
    serving: &Serving,
) -> Infallible {
    let mut told = String::new();
    loop {
        let current = serving.current().models;
        let next = current.epoch().map_or(Epoch(0), Epoch::next);
        let taken_over = async {
            node.wait_for_epoch(next, Duration::MAX).await?;
            bring(printer, node, folder).await?;
            let models = loaded(printer, args, Some(current)).await?;
            let (epoch, experts) = (models.epoch(), models.experts().len() as u64);
            serving.change_over(models);
            forget_outgrown(folder)?;
            Ok::<_, CliError>((epoch, experts))
        };
        match taken_over.await {
            Ok((epoch, experts)) => {
                told.clear();
                let epoch = epoch.unwrap_or(next);
                printer.note(format!("serving {} of epoch {epoch}", count(experts, "model")));
            }
            Err(error) => {
                let text = error.to_string();
                if told != text {
                    printer.note(format!("the models that are here serve on: {text}"));
                }
                told = text;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// What is to be served.
struct Wanted {
    architecture: Architecture,
    epoch: Option<Epoch>,
    named: Vec<Named>,
}

/// A model that is to be served.
struct Named {
    name: String,
    path: PathBuf,
    stake: u64,
}

impl Wanted {
    fn of(args: &WholeArgs) -> CliResult<Self> {
        let Some(folder) = &args.folder else {
            let (architecture, given) = files(args)?;
            let name = |path: &Path| {
                path.file_stem()
                    .unwrap_or(path.as_os_str())
                    .to_string_lossy()
                    .into_owned()
            };
            let named = given.into_iter().map(|(path, stake)| Named {
                name: name(&path),
                path,
                stake,
            });
            return Ok(Self {
                architecture,
                epoch: None,
                named: named.collect(),
            });
        };
        let home = taken_home(folder)?;
        require_some(home.models.iter().map(|model| &model.path))?;
        let named = home.models.into_iter().map(|model| Named {
            name: model.model.to_string(),
            path: model.path,
            stake: model.stake.0,
        });
        Ok(Self {
            architecture: home.architecture,
            epoch: Some(home.epoch),
            named: named.collect(),
        })
    }
}

/// What is to be served, in memory; of `earlier` what is the same.
async fn loaded(printer: Printer, args: &WholeArgs, earlier: Option<Arc<Models>>) -> CliResult<Models> {
    let args = args.clone();
    tokio::task::spawn_blocking(move || load_all(printer, &args, earlier.as_deref())).await?
}

fn load_all(printer: Printer, args: &WholeArgs, earlier: Option<&Models>) -> CliResult<Models> {
    let Wanted {
        architecture,
        epoch,
        named,
    } = Wanted::of(args)?;
    let mut hashed = Vec::with_capacity(named.len());
    for model in named {
        hashed.push((hash(&model.path, &architecture)?, model));
    }
    let known = |weights: &ContentHash| {
        let mut experts = earlier?.experts().iter();
        let expert = experts.find(|expert| expert.weights == *weights)?;
        (*expert.model.architecture() == architecture).then(|| Arc::clone(&expert.model))
    };
    let new: Vec<(PathBuf, u64)> = hashed
        .iter()
        .filter(|(weights, _)| known(weights).is_none())
        .map(|(_, model)| (model.path.clone(), model.stake))
        .collect();
    // Texts in hand keep theirs while others are begun with what takes over.
    let each = hashed.len().div_ceil(new.len().max(1)) * AT_ONCE;
    let kept = |architecture: &_| Sequence::memory_bytes_max(architecture).saturating_mul(each as u64);
    require(printer, &architecture, &new, kept, |_| 1)?;
    let mut experts = Vec::with_capacity(hashed.len());
    for (weights, Named { name, path, stake }) in hashed {
        let model = match known(&weights) {
            Some(model) => model,
            None => Arc::new(load(&path, weights, &architecture)?),
        };
        experts.push(Expert {
            name,
            weights,
            stake,
            model,
        });
    }
    Ok(Models::new(Scorer::new()?, experts, epoch)?)
}
