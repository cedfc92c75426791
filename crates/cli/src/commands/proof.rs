//! `soma prove` and `soma verify`: what a node says, for those who do not believe it.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::Deserialize;
use soma_light::{
    proof::{Proof, Proven, Refused},
    subject::{Held, Subject},
};
use soma_types::{Height, api::ProofView};

use super::{model, named::resolve_target};
use crate::{
    args::{ProveCommand, VerifyArgs},
    context::Context,
    error::{CliError, CliResult},
    printer::{Printer, facts},
};

/// Longest file of a proof, in bytes: more than the longest value and receipt take.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// `soma prove`.
pub async fn prove(printer: Printer, context: &Context, command: &ProveCommand) -> CliResult {
    let node = context.node()?;
    let (subject, height) = match command {
        ProveCommand::Account { account } => {
            let address = context.account_named(account.as_deref()).await?;
            (Subject::Held(Held::Account(address)), None)
        }
        ProveCommand::Model { model } => {
            let id = model::resolve(&node, model).await?;
            (Subject::Held(Held::Model(id)), None)
        }
        ProveCommand::Target { target } => {
            let id = resolve_target(&node, target).await?;
            (Subject::Held(Held::Target(id)), None)
        }
        ProveCommand::Receipt { transaction, height } => (Subject::Receipt(*transaction), height.map(Height)),
    };
    let proof = node.proof(&subject, height).await?;
    let proven = proof.finality.links.first();
    let view = ProofView {
        height: Height(proven.map_or(0, |link| link.header.height.get())),
        proof: format!("0x{}", hex::encode(proof.encoded())),
    };
    printer.show(&view, |view| view.proof.clone())
}

/// `soma verify`. Asks nobody.
pub fn verify(printer: Printer, args: &VerifyArgs) -> CliResult {
    let text = read(&args.file)
        .map_err(|error| CliError::new(format!("cannot read '{}': {error}", args.file.display())))?;
    let proof = Proof::decode(&bytes_of(&text)?)?;
    let proven = proof.verify(&args.network_key).map_err(|refused| match refused {
        Refused::Undecodable(_) => CliError::from(refused),
        refused => CliError::differs(refused),
    })?;
    printer.show(&proven, text_of)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = if path == Path::new("-") {
        io::stdin().take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?
    } else {
        File::open(path)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_string(&mut text)?
    };
    if length as u64 > FILE_BYTES_MAX {
        let reason = format!("it is longer than {FILE_BYTES_MAX} bytes, as no proof is");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(text)
}

/// What of `soma prove --json`, or of a node's answer, is of use here.
#[derive(Deserialize)]
struct Given {
    proof: String,
}

/// The proof in what `soma prove` prints, with or without `--json`.
fn bytes_of(text: &str) -> CliResult<Vec<u8>> {
    let text = text.trim();
    let given = serde_json::from_str(text).map(|Given { proof }| proof);
    let digits = given.unwrap_or_else(|_| text.to_owned());
    hex::decode(digits.trim_start_matches("0x")).map_err(|error| {
        CliError::new(format!("it is no proof in hex: {error}")).hint("give what `soma prove` prints")
    })
}

fn text_of(proven: &Proven) -> String {
    let subject = match proven.subject {
        Subject::Held(Held::Account(address)) => ("account", address.to_string()),
        Subject::Held(Held::Model(id)) => ("model", id.to_string()),
        Subject::Held(Held::Target(id)) => ("target", id.to_string()),
        Subject::Receipt(hash) => ("receipt of", hash.to_string()),
    };
    let found = proven.found.as_ref().map(serde_json::to_string);
    facts(&[
        subject,
        (
            "was",
            found.map_or_else(|| "not there".to_owned(), |found| found.unwrap_or_default()),
        ),
        ("at height", proven.height.to_string()),
        ("block", proven.block.to_string()),
        ("chain", proven.chain.to_string()),
    ])
}
