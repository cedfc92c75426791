//! Buckets of S3 and GCS, whose interface is the same for what is read.

mod common;

use std::{collections::HashMap, fs, path::Path};

use common::{Reply, Server, jsonl, parquet, settings, text, texts};
use parquet::basic::Compression;
use soma_data::{DataError, LeftOut, Reading, Rules, Want};
use soma_sources::Settings;
use tempfile::TempDir;

const KEY: &str = "AKIDTEST";
const SECRET: &str = "secret/of/the/test";

/// A server that speaks S3's interface for reading over a folder, two keys to a list; whoever asks must have
/// signed with the known key or bring the token, unless it is open to everyone.
fn serve(root: &Path, is_open: bool) -> String {
    let root = root.to_owned();
    let server = Server::start(move |request| {
        let query: HashMap<String, String> = url::form_urlencoded::parse(request.query.as_bytes())
            .into_owned()
            .collect();
        let is_known = query
            .get("X-Amz-Credential")
            .is_some_and(|by| by.starts_with(&format!("{KEY}/")))
            && query
                .get("X-Amz-Signature")
                .is_some_and(|signature| signature.len() == 64)
            || request.header("authorization") == format!("Bearer {SECRET}");
        if !is_open && !is_known {
            return Reply::status(403);
        }
        let path = percent_decoded(&request.path);
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let (bucket, key) = (root.join(parts.next().unwrap()), parts.next().unwrap_or_default());
        if !bucket.is_dir() {
            return Reply::status(404);
        }
        if key.is_empty() {
            return list(&bucket, &query);
        }
        match fs::read(bucket.join(key)) {
            Ok(bytes) => Reply::file(request, &bytes, &tag(&bytes)),
            Err(_) => Reply::status(404),
        }
    });
    server.url("").trim_end_matches('/').to_owned()
}

fn percent_decoded(path: &str) -> String {
    let path = path.replace('+', "%2B");
    let text = url::form_urlencoded::parse(path.as_bytes()).next();
    text.map_or_else(String::new, |(name, _)| name.into_owned())
}

/// Of the bytes alone, as S3's are.
fn tag(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(7_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add((*byte).into())
    });
    format!("\"{sum:x}\"")
}

fn list(bucket: &Path, query: &HashMap<String, String>) -> Reply {
    assert_eq!(query.get("list-type").map(String::as_str), Some("2"));
    let mut keys = Vec::new();
    let mut rest = vec![bucket.to_owned()];
    while let Some(folder) = rest.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rest.push(path);
            } else {
                let key = path.strip_prefix(bucket).unwrap().to_str().unwrap().to_owned();
                keys.push((key, fs::read(&path).unwrap()));
            }
        }
    }
    keys.sort();
    let prefix = query.get("prefix").cloned().unwrap_or_default();
    keys.retain(|(key, _)| key.starts_with(&prefix));
    let start: usize = query
        .get("continuation-token")
        .map_or(0, |token| token.parse().unwrap());
    let contents: String = keys[start..]
        .iter()
        .take(2)
        .map(|(key, bytes)| {
            let (tag, size) = (tag(bytes).replace('"', "&quot;"), bytes.len());
            format!("<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00Z</LastModified><ETag>{tag}</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>")
        })
        .collect();
    let next = if start + 2 < keys.len() {
        format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>",
            start + 2
        )
    } else {
        "<IsTruncated>false</IsTruncated>".into()
    };
    Reply::ok(format!(
        "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix>{prefix}</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>{contents}{next}</ListBucketResult>"
    ))
}

fn with(pairs: &[(&str, &str)]) -> Settings {
    Settings {
        stores: pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        ..settings()
    }
}

fn s3(endpoint: &str, key: &str, secret: &str) -> Settings {
    with(&[
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_REGION", "us-east-1"),
        ("AWS_PAGER", "less"),
    ])
}

fn read(source: &str, settings: Settings) -> Result<Reading, DataError> {
    common::reading(&[source], &Rules::default(), settings)
}

