//! Unit files that are checked in are what systemd takes.
#![cfg(target_os = "linux")]

use std::{ffi::OsStr, fs, io, path::Path, process::Command};

#[test]
fn units_are_what_systemd_takes() {
    let folder = tempfile::tempdir().unwrap();
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let mut paths = Vec::new();
    for entry in fs::read_dir(units).unwrap() {
        let entry = entry.unwrap();
        let is_unit = |kind: &OsStr| kind == "service" || kind == "timer";
        if !entry.path().extension().is_some_and(is_unit) {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        // The program is not installed where tests run.
        let text = text.replace("/usr/local/bin/soma ", concat!(env!("CARGO_BIN_EXE_soma"), " "));
        let path = folder.path().join(entry.file_name());
        fs::write(&path, text).unwrap();
        paths.push(path);
    }
    assert_eq!(paths.len(), 4);
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .args(&paths)
        .output();
    let output = match output {
        // A machine without systemd has no use for them.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        output => output.unwrap(),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("soma-")).collect();
    assert!(ours.is_empty(), "{said}");
}
