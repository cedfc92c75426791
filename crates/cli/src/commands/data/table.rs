//! Documents that won as rows of Parquet: the fields of their lines, a column each.

use std::{
    io::{self, Write},
    path::Path,
};

use soma_agents::won_data::{Format, Records};
use soma_client::WonDocument;
use soma_data::DataError;
use soma_sources::{ColumnKind, Flat, FlatRows, NamedColumn, write_flat};

/// The text last: a reader that takes few columns need not pass it.
const COLUMNS: [NamedColumn; 17] = [
    ("epoch", ColumnKind::Number),
    ("win", ColumnKind::Number),
    ("target", ColumnKind::Text),
    ("submission", ColumnKind::Text),
    ("submitter", ColumnKind::Text),
    ("model", ColumnKind::Text),
    ("loss_nano", ColumnKind::Number),
    ("cross_entropy_nano", ColumnKind::Number),
    ("dot_q30", ColumnKind::Number),
    ("size_bytes", ColumnKind::Number),
    ("hash", ColumnKind::Text),
    ("licence", ColumnKind::Text),
    ("source", ColumnKind::Text),
    ("url", ColumnKind::Text),
    ("id", ColumnKind::Text),
    ("base64", ColumnKind::Text),
    ("text", ColumnKind::Text),
];

/// A Parquet table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table;

impl Format for Table {
    fn ending(&self) -> &'static str {
        "parquet"
    }

    fn read(&self, path: &Path) -> io::Result<Records> {
        let rows = match FlatRows::open(path) {
            Err(error) => return sound(error).map(|()| Box::new(std::iter::once(Ok(None))) as Records),
            Ok(rows) => rows,
        };
        Ok(Box::new(rows.map(|row| match row {
            Ok(row) => Ok(document(&row)),
            Err(error) => sound(error).map(|()| None),
        })))
    }

    fn write(
        &self,
        file: &mut dyn Write,
        documents: &mut dyn Iterator<Item = io::Result<WonDocument>>,
    ) -> io::Result<()> {
        let mut rows = documents.map(|document| row(&document?));
        write_flat(file, &COLUMNS, &mut rows)
    }
}

/// The disk's error; none where the file is what is wrong.
fn sound(error: DataError) -> io::Result<()> {
    match error {
        DataError::Unreadable { error, .. } => Err(error),
        _ => Ok(()),
    }
}

fn row(document: &WonDocument) -> io::Result<Flat> {
    Ok(serde_json::from_str(&document.to_line())?)
}

/// The document that a row is, if it is what it says.
fn document(row: &Flat) -> Option<WonDocument> {
    let line = serde_json::to_string(row).ok()?;
    WonDocument::of_line(&line).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use soma_client::WonFacts;
    use soma_types::{Address, ContentHash, Epoch, ModelId, SubmissionId, TargetId, provenance::Provenance};

    use super::*;

    fn won(number: u8, data: &[u8], provenance: Provenance) -> WonDocument {
        WonDocument {
            facts: WonFacts {
                epoch: Epoch(7),
                win: 3,
                target: TargetId([1; 32]),
                submission: SubmissionId([number; 32]),
                submitter: Address([3; 32]),
                model: ModelId([4; 32]),
                loss_nano: 1_500_000_000,
                cross_entropy_nano: 1_400_000_000,
                dot_q30: -400_000_000,
                size_bytes: data.len() as u64,
                hash: ContentHash::of(data),
                provenance,
            },
            data: data.to_vec(),
        }
    }

    /// All of them, or none where one is damaged.
    fn read(path: &Path) -> Vec<Option<WonDocument>> {
        Table.read(path).unwrap().map(Result::unwrap).collect()
    }

    /// Whatever a line holds, a row does.
    #[test]
    fn documents_come_back_from_their_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("won.parquet");
        let told = Provenance {
            source: Some("hf://datasets/a/b@c".into()),
            licence: Some("CC0".into()),
            url: Some("https://example.org/1".into()),
            id: Some("1".into()),
        };
        let documents = [
            won(1, "zwei\nZeilen".as_bytes(), told),
            won(2, b"\xff\xfe", Provenance::default()),
        ];
        let mut bytes = Vec::new();
        Table
            .write(&mut bytes, &mut documents.iter().cloned().map(Ok))
            .unwrap();
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path), documents.clone().map(Some));

        // Other data under a row's hash, a file that is cut, and one that is no table.
        fs::write(&path, bytes.len().to_string()).unwrap();
        assert_eq!(read(&path), [None]);
        fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        assert_eq!(read(&path), [None]);
        let lie = WonDocument {
            data: b"other".to_vec(),
            ..documents[0].clone()
        };
        let mut bytes = Vec::new();
        Table.write(&mut bytes, &mut [Ok(lie)].into_iter()).unwrap();
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path), [None]);
        let gone = Table.read(&folder.path().join("none")).err().unwrap();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}
