//! What a source gives, whatever lies there.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    process::Command,
};

use soma_data::{DataError, LeftOut, Note, Reading, Rules, load_domains, read};
use tempfile::TempDir;

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, data) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }
    dir
}

fn read_in(dir: &TempDir, name: &str) -> Result<Reading, DataError> {
    read(&[dir.path().join(name)], &Rules::default())
}

fn texts(reading: &Reading) -> Vec<&str> {
    let documents = reading.dataset.documents().iter();
    documents.map(|d| std::str::from_utf8(&d.data).unwrap()).collect()
}

/// The names of the documents, below the folder.
fn names(dir: &TempDir, reading: &Reading) -> Vec<String> {
    let documents = reading.dataset.documents().iter();
    let names = documents.map(|d| d.origin.to_string());
    let start = format!("{}/", dir.path().display());
    names.map(|name| name.replacen(&start, "", 1)).collect()
}

fn count(reading: &Reading, reason: LeftOut) -> u64 {
    reading
        .report
        .left_out
        .get(&reason)
        .map_or(0, |named| named.count)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(data).unwrap();
    gz.finish().unwrap()
}

fn within(document_bytes_max: u64, bytes_max: u64) -> Rules {
    Rules {
        document_bytes_max,
        bytes_max,
        ..Rules::default()
    }
}

#[test]
fn a_text_is_the_same_in_every_form() {
    let text = "the cat sat\r\non the mat, naïvely\n";
    let line = serde_json::json!({ "id": 1, "text": text }).to_string() + "\n";
    let members = [gzip(&text.as_bytes()[..9]), gzip(&text.as_bytes()[9..])].concat();
    let dir = folder(&[
        ("t.txt", text.as_bytes()),
        ("t.txt.gz", &gzip(text.as_bytes())),
        ("members.txt.gz", &members),
        ("t.zst", &zstd::encode_all(text.as_bytes(), 1).unwrap()),
        ("t.jsonl", line.as_bytes()),
        ("t.jsonl.gz", &gzip(line.as_bytes())),
        ("t.ndjson.zst", &zstd::encode_all(line.as_bytes(), 1).unwrap()),
    ]);
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let reading = read(&[&path], &Rules::default()).unwrap();
        assert_eq!(texts(&reading), [text], "{}", path.display());
        let report = &reading.report;
        assert_eq!(
            (report.files, report.documents, report.size_bytes),
            (1, 1, text.len() as u64)
        );
        assert!(report.left_out.is_empty() && report.notes.is_empty());
    }
}

#[test]
fn documents_know_their_file_and_line() {
    let dir = folder(&[
        ("b.txt", b"two"),
        ("a/z.txt", b"one"),
        ("c.jsonl", b"\"three\"\n\n\"four\"\n{\"text\":null}\n\"\"\n"),
    ]);
    let reading = read_in(&dir, "").unwrap();
    assert_eq!(texts(&reading), ["one", "two", "three", "four"]);
    assert_eq!(
        names(&dir, &reading),
        ["a/z.txt", "b.txt", "c.jsonl:1", "c.jsonl:3"]
    );
    assert_eq!(count(&reading, LeftOut::NoTextInLine), 2);
    let report = reading.report.to_string();
    assert!(
        report.starts_with("read 4 documents, 15 B, from 3 files; left out: records without text (2: "),
        "{report}"
    );
    assert!(
        report.contains("c.jsonl:4, ") && report.ends_with("c.jsonl:5)"),
        "{report}"
    );
}

