//! Parquet files, sound and otherwise.

mod common;

use std::fs;

use common::{encoded, open, parquet, parquet_as, settings, text, texts};
use parquet::{
    basic::{Compression, Encoding},
    file::properties::{WriterProperties, WriterVersion},
};
use soma_data::{DataError, LeftOut, Reading, Rules, Want};

fn read(bytes: &[u8], want: Want) -> Result<Reading, DataError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    fs::write(&path, bytes).unwrap();
    let rules = Rules {
        want,
        ..Rules::default()
    };
    common::reading(&[path.to_str().unwrap()], &rules, settings())
}

fn want(column: Option<&str>, filters: &[&str]) -> Want {
    Want {
        column: column.map(str::to_owned),
        filters: filters.iter().map(|filter| filter.parse().unwrap()).collect(),
        ..Want::default()
    }
}

fn expected(count: usize, of: impl Fn(usize) -> bool) -> Vec<String> {
    (0..count)
        .filter(|index| index % 10 != 9 && of(*index))
        .map(text)
        .collect()
}

#[test]
fn every_packing_and_encoding_gives_the_same_texts() {
    let mut files = vec![
        parquet(250, 100, Compression::UNCOMPRESSED),
        parquet(250, 100, Compression::SNAPPY),
        parquet(250, 100, Compression::ZSTD(Default::default())),
        parquet(250, 100, Compression::GZIP(Default::default())),
        parquet(250, 100, Compression::LZ4_RAW),
        parquet(250, 1, Compression::SNAPPY),
        parquet_as(
            250,
            100,
            WriterProperties::builder()
                .set_writer_version(WriterVersion::PARQUET_2_0)
                .build(),
        ),
        parquet_as(
            250,
            250,
            WriterProperties::builder()
                .set_data_page_row_count_limit(7)
                .set_write_batch_size(7)
                .build(),
        ),
    ];
    for encoding in [
        Encoding::PLAIN,
        Encoding::DELTA_LENGTH_BYTE_ARRAY,
        Encoding::DELTA_BYTE_ARRAY,
    ] {
        // Numbers have other encodings: those of texts alone are set.
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_column_encoding("text".into(), encoding);
        files.push(parquet_as(250, 100, properties.build()));
    }
    for bytes in files {
        let reading = read(&bytes, Want::default()).unwrap();
        assert_eq!(texts(&reading), expected(250, |_| true));
        assert_eq!(reading.report.left_out[&LeftOut::NoTextInLine].count, 25);
        let last = reading.dataset.documents().last().unwrap();
        assert!(
            last.origin.to_string().ends_with("t.parquet:249"),
            "{}",
            last.origin
        );
        let provenance = last.origin.provenance.as_ref().unwrap();
        assert_eq!(provenance.id.as_deref(), Some("id-248"));
        assert_eq!(provenance.url.as_deref(), Some("http://a/248"));
    }
}

/// A file is not called damaged for what is lacking here.
#[test]
fn a_packing_that_is_not_read_is_named() {
    let bytes = parquet(250, 100, Compression::SNAPPY);
    // In the footer: the column's path, then its codec, in Thrift's zigzag.
    let named = b"\x18\x04text\x15\x02\x16";
    for (codec, name) in [(4, "Brotli"), (3, "LZO")] {
        let mut bytes = bytes.clone();
        let places: Vec<usize> = (0..bytes.len() - named.len())
            .filter(|at| bytes[*at..].starts_with(named))
            .collect();
        assert!(!places.is_empty());
        for at in places {
            bytes[at + named.len() - 2] = 2 * codec;
        }
        let error = read(&bytes, Want::default()).unwrap_err().to_string();
        let says = |part: &str| assert!(error.contains(part), "{error}");
        says(name);
        says("is not read: pack it with zstd");
        assert!(!error.contains("damaged"), "{error}");
    }
}

