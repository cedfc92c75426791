//! Globs, as a shell takes them: `*`, `?` and `[..]` within a name, `**` for folders below, and nothing that
//! begins with a dot unless the pattern's part does. `**` follows no links, so it ends.

use std::{
    fs,
    path::{Path, PathBuf},
};

use glob::Pattern;

use crate::{DataError, folder::entries};

/// One part of a pattern, between slashes.
enum Part<'a> {
    Literal(&'a str),
    Matching(Pattern),
    /// Any folders.
    Below,
}

/// Whether `text` is meant as a pattern, if nothing is called that.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// What matches, in the order of paths.
///
/// # Errors
/// A malformed pattern, or a folder that cannot be listed.
pub fn expand(pattern: &str) -> Result<Vec<PathBuf>, DataError> {
    let mut parts = Vec::new();
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        match part {
            "**" if matches!(parts.last(), Some(Part::Below)) => {}
            "**" => parts.push(Part::Below),
            part if is_pattern(part) => parts.push(Part::Matching(compiled(part, pattern)?)),
            part => parts.push(Part::Literal(part)),
        }
    }
    if matches!(parts.last(), Some(Part::Below)) {
        parts.push(Part::Matching(compiled("*", pattern)?));
    }
    let mut out = Vec::new();
    matching(
        Path::new(if pattern.starts_with('/') { "/" } else { "" }),
        &parts,
        &mut out,
    )?;
    out.sort();
    out.dedup();
    Ok(out)
}

fn compiled(part: &str, pattern: &str) -> Result<Pattern, DataError> {
    Pattern::new(part).map_err(|error| DataError::Glob {
        pattern: pattern.into(),
        problem: error.msg,
    })
}

/// Adds what matches `parts` below `folder`.
fn matching(folder: &Path, parts: &[Part<'_>], out: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let Some((part, rest)) = parts.split_first() else {
        out.push(folder.to_owned());
        return Ok(());
    };
    match part {
        Part::Literal(name) => {
            let path = folder.join(name);
            if fs::symlink_metadata(&path).is_ok() {
                matching(&path, rest, out)?;
            }
        }
        Part::Below => {
            matching(folder, rest, out)?;
            for entry in listed(folder)? {
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && !entry.file_name().as_encoded_bytes().starts_with(b".") {
                    matching(&folder.join(entry.file_name()), parts, out)?;
                }
            }
        }
        Part::Matching(pattern) => {
            for entry in listed(folder)? {
                let name = entry.file_name();
                let shown = name.to_string_lossy();
                let hidden = shown.starts_with('.') && !pattern.as_str().starts_with('.');
                let path = folder.join(&name);
                if !hidden && pattern.matches(&shown) && (rest.is_empty() || path.is_dir()) {
                    matching(&path, rest, out)?;
                }
            }
        }
    }
    Ok(())
}

/// A folder's entries; none of what is no folder.
fn listed(folder: &Path) -> Result<Vec<fs::DirEntry>, DataError> {
    let folder = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
    if folder.is_dir() {
        entries(folder)
    } else {
        Ok(Vec::new())
    }
}