/// What lies in a folder beside text stays unread, is counted and named, and nothing waits for it.
#[test]
fn a_folder_gives_its_text_and_tells_the_rest() {
    let dir = folder(&[
        ("a.txt", b"text"),
        ("latin.txt", b"Stra\xdfe"),
        ("wide.txt", b"\xff\xfeh\0i\0"),
        (".env", b"TOKEN=x"),
        (".git/config", b"[core]"),
        ("a.png", b"\x89PNG\0"),
        ("b.png", b"\x89PNG\0"),
        ("t.parquet", b"PAR1"),
        ("t.tar.gz", b"x"),
        ("empty.txt", b""),
        ("w.safetensors", b"mine"),
        ("ck/checkpoint.bin", b"mine"),
        ("private/.key", b"secret"),
    ]);
    let at = |name: &str| dir.path().join(name);
    symlink(at("private/.key"), at("key.txt")).unwrap();
    symlink(at("."), at("loop")).unwrap();
    symlink("/", at("outside")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let rules = Rules {
        outputs: vec![at("w.safetensors"), at("ck"), at("not/yet/there")],
        ..Rules::default()
    };
    let reading = read(&[dir.path()], &rules).unwrap();
    assert_eq!(names(&dir, &reading), ["a.txt", "latin.txt"]);
    for (reason, expected) in [
        (LeftOut::Hidden, 3),
        (LeftOut::NotText, 2),
        (LeftOut::Utf16, 1),
        (LeftOut::Packed, 2),
        (LeftOut::Empty, 1),
        (LeftOut::NoFile, 2),
        (LeftOut::Link, 4),
        (LeftOut::Output, 2),
    ] {
        assert_eq!(count(&reading, reason), expected, "{reason:?}");
    }
    assert_eq!(reading.report.notes[&Note::NotUtf8].count, 1);
    let json = serde_json::to_value(&reading.report).unwrap();
    assert_eq!(json["left_out"]["no_file"]["count"], 2);

    // What remains without text says what there is instead.
    symlink(at("a.txt"), at("private/a.txt")).unwrap();
    let error = read_in(&dir, "private").unwrap_err().to_string();
    assert!(
        error.contains("private` holds no text; left out: hidden (1: "),
        "{error}"
    );
    assert!(error.contains("links, which are read when named (1: "), "{error}");
}

/// Who names a thing means it: bytes are taken as they are, links are followed, hidden files read.
#[test]
fn what_is_named_is_read_byte_for_byte() {
    let dir = folder(&[
        (".env", b"TOKEN=x"),
        ("a.png", b"\x89PNG\0"),
        ("wide.txt", b"\xff\xfeh\0i\0"),
        ("latin.txt", b"caf\xe9\n"),
        ("disk/en/t.txt", b"text"),
    ]);
    symlink(dir.path().join("disk/en"), dir.path().join("en")).unwrap();
    symlink(dir.path().join("a.png"), dir.path().join("link")).unwrap();
    for (name, data, note) in [
        (".env", &b"TOKEN=x"[..], None),
        ("a.png", b"\x89PNG\0", Some(Note::NotText)),
        ("link", b"\x89PNG\0", Some(Note::NotText)),
        ("wide.txt", b"\xff\xfeh\0i\0", Some(Note::Utf16)),
        ("latin.txt", b"caf\xe9\n", Some(Note::NotUtf8)),
        ("en", b"text", None),
    ] {
        let reading = read_in(&dir, name).unwrap();
        assert_eq!(reading.dataset.documents()[0].data, data, "{name}");
        assert_eq!(reading.report.notes.keys().next().copied(), note, "{name}");
    }
    let twice = [dir.path().join("latin.txt"), dir.path().join("en/t.txt")];
    let both = read(&twice, &Rules::default()).unwrap();
    assert_eq!(names(&dir, &both), ["latin.txt", "en/t.txt"]);
    assert!(both.report.to_string().contains("latin.txt is not UTF-8"));
}

#[test]
fn globs_take_what_a_shell_takes() {
    let dir = folder(&[
        ("p/a.txt", b"a"),
        ("p/b.md", b"b"),
        ("p/.env", b"TOKEN"),
        ("p/.git/config", b"[core]"),
        ("p/deep/er/c.txt", b"c"),
        ("p/.hidden/d.txt", b"d"),
        ("p/[1].txt", b"bracket"),
        ("p/with space.txt", b"space"),
    ]);
    let odd = dir.path().join("p").join(OsStr::from_bytes(b"n\xff.txt"));
    fs::write(&odd, "odd").unwrap();
    symlink(dir.path().join("p"), dir.path().join("p/deep/loop")).unwrap();
    let of = |pattern: &str| {
        let reading = read_in(&dir, pattern).unwrap();
        texts(&reading).join(" ")
    };
    assert_eq!(of("p/*"), "bracket a b odd space");
    assert_eq!(of("p/*.txt"), "bracket a odd space");
    assert_eq!(of("p/**/*"), "bracket a b c odd space");
    assert_eq!(of("p/**"), of("p/**/*"));
    assert_eq!(of("**/c.*"), "c");
    assert_eq!(of("p/.*"), "TOKEN");
    assert_eq!(of("p/[a].txt"), "a");
    assert_eq!(of("p/[1].txt"), "bracket");
    assert_eq!(read(&[&odd], &Rules::default()).unwrap().dataset.size_bytes(), 3);
    assert_eq!(count(&read_in(&dir, "p/*").unwrap(), LeftOut::Folder), 1);
    let fails = |pattern: &str| read_in(&dir, pattern).unwrap_err().to_string();
    assert!(fails("p/*.rs").contains("no file matches"));
    assert!(fails("p/[").contains("is not a valid glob"));
    assert!(fails("p/a**b").contains("is not a valid glob"));
}

#[test]
fn every_bad_source_has_its_own_sentence() {
    let dir = folder(&[
        ("empty.txt", b""),
        ("bad.jsonl", b"{\"text\":\"fine\"}\n{\"text\":3}\n"),
        ("wide.jsonl", b"\xff\xfe{\0}\0"),
        ("broken.txt.gz", b"not gzip"),
        ("cut.txt.gz", &gzip(&[b'a'; 1000])[..20]),
        ("cut.zst", &zstd::encode_all(&[b'a'; 1000][..], 1).unwrap()[..9]),
        ("t.parquet", b"PAR1"),
        ("blank/only.txt", b""),
        ("none/x", b""),
    ]);
    fs::remove_file(dir.path().join("none/x")).unwrap();
    symlink(dir.path().join("nowhere"), dir.path().join("dangling")).unwrap();
    let says = |name: &str, what: &str| {
        let error = read_in(&dir, name).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(name), "{error}");
    };
    says("nowhere", "does not exist");
    says("empty.txt/under", "does not exist");
    says("dangling", "is a link to something that does not exist");
    says("empty.txt", "is empty");
    says("none", "holds no text");
    says("blank", "holds no text; left out: empty (1: ");
    says(
        "bad.jsonl",
        "line 2: column 9: invalid type: integer `3`, expected a string",
    );
    says("wide.jsonl", "iconv -f UTF-16 -t UTF-8 FILE");
    says("broken.txt.gz", "no gzip file");
    says("cut.txt.gz", "gzip -t FILE");
    says("cut.zst", "zstd -t FILE");
    says("t.parquet", "is Parquet, which is not read");
    let address = read(&["hf://datasets/x/y"], &Rules::default()).unwrap_err();
    assert!(
        address.to_string().contains("which is not read: give an address"),
        "{address}"
    );
    let twice = read(&["-", "-"], &Rules::default()).unwrap_err();
    assert!(matches!(twice, DataError::StandardInputTwice));
    let blank = load_domains(&dir.path().join("blank"));
    assert!(matches!(blank, Err(DataError::NoDomains(_))));
}

