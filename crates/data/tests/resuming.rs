//! Documents one after the other: where they stop, they go on.

use std::{fs, io::Write as _, path::PathBuf};

use soma_data::{Cursor, DataError, Document, Documents, LeftOut, Place, Rules, Want};
use tempfile::TempDir;

fn corpus() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let lines = |from: usize, count: usize| {
        let lines = (from..from + count).map(|i| format!("{{\"text\":\"line {i}\",\"n\":{i}}}\n"));
        lines.collect::<String>().into_bytes()
    };
    let gzip = |bytes: &[u8]| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    };
    for (name, bytes) in [
        ("a.txt", b"first".to_vec()),
        ("b.jsonl", [lines(0, 3), b"\n\n".to_vec(), lines(3, 2)].concat()),
        ("c.jsonl.gz", gzip(&lines(10, 4))),
        ("d.jsonl.zst", zstd::encode_all(&lines(20, 3)[..], 1).unwrap()),
        ("e.png", b"\x89PNG\0".to_vec()),
        ("f/g.txt", b"last".to_vec()),
    ] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

fn open(dir: &TempDir, rules: &Rules) -> Documents {
    Documents::open(&[dir.path()], rules, None).unwrap()
}

fn all(documents: Documents) -> Vec<Document> {
    documents.map(Result::unwrap).collect()
}

/// Wherever a reading is stopped, also in the middle of a file and in a packed one, another goes on there.
#[test]
fn a_reading_goes_on_behind_its_last_document() {
    let dir = corpus();
    for rules in [
        Rules::default(),
        Rules {
            want: Want {
                filters: vec!["n>=1".parse().unwrap()],
                ..Want::default()
            },
            ..Rules::default()
        },
    ] {
        let expected = all(open(&dir, &rules));
        assert!(expected.len() > 10);
        for stop in 1..=expected.len() {
            let mut first = open(&dir, &rules);
            assert_eq!(first.cursor(), None);
            let begun: Vec<_> = first.by_ref().take(stop).map(Result::unwrap).collect();
            let text = first.cursor().unwrap().to_string();
            let cursor: Cursor = text.parse().unwrap();
            let rest = Documents::open_at(&[dir.path()], &rules, None, &cursor).unwrap();
            assert_eq!([begun, all(rest)].concat(), expected, "stopped at {text}");
        }
    }
}

#[test]
fn a_cursor_fits_its_sources_and_no_others() {
    let dir = corpus();
    let rules = Rules::default();
    let mut documents = open(&dir, &rules);
    documents.by_ref().take(2).for_each(drop);
    let cursor = documents.cursor().unwrap().clone();
    assert_eq!(cursor.place, Place::Line { byte: 24, lines: 1 });
    let at = |sources: &[PathBuf], rules: &Rules| Documents::open_at(sources, rules, None, &cursor);
    let here = [dir.path().to_owned()];
    let other = Rules {
        want: Want {
            column: Some("n".into()),
            ..Want::default()
        },
        ..Rules::default()
    };
    assert!(matches!(at(&here, &other), Err(DataError::OtherCursor)));
    assert!(matches!(
        at(&[dir.path().join("b.jsonl")], &rules),
        Err(DataError::OtherCursor)
    ));
    // How much is taken may differ from run to run.
    let more = Rules {
        take_bytes: Some(1),
        ..Rules::default()
    };
    assert_eq!(all(at(&here, &more).unwrap()).len(), 1);
    // What changes behind the back of a reading ends it, and names the file.
    fs::write(dir.path().join("b.jsonl"), "\"other\"\n").unwrap();
    let error = at(&here, &rules).unwrap().next().unwrap().unwrap_err();
    assert!(
        error.to_string().contains("b.jsonl` has changed since"),
        "{error}"
    );
    fs::remove_file(dir.path().join("b.jsonl")).unwrap();
    let error = at(&here, &rules).unwrap_err();
    assert!(
        error.to_string().contains("is no longer among the sources"),
        "{error}"
    );
}

#[test]
fn enough_is_enough() {
    let dir = corpus();
    let take = |bytes| {
        let rules = Rules {
            take_bytes: Some(bytes),
            ..Rules::default()
        };
        all(open(&dir, &rules)).len()
    };
    // "first" has 5 bytes, a line 6.
    assert_eq!(
        [take(0), take(1), take(5), take(6), take(11), take(12)],
        [0, 1, 1, 2, 2, 3]
    );
    assert_eq!(take(u64::MAX), all(open(&dir, &Rules::default())).len());
}

#[test]
fn what_came_before_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.jsonl"), "\"one\"\n\"two\"\n\"one\"\n").unwrap();
    fs::write(dir.path().join("b.txt"), "two").unwrap();
    let rules = Rules {
        unique: true,
        ..Rules::default()
    };
    let mut documents = open(&dir, &rules);
    let texts: Vec<_> = documents.by_ref().map(|d| d.unwrap().data).collect();
    assert_eq!(texts, [b"one", b"two"]);
    let left_out = &documents.report().left_out[&LeftOut::Duplicate];
    assert_eq!(left_out.count, 2);
    assert!(left_out.first[0].ends_with("a.jsonl:3"), "{left_out}");
    assert_eq!(all(open(&dir, &Rules::default())).len(), 4);
}

/// What fails ends the reading there; what came before has been given, and the cursor stands behind it.
#[test]
fn an_error_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    fs::write(&path, "\"one\"\n\"two\"\n{\"text\":3}\n\"four\"\n").unwrap();
    let mut documents = open(&dir, &Rules::default());
    assert_eq!(documents.by_ref().take(2).filter(Result::is_ok).count(), 2);
    let error = documents.next().unwrap().unwrap_err();
    assert!(error.to_string().contains("line 3"), "{error}");
    assert!(documents.next().is_none());
    assert_eq!(
        documents.cursor().unwrap().place,
        Place::Line { byte: 12, lines: 2 }
    );
}

/// Memory is that of a line, not of a file: a file of two gigabytes of one line each is read to its second
/// line.
#[test]
fn lines_are_read_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"\"one\"\n\"two\"\n").unwrap();
    file.set_len(1 << 40).unwrap();
    let rules = Rules {
        document_bytes_max: 1 << 20,
        bytes_max: u64::MAX,
        ..Rules::default()
    };
    let mut documents = open(&dir, &rules);
    assert_eq!(documents.by_ref().take(2).filter(Result::is_ok).count(), 2);
    let error = documents.next().unwrap().unwrap_err();
    assert!(matches!(error, DataError::TooLong { .. }), "{error}");
}