fn bucket() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = root.path().join("corpus").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("a/1.parquet", &parquet(30, 10, Compression::SNAPPY));
    write("a/2.jsonl", &jsonl(5));
    write("a/3.jsonl.zst", &zstd::encode_all(&jsonl(3)[..], 1).unwrap());
    write("a/_SUCCESS", b"x");
    write("a/picture.bin", &[0, 159, 146, 150].repeat(40_000));
    write("b/book.txt", b"a whole book");
    write("b/empty.txt", b"");
    write("ab/other.txt", b"not below a");
    root
}

fn rows(count: usize) -> Vec<String> {
    (0..count).filter(|i| i % 10 != 9).map(text).collect()
}

#[test]
fn objects_prefixes_and_globs_are_read() {
    let root = bucket();
    let endpoint = serve(root.path(), false);
    let of = |source: &str| read(source, s3(&endpoint, KEY, SECRET)).unwrap();
    let lines = |count| (0..count).map(text).collect::<Vec<_>>();
    assert_eq!(texts(&of("s3://corpus/b/book.txt")), ["a whole book"]);
    assert_eq!(texts(&of("s3://corpus/a/1.parquet")), rows(30));
    let below = of("s3://corpus/a/");
    assert_eq!(texts(&below), [rows(30), lines(5), lines(3)].concat());
    assert_eq!(below.report.left_out[&LeftOut::NotText].count, 1);
    let first = &below.dataset.documents()[0].origin;
    assert_eq!(first.to_string(), "s3://corpus/a/1.parquet:1");
    assert_eq!(texts(&of("s3://corpus/a")), texts(&below));
    assert_eq!(
        texts(&of("s3://corpus/a/*.jsonl*")),
        [lines(5), lines(3)].concat()
    );
    assert_eq!(texts(&of("s3://corpus/**/book.txt")), ["a whole book"]);
}

#[test]
fn credentials_that_are_missing_or_wrong_are_named() {
    let root = bucket();
    let endpoint = serve(root.path(), false);
    let says = |source: &str, settings: Settings, what: &str| {
        let error = read(source, settings).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(source), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    };
    let other = s3(&endpoint, "AKIDOTHER", SECRET);
    says(
        "s3://corpus/b/book.txt",
        other.clone(),
        "access is refused (403): set AWS_ACCESS_KEY_ID",
    );
    says("s3://corpus/b/", other, "have not expired");
    let google = |token| {
        with(&[
            ("GOOGLE_BASE_URL", &endpoint),
            ("GOOGLE_OAUTH_ACCESS_TOKEN", token),
        ])
    };
    says(
        "gs://corpus/b/",
        google("old"),
        "access is refused (403): set GOOGLE_OAUTH_ACCESS_TOKEN",
    );
    let known = read("gs://corpus/b/book.txt", google(SECRET)).unwrap();
    assert_eq!(texts(&known), ["a whole book"]);
    says(
        "s3://corpus/b/",
        with(&[("AWS_ENDPOINT_URL", &endpoint)]),
        "access is refused (403)",
    );
    let half = [("AWS_ENDPOINT_URL", &*endpoint), ("AWS_ACCESS_KEY_ID", KEY)];
    says("s3://corpus/b/", with(&half), "one is set: set both or none");
    says(
        "s3://corpus/nothing.txt",
        s3(&endpoint, KEY, SECRET),
        "there is nothing there (404)",
    );
    says(
        "s3://nowhere/",
        s3(&endpoint, KEY, SECRET),
        "there is nothing there (404)",
    );
    says("s3://", s3(&endpoint, KEY, SECRET), "s3://BUCKET/KEY");
    says(
        "s3://corpus/b/",
        s3("http://127.0.0.1:1", KEY, SECRET),
        "the server cannot be reached",
    );
}

/// Without credentials a bucket is read as everyone reads it; so is Google's, by the same interface.
#[test]
fn open_buckets_need_no_credentials() {
    let root = bucket();
    let endpoint = serve(root.path(), true);
    let s3 = read("s3://corpus/b/book.txt", with(&[("AWS_ENDPOINT_URL", &endpoint)])).unwrap();
    assert_eq!(texts(&s3), ["a whole book"]);
    let gs = with(&[("GOOGLE_BASE_URL", &endpoint)]);
    assert_eq!(
        texts(&read("gs://corpus/a/1.parquet", gs.clone()).unwrap()),
        rows(30)
    );
    assert_eq!(texts(&read("gs://corpus/b/", gs).unwrap()), ["a whole book"]);
}