/// Names are a stranger's: they move no cursor, forge no line, and no command to copy holds one.
#[test]
fn names_are_shown_escaped() {
    let evil = "x\u{1b}]0;t\u{7}\nok: read `$(reboot)`.txt.gz";
    let dir = folder(&[(evil, b"no gzip"), ("ok/\u{1b}[31m.png", b"\0\0")]);
    let error = read_in(&dir, evil).unwrap_err().to_string();
    assert!(error.contains("\\u{1b}]0;t\\u{7}\\nok"), "{error}");
    assert!(error.ends_with("check it with `gzip -t FILE`"), "{error}");
    let error = read_in(&dir, "ok").unwrap_err().to_string();
    assert!(error.contains("\\u{1b}[31m.png"), "{error}");
}

/// Sizes are looked at first: these files could not be read in the time of a test, or into its memory.
#[test]
fn sizes_are_known_before_anything_is_read() {
    let dir = folder(&[("small.txt", b"small"), ("film/small.txt", b"small")]);
    let sparse = |name: &str, size_bytes: u64| {
        let path = dir.path().join(name);
        fs::File::create(&path).unwrap().set_len(size_bytes).unwrap();
        path
    };
    let huge = sparse("huge.txt", 1 << 40);
    let film = sparse("film/film.mp4", 1 << 40);
    let error = |sources: &[&PathBuf], rules: &Rules| read(sources, rules).unwrap_err().to_string();
    let document = error(&[&huge], &within(1 << 24, 4 << 30));
    assert!(
        document.contains("huge.txt` has 1099511627776 bytes, the limit of one document is 16777216"),
        "{document}"
    );
    let one = error(&[&huge], &Rules::default());
    assert!(
        one.contains(
            "huge.txt` holds 1099511627776 bytes, more than the 4.0 GiB that are read at once: split it"
        ),
        "{one}"
    );
    let small = dir.path().join("small.txt");
    let many = error(&[&small, &small, &small], &within(12, 12));
    assert!(
        many.contains("the data holds 15 bytes") && many.contains("name fewer files"),
        "{many}"
    );
    // What is no text does not count.
    let reading = read_in(&dir, "film").unwrap();
    assert_eq!(
        (texts(&reading), count(&reading, LeftOut::NotText)),
        (vec!["small"], 1)
    );
    assert!(film.exists());
}

