//! Nothing in the workspace writes a file by itself: `soma-files` does.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What makes, opens for writing or renames a file.
const WRITERS: [&str; 6] = [
    "fs::write(",
    "File::create",
    "fs::rename(",
    "fs::copy(",
    "OpenOptions",
    ".persist(",
];

/// Who may, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("files/src", "the one way itself"),
    ("cli/src/terminal.rs", "asks at the terminal"),
    ("cli/src/interfaces.rs", "is a test"),
    (
        "blobs/src/store",
        "streams blobs into a folder of its own, under the names that they hash to",
    ),
];

#[test]
fn no_other_crate_writes_files() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = Vec::new();
    for krate in fs::read_dir(&crates).unwrap() {
        collect(&krate.unwrap().path().join("src"), &mut sources);
    }
    assert!(sources.len() > 100, "only {} sources were found", sources.len());
    let mut found = Vec::new();
    for path in sources {
        let shown = path.strip_prefix(&crates).unwrap().to_str().unwrap().to_owned();
        let tests = shown.contains("/tests/") || shown.ends_with("/tests.rs");
        if tests || EXCEPTIONS.iter().any(|(exempt, _)| shown.starts_with(exempt)) {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        // Unit tests stand at a file's end.
        let code = source.split("#[cfg(test)]\nmod ").next().unwrap();
        for (index, line) in code.lines().enumerate() {
            let comment = line.trim_start().starts_with("//");
            if !comment && WRITERS.iter().any(|writer| line.contains(writer)) {
                found.push(format!("{shown}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    assert!(
        found.is_empty(),
        "write files with soma-files (`Output`, `replace`, `replace_private`):\n{}",
        found.join("\n")
    );
}

fn collect(folder: &Path, sources: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
}
