//! A short simulation: its checks hold, and the same seed gives the same bytes.

use std::{collections::BTreeMap, fs, path::Path};

use soma_sim::{Config, Report, Scope, economy, epochs_in_all};

fn simulate(config: Config, dir: &Path) -> Report {
    let mut ticks = 0;
    let output = economy(config, &mut |_| ticks += 1).unwrap();
    assert_eq!(
        ticks,
        epochs_in_all(config),
        "the progress bar ends where it should"
    );
    output.write(dir).unwrap();
    output.report
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (name(&entry), fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_report_and_its_checks_hold() {
    let config = Config {
        epochs: 24,
        seed: 7,
        scope: Scope::LongRunOnly,
    };
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let report = simulate(config, dirs[0].path());
    for check in &report.checks {
        assert!(check.passed, "{}: {}", check.name, check.detail);
    }
    simulate(config, dirs[1].path());
    let (first, second) = (files(dirs[0].path()), files(dirs[1].path()));
    assert_eq!(first.len(), report.files.len() + 1);
    assert!(first.contains_key("report.json"));
    assert_eq!(
        first.keys().collect::<Vec<_>>(),
        second.keys().collect::<Vec<_>>()
    );
    for (name, content) in &first {
        assert!(
            second[name] == *content,
            "{name} differs between two runs of one seed"
        );
    }
}
