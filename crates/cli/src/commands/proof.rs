//! `soma prove` and `soma verify`: what a node says, for those who do not believe it.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    time::{Duration, SystemTime},
};

use indicatif::HumanDuration;
use serde::Deserialize;
use soma_light::{
    key::NetworkKey,
    proof::{Proof, Proven, Refused},
    subject::{Held, Subject},
};
use soma_node::runtime::since_1970_ms;
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

/// Refuses a file with a proof where the key is missing by which it is checked.
pub fn require_key(args: &VerifyArgs) -> CliResult {
    let is_proof = args.network_key.is_none()
        && args.file != Path::new("-")
        && read(&args.file).is_ok_and(|text| bytes_of(&text).is_ok());
    if is_proof {
        return Err(CliError::usage(format!(
            "'{}' is a proof: give the network's key with --network-key",
            args.file.display()
        ))
        .hint("take it from whom you trust, not from the node that gave you the proof"));
    }
    Ok(())
}

/// `soma verify` of a proof. Asks nobody.
pub fn verify(printer: Printer, file: &Path, network_key: &NetworkKey) -> CliResult {
    let text =
        read(file).map_err(|error| CliError::new(format!("cannot read '{}': {error}", file.display())))?;
    let proof = Proof::decode(&bytes_of(&text)?)?;
    let proven = proof.verify(network_key).map_err(|refused| match refused {
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
    hex::decode(digits.strip_prefix("0x").unwrap_or(&digits)).map_err(|error| {
        CliError::new(format!("it is no proof in hex: {error}")).hint("give what `soma prove` prints")
    })
}

/// How long before `now_ms` a block was proposed, as its leader and this machine count time.
fn age(timestamp_ms: u64, now_ms: u64) -> String {
    match now_ms.checked_sub(timestamp_ms) {
        Some(ms) => format!(
            "{} ago by this machine's clock",
            HumanDuration(Duration::from_millis(ms))
        ),
        None => "later than this machine's clock says it is now".to_owned(),
    }
}

fn text_of(proven: &Proven) -> String {
    let subject = match proven.subject {
        Subject::Held(Held::Account(address)) => ("account", address.to_string()),
        Subject::Held(Held::Model(id)) => ("model", id.to_string()),
        Subject::Held(Held::Target(id)) => ("target", id.to_string()),
        Subject::Receipt(hash) => ("receipt of", hash.to_string()),
    };
    let was = match &proven.found {
        Some(found) => serde_json::to_string(found).expect("it has no map whose keys are not text"),
        None => "not there".to_owned(),
    };
    facts(&[
        subject,
        ("was", was),
        (
            "at height",
            format!(
                "{}, final; later ones may be, too: ask several nodes",
                proven.height
            ),
        ),
        (
            "proposed",
            age(proven.timestamp_ms, since_1970_ms(SystemTime::now())),
        ),
        ("block", proven.block.to_string()),
        ("chain", proven.chain.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_says_how_old_it_is() {
        let minute = 60_000;
        assert_eq!(
            age(5 * minute, 8 * minute),
            "3 minutes ago by this machine's clock"
        );
        assert_eq!(
            age(8 * minute, 8 * minute),
            "0 seconds ago by this machine's clock"
        );
        assert!(age(8 * minute + 1, 8 * minute).starts_with("later"));
    }

    #[test]
    fn a_proof_is_read_with_and_without_json() {
        for text in ["0xabcd", "abcd\n", r#"{"height": 9, "proof": "0xabcd"}"#] {
            assert_eq!(bytes_of(text).unwrap(), [0xab, 0xcd], "{text}");
        }
        for text in [
            "0x0xab",
            "0xabc",
            "0xzz",
            r#"{"height": 9}"#,
            r#"{"proof": 9}"#,
            "\u{ab}",
        ] {
            assert!(bytes_of(text).is_err(), "{text}");
        }
    }
}
