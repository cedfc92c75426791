//! The model that looks at documents first.

use soma_client::Account;
use soma_model::Model;
use soma_types::Architecture;

use crate::{
    args::ScoutName,
    commands::{model::resolve, scoring::load_for_network},
    error::CliResult,
    printer::Printer,
};

/// The scout that was named; the network's genesis weights where none was, if there are any.
pub(super) async fn load(
    printer: Printer,
    account: &Account,
    name: Option<&ScoutName>,
) -> CliResult<Option<Model>> {
    let architecture = account.params().await?.architecture;
    match name {
        Some(ScoutName::None) => Ok(None),
        Some(ScoutName::File(path)) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || load_for_network(&path, &architecture));
            read.await?.map(Some)
        }
        Some(ScoutName::Model(model)) => {
            let model = resolve(account.node(), model).await?;
            let fetched = account.node().fetch_model(&model).await?;
            let read = tokio::task::spawn_blocking(move || {
                let plaintext = fetched.open()?;
                let size_bytes = plaintext.plaintext_bytes();
                CliResult::Ok(Model::read(plaintext, size_bytes, &architecture)?)
            });
            read.await?.map(Some)
        }
        None => match genesis(account, architecture).await {
            Ok(scout) => Ok(scout),
            Err(error) => {
                printer.note(format!(
                    "the network's genesis weights are no scout here, so all targets are tried: {error}"
                ));
                Ok(None)
            }
        },
    }
}

/// The network's genesis weights, if it names any.
async fn genesis(account: &Account, architecture: Architecture) -> CliResult<Option<Model>> {
    let Some(weights) = account.node().genesis().await?.weights else {
        return Ok(None);
    };
    let blob = account.node().content(&weights.hash).await?;
    let read =
        tokio::task::spawn_blocking(move || Model::read(blob.reader(), blob.size_bytes(), &architecture));
    Ok(Some(read.await??))
}
