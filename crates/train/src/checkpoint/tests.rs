use super::*;

const SMALL: Architecture = Architecture {
    embedding_dim: 4,
    heads: 1,
    layers: 1,
    ffn_dim: 4,
    max_seq_len: 4,
    rope_wavelength: 10,
};

fn run(seed: &str) -> Vec<(String, String)> {
    [("seed", seed), ("the data", "5 bytes")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn example() -> Checkpoint {
    let weights = Weights::fresh(&SMALL, 3);
    let mut moments = Moments::new(&weights);
    moments.step = 17;
    moments.first.values_mut().flatten().for_each(|x| *x = 0.25);
    Checkpoint {
        run: run("1"),
        elapsed: Duration::from_millis(1234),
        weights,
        moments,
    }
}

fn error(folder: &Path) -> CheckpointError {
    Checkpoint::load(folder, &SMALL, &run("1")).unwrap_err()
}

#[test]
fn a_checkpoint_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new");
    let load = || Checkpoint::load(&folder, &SMALL, &run("1")).unwrap();
    assert_eq!(load(), None);
    example().save(&SMALL, &folder).unwrap();
    assert_eq!(load(), Some(example()));
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        1,
        "no temporary file stays"
    );
}

#[test]
fn a_checkpoint_of_another_run_says_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    example().save(&SMALL, dir.path()).unwrap();
    let other = Checkpoint::load(dir.path(), &SMALL, &run("2")).unwrap_err();
    let text = other.to_string();
    assert!(text.contains("of another run: seed was 1, and is 2;"), "{text}");
    assert!(!text.contains("the data") && !text.contains("damaged"), "{text}");
    // Another architecture is found in the head, however many tensors follow.
    let wider = Architecture { ffn_dim: 8, ..SMALL };
    let mut facts = run("1");
    facts.push(("ffn_dim".into(), "8".into()));
    let text = Checkpoint::load(dir.path(), &wider, &facts)
        .unwrap_err()
        .to_string();
    assert!(text.contains("ffn_dim is 8"), "{text}");
    let mut forged = example();
    forged.run[0].1 = "1\u{1b}[2J".into();
    forged.save(&SMALL, dir.path()).unwrap();
    let text = error(dir.path()).to_string();
    assert!(!text.contains('\u{1b}') && text.contains("\\u{1b}"), "{text}");
}

#[test]
fn damage_is_found_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    example().save(&SMALL, dir.path()).unwrap();
    let path = dir.path().join(FILE_NAME);
    let bytes = fs::read(&path).unwrap();
    for cut in [0, 4, 16, 20, 60, 200, bytes.len() - 1] {
        fs::write(&path, &bytes[..cut]).unwrap();
        assert!(
            matches!(error(dir.path()), CheckpointError::Damaged { .. }),
            "cut at {cut}"
        );
    }
    fs::write(&path, [&bytes[..], b"more"].concat()).unwrap();
    assert!(matches!(error(dir.path()), CheckpointError::Damaged { .. }));
    for at in (0..bytes.len()).step_by(7) {
        let mut bad = bytes.clone();
        bad[at] ^= 0x41;
        fs::write(&path, &bad).unwrap();
        let found = Checkpoint::load(dir.path(), &SMALL, &run("1"));
        let error = found.expect_err("a byte was changed");
        assert!(
            !matches!(error, CheckpointError::OtherRun { .. }),
            "byte {at}: {error}"
        );
    }
    // A head that claims to be endless is not waited for.
    let mut bad = bytes.clone();
    bad[12..16].fill(0xff);
    fs::write(&path, &bad).unwrap();
    assert!(error(dir.path()).to_string().contains("claims 4294967295 bytes"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(error(dir.path()).to_string().contains("no regular file"));
}

#[test]
fn other_formats_are_not_called_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let content = b"what the first format held";
    fs::write(&path, [blake3::hash(content).as_bytes(), &content[..]].concat()).unwrap();
    assert!(matches!(
        error(dir.path()),
        CheckpointError::Version { found: 1, .. }
    ));
    example().save(&SMALL, dir.path()).unwrap();
    let mut later = fs::read(&path).unwrap();
    later[8] = 9;
    fs::write(&path, later).unwrap();
    assert!(matches!(
        error(dir.path()),
        CheckpointError::Version { found: 9, .. }
    ));
}

#[test]
fn a_disk_that_refuses_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    fs::write(&file, b"").unwrap();
    let error = example().save(&SMALL, &file.join("below")).unwrap_err();
    assert_eq!(error.path, file.join("below"));
}