/// A small file that unpacks to much ends at the limit, not at the end of memory; so does a device without
/// end.
#[test]
fn unpacking_ends_at_the_limit() {
    let zeros = vec![b' '; 1 << 20];
    let bomb: Vec<u8> = gzip(&zeros).repeat(64);
    let line = [b"\"", &b"a".repeat(100)[..], b"\"\n"].concat();
    let dir = folder(&[
        ("bomb.txt.gz", &bomb),
        ("bomb.zst", &zstd::encode_all(&zeros[..], 1).unwrap()),
        ("bomb.jsonl.gz", &gzip(&line.repeat(10_000))),
    ]);
    for name in ["bomb.txt.gz", "bomb.zst"] {
        let path = dir.path().join(name);
        let error = read(&[&path], &within(1 << 16, 1 << 18)).unwrap_err();
        assert!(matches!(error, DataError::TooLong { .. }), "{error}");
        let error = read(&[&path], &within(1 << 18, 1 << 18)).unwrap_err();
        assert!(error.to_string().contains("split it"), "{error}");
    }
    let lines = dir.path().join("bomb.jsonl.gz");
    let error = read(&[&lines], &within(1 << 16, 1 << 18)).unwrap_err();
    assert!(matches!(error, DataError::TooLarge { .. }), "{error}");
    let error = read(&[&lines], &within(64, 1 << 24)).unwrap_err();
    assert!(
        error.to_string().contains("bomb.jsonl.gz:1` has 100 bytes"),
        "{error}"
    );
    let error = read(&[Path::new("/dev/zero")], &within(1 << 16, 1 << 18)).unwrap_err();
    assert!(
        error.to_string().contains("/dev/zero` has too many bytes"),
        "{error}"
    );
}

/// A line without end, or a record of any length, is passed over in the memory of one that fits, and told.
#[test]
fn a_record_that_is_too_long_is_left_out() {
    let long = "a".repeat(1 << 12);
    let endless = "b".repeat(3 << 20);
    let lines = format!("\"one\"\n\"{long}\"\n\"{endless}\"\n\"two\"\n\"{endless}");
    let dir = folder(&[
        ("a.jsonl", lines.as_bytes()),
        ("a.jsonl.gz", &gzip(lines.as_bytes())),
        ("a.jsonl.zst", &zstd::encode_all(lines.as_bytes(), 1).unwrap()),
    ]);
    let rules = Rules {
        record_bytes_max: 1 << 11,
        ..Rules::default()
    };
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"] {
        let reading = read(&[dir.path().join(name)], &rules).unwrap();
        assert_eq!(texts(&reading), ["one", "two"], "{name}");
        assert_eq!(count(&reading, LeftOut::TooLong), 3);
        let told = reading.report.to_string();
        assert!(
            told.contains(&format!(
                "longer than a document may be (3: {}",
                dir.path().join(name).display()
            )),
            "{told}"
        );
    }
}

#[test]
fn the_samples_of_this_repository_have_four_domains() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
    let domains = load_domains(&data).unwrap();
    let names: Vec<_> = domains.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["english", "rust", "spanish", "tables"]);
    for domain in domains {
        let size = domain.dataset.size_bytes();
        assert!(
            (300_000..=600_000).contains(&size),
            "{} has {size} bytes",
            domain.name
        );
        let mut documents = domain.dataset.documents().iter();
        assert!(documents.all(|d| std::str::from_utf8(&d.data).is_ok()));
    }
}
