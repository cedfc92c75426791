//! `soma weights`: encrypted and decrypted on this machine, without a network.

use std::{fs::File, io, path::Path};

use serde::Serialize;
use soma_blobs::{Blob, Decrypting, DecryptionKey, container::encrypt_stream};
use soma_files::{Output, read_bounded, remove, replace_private};
use soma_types::ContentHash;

use crate::{
    args::WeightsCommand,
    commands::{
        scoring::{shown, unreadable},
        vacant::vacant,
    },
    error::{CliError, CliResult},
    printer::{Printer, facts},
};

/// Longest file that is read as a key: 0x, 64 digits, and some space around them.
const KEY_BYTES_MAX: u64 = 256;

#[derive(Serialize)]
struct EncryptOutput {
    encrypted: String,
    key: String,
    hash: ContentHash,
    size_bytes: u64,
}

#[derive(Serialize)]
struct DecryptOutput {
    weights: String,
    size_bytes: u64,
}

/// `soma weights`. Blocks on the disk.
pub fn run(printer: Printer, command: &WeightsCommand) -> CliResult {
    match command {
        WeightsCommand::Encrypt { weights, out, key } => encrypt(printer, weights, out, key),
        WeightsCommand::Decrypt { encrypted, out, key } => decrypt(printer, encrypted, out, key),
    }
}

fn encrypt(printer: Printer, weights: &Path, out: &Path, key: &Path) -> CliResult {
    if out == key {
        return Err(CliError::usage("--out and --key are the same file"));
    }
    let mut source = File::open(weights).map_err(|error| unreadable(weights, &error))?;
    let metadata = source.metadata().map_err(|error| unreadable(weights, &error))?;
    let size_bytes = metadata.len();
    if !metadata.is_file() {
        return Err(CliError::new(format!(
            "{} is no file: write the weights to one first",
            shown(weights)
        )));
    }
    if size_bytes == 0 {
        return Err(CliError::new(format!(
            "{} is empty: there is nothing to encrypt",
            shown(weights)
        )));
    }
    let place = Output::check(out)?.with_room(size_bytes)?;
    for place in [&place, &Output::check(key)?] {
        // What is there may be committed to already, and could never be revealed then.
        if place.is_file() && place.path().exists() {
            return Err(CliError::new(format!("{} exists already", shown(place.path())))
                .hint("name another file, or remove it if nothing was committed with it"));
        }
    }
    let sealed = Blob::written(|writer| encrypt_stream(&mut source, size_bytes, writer));
    let (container, secret) =
        sealed.map_err(|error| CliError::new(format!("cannot encrypt {}: {error}", shown(weights))))?;
    let text = format!("{}\n", soma_types::DecryptionKey::from(&secret));
    replace_private(key, text.as_bytes())?;
    let written = place.write_with(|file| io::copy(&mut container.reader(), file).map(drop));
    if let Err(error) = written {
        // A key without a file is of no use, and would stand in the way of the next try.
        let _ = remove(key);
        return Err(error.into());
    }
    let output = EncryptOutput {
        encrypted: out.display().to_string(),
        key: key.display().to_string(),
        hash: container.hash(),
        size_bytes: container.size_bytes(),
    };
    printer.show(&output, |output| {
        facts(&[
            ("encrypted", shown(out)),
            ("key", shown(key)),
            ("hash", output.hash.to_string()),
            ("size", format!("{} bytes", output.size_bytes)),
        ])
    })
}

fn decrypt(printer: Printer, encrypted: &Path, out: &Path, key: &Path) -> CliResult {
    let source = File::open(encrypted).map_err(|error| unreadable(encrypted, &error))?;
    let size_bytes = source
        .metadata()
        .map_err(|error| unreadable(encrypted, &error))?
        .len();
    let place = vacant(out)?.with_room(size_bytes)?;
    let mut plaintext = Decrypting::new(source, size_bytes, &read_key(key)?)
        .map_err(|error| CliError::new(format!("{}: {error}", shown(encrypted))))?;
    let output = DecryptOutput {
        weights: out.display().to_string(),
        size_bytes: plaintext.plaintext_bytes(),
    };
    place.write_with(|file| io::copy(&mut plaintext, file).map(drop))?;
    printer.show(&output, |output| {
        format!("wrote {} ({} bytes)", shown(out), output.size_bytes)
    })
}

/// The key in a file. What the file holds is not repeated.
pub fn read_key(path: &Path) -> CliResult<DecryptionKey> {
    let no_key = || {
        CliError::new(format!("{} holds no key", shown(path)))
            .hint("a key is 0x and 64 hexadecimal digits, as `soma weights encrypt` writes it")
    };
    let bytes = read_bounded(path, KEY_BYTES_MAX)?
        .ok_or_else(|| CliError::new(format!("there is no {}", shown(path))))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| no_key())?;
    let key: soma_types::DecryptionKey = text.trim().parse().map_err(|_| no_key())?;
    Ok(key.into())
}
