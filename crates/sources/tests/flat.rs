//! Flat objects as tables, there and back.

mod common;

use std::{fs, io, path::Path};

use serde_json::json;
use soma_data::{DataError, Rules};
use soma_sources::{ColumnKind, Flat, FlatRows, write_flat};

const COLUMNS: [(&str, ColumnKind); 4] = [
    ("text", ColumnKind::Text),
    ("licence", ColumnKind::Text),
    ("id", ColumnKind::Number),
    ("loss_nano", ColumnKind::Number),
];

fn objects(count: u64) -> Vec<Flat> {
    let object = |index: u64| {
        let mut object = json!({"text": format!("text {index}\n\u{0}é"), "id": index, "loss_nano": i64::MAX});
        if index.is_multiple_of(3) {
            object["licence"] = json!("CC0");
        }
        object.as_object().unwrap().clone()
    };
    (0..count).map(object).collect()
}

fn write(objects: &[Flat]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_flat(&mut bytes, &COLUMNS, &mut objects.iter().cloned().map(Ok))?;
    Ok(bytes)
}

fn back(path: &Path) -> Result<Vec<Flat>, DataError> {
    FlatRows::open(path)?.collect()
}

/// Also where they fill several groups of rows, and where there are none.
#[test]
fn objects_come_back_and_the_reader_of_text_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    for count in [0, 1, 40_000] {
        let objects = objects(count);
        fs::write(&path, write(&objects).unwrap()).unwrap();
        assert!(back(&path).unwrap() == objects, "{count} objects");
    }
    let reading = common::get(path.to_str().unwrap()).unwrap();
    let documents = reading.dataset.documents();
    assert_eq!(documents.len(), 40_000);
    assert_eq!(documents[3].data, "text 3\n\u{0}é".as_bytes());
    let provenance = documents[3].origin.provenance.as_deref().unwrap();
    assert_eq!(
        (provenance.licence.as_deref(), provenance.id.as_deref()),
        (Some("CC0"), Some("3"))
    );
    let ours = Rules {
        want: soma_data::Want {
            filters: vec!["id>=39999".parse().unwrap()],
            ..Default::default()
        },
        ..Rules::default()
    };
    let reading = common::reading(&[path.to_str().unwrap()], &ours, common::settings()).unwrap();
    assert_eq!(reading.dataset.documents().len(), 1);
}

#[test]
fn what_fits_no_column_is_refused() {
    for bad in [
        json!({"text": "a", "other": 1}),
        json!({"text": 1}),
        json!({"id": "1"}),
        json!({"id": u64::MAX}),
        json!({"id": 1.5}),
        json!({"text": null}),
    ] {
        let bad = bad.as_object().unwrap().clone();
        let error = write(&[bad]).unwrap_err().to_string();
        assert!(error.contains("no column holds the field"), "{error}");
    }
    let mut gone = [Err(io::Error::other("gone"))].into_iter();
    let error = write_flat(&mut Vec::new(), &COLUMNS, &mut gone).unwrap_err();
    assert_eq!(error.to_string(), "gone");
}

/// Cut anywhere, or with any byte another: an error that names the file, or other objects; no panic.
#[test]
fn a_damaged_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let bytes = write(&objects(20)).unwrap();
    for length in (0..bytes.len()).step_by(7) {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = back(&path).unwrap_err();
        assert!(matches!(error, DataError::Table { .. }), "{length}: {error}");
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x55;
        fs::write(&path, &bytes).unwrap();
        if let Err(error) = back(&path) {
            assert!(error.to_string().contains("a.parquet"), "{at}: {error}");
        }
    }
    let gone = back(&folder.path().join("none"));
    assert!(matches!(gone, Err(DataError::Unreadable { .. })));
}
