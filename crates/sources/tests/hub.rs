//! Data sets on a hub that speaks as the real one does, with a store of its own for the files.

mod common;

use std::sync::Arc;

use common::{Reply, Request, Server, jsonl, parquet, settings, text, texts};
use parquet::basic::Compression;
use soma_data::{DataError, Documents, Reading, Rules};
use soma_sources::{Settings, Sources};

const SHA: &str = "9bb295ddab0e05d785b879661af7260fed5140fc";
const TOKEN: &str = "hf_secret";

/// The store that files are redirected to; it must never see the token.
fn store() -> Server {
    Server::start(|request| {
        assert_eq!(request.header("authorization"), "", "the token went to the store");
        let name = request.path.rsplit('/').next().unwrap();
        match name.split('.').next().unwrap().parse::<usize>() {
            Ok(count) if name.ends_with(".parquet") => {
                let bytes = parquet(count, 20, Compression::SNAPPY);
                Reply::file(request, &bytes, "\"from-the-store\"")
            }
            Ok(count) => Reply::file(request, &jsonl(count), "\"from-the-store\""),
            Err(_) => Reply::status(404),
        }
    })
}

fn file(path: &str) -> String {
    format!(
        r#"{{"type":"file","oid":"0a","size":130,"lfs":{{"oid":"sha-of-{path}","size":SIZE,"pointerSize":130}},"path":"{path}"}}"#
    )
}

/// Sizes as they are: a file is called by how many documents it has.
fn sized(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap();
    let count: usize = name.split('.').next().unwrap().parse().unwrap();
    let size = if name.ends_with(".parquet") {
        parquet(count, 20, Compression::SNAPPY).len()
    } else {
        jsonl(count).len()
    };
    file(path).replace("SIZE", &size.to_string())
}

fn hub(store: &Server) -> Server {
    let store = store.url("");
    Server::start(move |request| answer(request, &store))
}