/// An object that is written anew while it is read, or since, is not read on.
#[test]
fn changes_are_noticed() {
    let root = bucket();
    let endpoint = serve(root.path(), false);
    let store = || Some(std::sync::Arc::new(soma_sources::Sources::new(s3(&endpoint, KEY, SECRET))) as _);
    let rules = Rules::default();
    let sources = ["s3://corpus/a/2.jsonl"];
    let mut documents = soma_data::Documents::open(&sources, &rules, store()).unwrap();
    documents.next().unwrap().unwrap();
    let cursor = documents.cursor().unwrap().clone();
    let rest = soma_data::Documents::open_at(&sources, &rules, store(), &cursor).unwrap();
    assert_eq!(rest.map(Result::unwrap).count(), 4);
    fs::write(root.path().join("corpus/a/2.jsonl"), jsonl(6)).unwrap();
    let mut changed = soma_data::Documents::open_at(&sources, &rules, store(), &cursor).unwrap();
    let error = changed.next().unwrap().unwrap_err();
    assert!(matches!(error, DataError::Changed(_)), "{error}");
    assert!(changed.next().is_none());
}

/// The Stack v2 holds ids; their contents are fetched from Software Heritage's bucket, and what is gone or no
/// text is left out.
#[test]
fn the_stack_is_filled_with_its_contents() {
    use std::io::Write as _;
    let root = tempfile::tempdir().unwrap();
    let contents = root.path().join("softwareheritage/content");
    fs::create_dir_all(&contents).unwrap();
    let ids: Vec<String> = (0..40).map(|index| format!("{index:040x}")).collect();
    for (index, id) in ids.iter().enumerate() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let text = match index {
            3 => vec![0xe9, b'a'],
            _ => format!("fn main{index}() {{}}").into_bytes(),
        };
        packed.write_all(&text).unwrap();
        if index != 5 {
            fs::write(contents.join(id), packed.finish().unwrap()).unwrap();
        }
    }
    let endpoint = serve(root.path(), true);
    let table = common::ids(&ids);
    let sha = "9bb295ddab0e05d785b879661af7260fed5140fc";
    let hub = common::Server::start(move |request| {
        if request.path.contains("/revision/") {
            common::Reply::ok(format!(r#"{{"sha":"{sha}","tags":["license:other"]}}"#))
        } else if request.path.contains("/resolve/") {
            common::Reply::file(request, &table, "\"1\"")
        } else {
            let size = table.len();
            common::Reply::ok(format!(
                r#"[{{"type":"file","oid":"1","size":{size},"path":"data/Rust/0.parquet"}}]"#
            ))
        }
    });
    let settings = Settings {
        hub: Some(hub.url("")),
        ..with(&[("AWS_ENDPOINT_URL", &endpoint)])
    };
    let reading = read("the-stack-v2/Rust", settings.clone()).unwrap();
    let expected: Vec<_> = (0..40)
        .filter(|i| ![3, 5].contains(i))
        .map(|i| format!("fn main{i}() {{}}"))
        .collect();
    assert_eq!(texts(&reading), expected);
    assert_eq!(reading.report.left_out[&LeftOut::Unfit].count, 2);
    let provenance = reading.dataset.documents()[1].origin.provenance.clone().unwrap();
    assert_eq!(provenance.id.as_deref(), Some(&*ids[1]));
    assert_eq!(provenance.licence.as_deref(), Some("MIT, Apache-2.0"));
    // Whoever names a column gets what is in it.
    let rules = Rules {
        want: Want {
            column: Some("blob_id".into()),
            ..Want::default()
        },
        ..Rules::default()
    };
    let plain = common::reading(&["the-stack-v2/Rust"], &rules, settings).unwrap();
    assert_eq!(texts(&plain), ids);
}