#[test]
fn columns_and_filters() {
    let bytes = parquet(250, 60, Compression::SNAPPY);
    let of = |column, filters: &[&str]| read(&bytes, want(column, filters)).unwrap();
    assert_eq!(texts(&of(None, &["language=en"])), expected(250, |i| i % 2 == 0));
    let reading = of(None, &["language=de", "n>=200", "score<=24.1"]);
    assert_eq!(
        texts(&reading),
        expected(250, |i| i % 2 == 1 && (200..=241).contains(&i))
    );
    assert!(
        reading
            .report
            .to_string()
            .contains("not selected by --where (229: "),
        "{}",
        reading.report
    );
    assert_eq!(texts(&of(Some("id"), &["n=7"])), ["id-7"]);
    assert_eq!(texts(&of(Some("language"), &["n<=1"])), ["en", "de"]);
    // A list counts as its texts, joined; a filter may ask for what is also the text.
    assert_eq!(
        of(None, &["licenses=MIT, Apache-2.0"]).dataset.documents().len(),
        225
    );
    assert_eq!(texts(&of(Some("id"), &["id=id-3"])), ["id-3"]);
    for (column, filters, says) in [
        (
            Some("body"),
            &[][..],
            "has no column `body`, but `text`, `id`, `language`",
        ),
        (None, &["lang=en"][..], "has no column `lang`"),
        (Some("score"), &[][..], "has no column `score`"),
        (
            Some("licenses"),
            &[][..],
            "say which holds the text with --column",
        ),
    ] {
        let error = read(&bytes, want(column, filters)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let nothing = read(&bytes, want(None, &["language=fr"]))
        .unwrap_err()
        .to_string();
    assert!(
        nothing.contains("holds no text; left out: not selected by --where (250"),
        "{nothing}"
    );
}

/// Columns that are not wanted are not read: damage in them goes unseen.
#[test]
fn damage_is_found_and_named() {
    let sound = parquet(250, 100, Compression::SNAPPY);
    let says = |bytes: &[u8], what: &str| {
        let error = read(bytes, Want::default()).unwrap_err();
        assert!(matches!(error, DataError::Table { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains(what) && error.contains("t.parquet"), "{error}");
    };
    says(b"PAR1", "less than any has");
    says(&sound[..sound.len() - 1], "does not end as Parquet does");
    says(
        b"a text that is called so, and is no Parquet at all",
        "does not end as Parquet does",
    );
    let mut encrypted = sound.clone();
    *encrypted.last_mut().unwrap() = b'E';
    says(&encrypted, "encrypted");
    let mut long = sound.clone();
    let at = long.len() - 8;
    long[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    says(&long, "its footer is said to have 4294967295 bytes");
    let mut cut = sound[..500].to_vec();
    cut.extend(&sound[sound.len() - 8..]);
    says(&cut, "its footer is said to have");
}

/// Rows that a footer promises and its pages do not hold: what is there is given, and then said.
#[test]
fn a_billion_rows_are_not_believed() {
    let sound = parquet(20, 20, Compression::UNCOMPRESSED);
    // The rows of the one group, and of the file, as Thrift writes 20 and 63 in one byte: zigzag.
    let footer = u32::from_le_bytes(sound[sound.len() - 8..sound.len() - 4].try_into().unwrap()) as usize;
    let start = sound.len() - 8 - footer;
    let mut lying = sound.clone();
    let mut changed = 0;
    for at in start..lying.len() - 9 {
        // The field before is the group's size, so its rows follow as a step of one, type i64.
        if lying[at] == 0x16 && lying[at + 1] == 40 {
            lying[at + 1] = 126;
            changed += 1;
        }
    }
    assert!(changed > 0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    fs::write(&path, &lying).unwrap();
    let mut documents = open(&[path.to_str().unwrap()], &Rules::default()).unwrap();
    let given = documents.by_ref().map_while(Result::ok).count();
    assert_eq!(given, 18);
    let mut again = open(&[path.to_str().unwrap()], &Rules::default()).unwrap();
    let error = again.find_map(Result::err).unwrap().to_string();
    assert!(
        error.contains("row 21") && error.contains("has fewer rows than its row group"),
        "{error}"
    );
}

/// Any byte may be another: an error or other texts, never a panic, and never more memory than the limits.
#[test]
fn no_change_of_a_byte_panics() {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let sound = parquet_as(30, 15, properties.build());
    let mut random = 7_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let tries = std::env::var("SOMA_TRIES")
        .ok()
        .and_then(|tries| tries.parse().ok())
        .unwrap_or(3000);
    let mut refused = 0;
    for _ in 0..tries {
        let mut bytes = sound.clone();
        for _ in 0..1 + next() % 3 {
            let at = next() % bytes.len();
            bytes[at] = match next() % 4 {
                0 => 0xff,
                1 => 0,
                2 => bytes[at] ^ (1 << (next() % 8)),
                _ => next() as u8,
            };
        }
        fs::write(&path, &bytes).unwrap();
        let Ok(documents) = open(&[path.to_str().unwrap()], &Rules::default()) else {
            continue;
        };
        refused += usize::from(documents.take(1000).any(|document| document.is_err()));
    }
    assert!(refused > tries / 10, "{refused} of {tries}");
}

#[test]
fn encodings_of_numbers_do_not_matter() {
    let bytes = encoded(50, Encoding::PLAIN);
    assert_eq!(
        texts(&read(&bytes, want(Some("id"), &["n>=48"])).unwrap()),
        ["id-48", "id-49"]
    );
}