fn answer(request: &Request, store: &str) -> Reply {
    let is_known = request.header("authorization") == format!("Bearer {TOKEN}");
    let json = |text: String| Reply::ok(text).with("content-type", "application/json");
    let path = request.path.as_str();
    if path.contains("/gated/") && !is_known {
        let status = if request.header("authorization").is_empty() {
            401
        } else {
            403
        };
        return Reply::status(status);
    }
    if path.contains("/revision/") {
        let licence = if path.contains("HuggingFaceFW") {
            "license:odc-by"
        } else {
            "license:mit"
        };
        return json(format!(
            r#"{{"id":"x","sha":"{SHA}","tags":["task:text","{licence}"],"gated":false}}"#
        ));
    }
    if let Some(name) = path.split("/resolve/").nth(1) {
        return Reply::to(format!("{store}{name}"));
    }
    let tree = format!("/tree/{SHA}");
    match path.split_once(&tree) {
        Some(("/api/datasets/a/many", "")) => match request.query.as_str() {
            "recursive=true" => json(format!(
                r#"[{{"type":"directory","oid":"1","size":0,"path":"data"}},{},{}]"#,
                sized("data/20.parquet"),
                r#"{"type":"file","oid":"0","size":9,"path":"README.md"}"#
            ))
            .with(
                "link",
                format!(r#"</api/datasets/a/many{tree}?recursive=true&cursor=2>; rel="next""#),
            ),
            _ => json(format!(
                "[{},{}]",
                sized("data/10.parquet"),
                sized("other/30.jsonl")
            )),
        },
        Some(("/api/datasets/a/many", "/data")) => json(format!(
            "[{},{}]",
            sized("data/10.parquet"),
            sized("data/20.parquet")
        )),
        Some(("/api/datasets/a/lines", "")) => json(format!("[{}]", sized("5.jsonl"))),
        Some(("/api/datasets/gated/set", _)) => json(format!("[{}]", sized("10.parquet"))),
        Some(("/api/datasets/HuggingFaceFW/fineweb", "/sample/10BT")) => {
            json(format!("[{}]", sized("sample/10BT/10.parquet")))
        }
        Some(("/api/datasets/a/away", _)) => {
            json("[]".into()).with("link", r#"<http://127.0.0.1:1/next>; rel="next""#)
        }
        Some(("/api/datasets/a/csv", "")) => {
            json(r#"[{"type":"file","oid":"0","size":9,"path":"x.csv"}]"#.into())
        }
        Some(("/api/datasets/a/odd", _)) => Reply::ok("<html>").with("content-type", "text/html"),
        _ if path == "/api/datasets/a/csv/parquet" => json(format!(
            r#"{{"default":{{"train":["{store}10.parquet","{store}20.parquet"],"test":["{store}30.parquet"]}}}}"#
        )),
        _ => Reply::status(404),
    }
}

fn with(hub: &Server, token: Option<&str>) -> Settings {
    Settings {
        hub: Some(hub.url("")),
        token: token.map(str::to_owned),
        ..settings()
    }
}

fn read(hub: &Server, source: &str, token: Option<&str>) -> Result<Reading, DataError> {
    common::reading(&[source], &Rules::default(), with(hub, token))
}

fn rows(count: usize) -> Vec<String> {
    (0..count).filter(|i| i % 10 != 9).map(text).collect()
}

#[test]
fn data_sets_are_listed_page_by_page_and_read_at_one_commit() {
    let store = store();
    let hub = hub(&store);
    let reading = read(&hub, "hf://datasets/a/many", Some(TOKEN)).unwrap();
    // Parquet alone, in the order of paths, across pages.
    assert_eq!(texts(&reading), [rows(10), rows(20)].concat());
    let first = &reading.dataset.documents()[0].origin;
    assert_eq!(first.to_string(), "hf://datasets/a/many/data/10.parquet:1");
    let provenance = first.provenance.as_ref().unwrap();
    assert_eq!(
        provenance.source.as_deref(),
        Some(&*format!("hf://datasets/a/many@{SHA}"))
    );
    assert_eq!(provenance.licence.as_deref(), Some("mit"));
    assert_eq!(provenance.url.as_deref(), Some("http://a/0"));
    assert!(
        hub.log
            .lock()
            .unwrap()
            .iter()
            .all(|request| request.header("authorization").contains(TOKEN))
    );
    for (source, expected) in [
        ("hf://datasets/a/many/data", [rows(10), rows(20)].concat()),
        ("hf://datasets/a/many@v1/data/20.parquet", rows(20)),
        ("hf://datasets/a/many/*/1*.parquet", rows(10)),
        ("hf://datasets/a/lines", (0..5).map(text).collect()),
        ("fineweb", rows(10)),
        // What the hub has made of it, since it has no Parquet of its own.
        ("hf://datasets/a/csv", [rows(30), rows(10), rows(20)].concat()),
        ("hf://datasets/a/csv/default/train", [rows(10), rows(20)].concat()),
    ] {
        let found = read(&hub, source, None);
        assert_eq!(texts(&found.unwrap()), expected, "{source}");
    }
    let fineweb = read(&hub, "fineweb", None).unwrap();
    let provenance = fineweb.dataset.documents()[0].origin.provenance.clone().unwrap();
    assert_eq!(provenance.licence.as_deref(), Some("odc-by"));
}

#[test]
fn what_a_hub_refuses_is_named_with_what_to_do() {
    let store = store();
    let hub = hub(&store);
    let says = |source: &str, token, what: &str| {
        let error = read(&hub, source, token).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(source), "{error}");
        assert!(!error.contains(TOKEN), "{error}");
    };
    says(
        "hf://datasets/gated/set",
        None,
        "access is refused (401): the data set is gated",
    );
    says(
        "hf://datasets/gated/set",
        Some("hf_old"),
        "(403): HF_TOKEN is wrong or expired",
    );
    assert_eq!(
        texts(&read(&hub, "hf://datasets/gated/set", Some(TOKEN)).unwrap()),
        rows(10)
    );
    says(
        "hf://datasets/a/many/data/40.parquet",
        None,
        "has no Parquet or JSONL in data/40.parquet",
    );
    says("hf://datasets/a/nothing", None, "there is nothing there (404)");
    says(
        "hf://datasets/a/away",
        Some(TOKEN),
        "its list goes on at another server",
    );
    says("hf://datasets/a/odd", None, "the hub's answer is not understood");
    says("hf://datasets/a", None, "hf://datasets/OWNER/NAME");
    says("hf://models/a/b", None, "hf://datasets/OWNER/NAME");
    let closed = Settings {
        hub: Some("http://nowhere.invalid".into()),
        ..settings()
    };
    let error = common::reading(&["swe-bench"], &Rules::default(), closed).unwrap_err();
    assert!(
        error.to_string().contains("the server cannot be reached"),
        "{error}"
    );
}

/// A token is not sent in clear to a stranger.
#[test]
fn a_token_needs_tls() {
    let open = Settings {
        hub: Some("http://192.0.2.1.nip.invalid".into()),
        token: Some(TOKEN.into()),
        ..settings()
    };
    let error = common::reading(&["fineweb"], &Rules::default(), open).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("in clear: give its address as https://"),
        "{error}"
    );
}

/// A cursor stands in a file of the data set, whatever commit that is of: the same file goes on.
#[test]
fn a_reading_goes_on_with_its_cursor() {
    let store = store();
    let hub = hub(&store);
    let sources = ["hf://datasets/a/many"];
    let open = || Some(Arc::new(Sources::new(with(&hub, None))) as Arc<dyn soma_data::Store>);
    let all: Vec<_> = Documents::open(&sources, &Rules::default(), open())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for stop in [1, 8, 9, 10, 20] {
        let mut first = Documents::open(&sources, &Rules::default(), open()).unwrap();
        let begun: Vec<_> = first.by_ref().take(stop).map(Result::unwrap).collect();
        let cursor = first.cursor().unwrap().to_string().parse().unwrap();
        let rest = Documents::open_at(&sources, &Rules::default(), open(), &cursor).unwrap();
        let joined: Vec<_> = begun.into_iter().chain(rest.map(Result::unwrap)).collect();
        assert_eq!(joined, all, "stopped after {stop}");
    }
}
