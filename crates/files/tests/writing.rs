//! What stands where after a write, whatever stood there before.

use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    io::{self, Read as _, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, SystemTime},
};

use soma_files::{Output, read_bounded, replace, replace_private, sweep};

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Whether this process may do what only root may; the parts of tests that need it are left out otherwise.
fn is_root(folder: &Path) -> bool {
    let probe = folder.join("probe");
    fs::write(&probe, "").unwrap();
    let may = chown(&probe, Some(1), Some(1)).is_ok();
    fs::remove_file(&probe).unwrap();
    may
}

#[test]
fn a_check_changes_nothing_and_finds_what_will_fail() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out");
    Output::check(&file).unwrap();
    assert!(names(folder.path()).is_empty());
    for unfit in [
        folder.path().to_owned(),
        folder.path().join("missing/out"),
        folder.path().join("new/"),
        folder.path().join("."),
        folder.path().join(".."),
        folder.path().join("n".repeat(256)),
        PathBuf::new(),
        PathBuf::from("/"),
    ] {
        let error = Output::check(&unfit).unwrap_err();
        assert_eq!(error.path, unfit);
    }
    let missing = Output::check(&folder.path().join("missing/out"));
    let text = missing.unwrap_err().to_string();
    assert!(text.contains("/missing does not exist"), "{text}");
    Output::check(&folder.path().join("n".repeat(255))).unwrap();
    fs::write(&file, "file").unwrap();
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    Output::check(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
    assert!(Output::check(&file.join("below")).is_err());
    assert_eq!(fs::read(&file).unwrap(), b"file");
}

#[test]
fn the_longest_name_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n".repeat(255));
    replace(&file, b"long").unwrap();
    assert_eq!(fs::read(file).unwrap(), b"long");
    assert_eq!(names(folder.path()).len(), 1);
}

#[test]
fn parallel_writers_leave_one_whole_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    // What a shared temporary name would be: somebody's own.
    fs::write(folder.path().join("out.tmp"), "mine").unwrap();
    let file = folder.path().join("out.bin");
    thread::scope(|scope| {
        for writer in 0..8_u8 {
            let file = &file;
            scope.spawn(move || {
                for _ in 0..20 {
                    replace(file, &[writer; 5000]).unwrap();
                }
            });
        }
    });
    let found = fs::read(&file).unwrap();
    assert_eq!(found, vec![found[0]; 5000]);
    assert_eq!(
        names(folder.path()),
        ["out.bin", "out.tmp"].map(str::to_owned).into()
    );
    assert_eq!(fs::read(folder.path().join("out.tmp")).unwrap(), b"mine");
}

#[test]
fn permissions_are_kept_and_secrets_are_their_owners() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, secret) = (folder.path().join("kept"), folder.path().join("secret"));
    for bits in [0o600, 0o640, 0o755] {
        fs::write(&kept, "before").unwrap();
        fs::set_permissions(&kept, Permissions::from_mode(bits)).unwrap();
        replace(&kept, b"after").unwrap();
        assert_eq!(mode(&kept), bits);
    }
    fs::write(&secret, "before").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    replace_private(&secret, b"after").unwrap();
    assert_eq!(mode(&secret), 0o600);
    assert!(replace_private(Path::new("/dev/null"), b"key").is_err());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn another_owners_file_stays_theirs() {
    let folder = tempfile::tempdir().unwrap();
    if !is_root(folder.path()) {
        return;
    }
    let file = folder.path().join("theirs");
    fs::write(&file, "before").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    chown(&file, Some(1234), Some(2345)).unwrap();
    replace(&file, b"after").unwrap();
    let found = fs::metadata(&file).unwrap();
    assert_eq!((found.uid(), found.gid(), mode(&file)), (1234, 2345, 0o600));
    assert_eq!(fs::read(&file).unwrap(), b"after");
}

#[test]
fn links_are_followed_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let (first, second) = (folder.path().join("first"), inner.join("second"));
    symlink("inner/second", &first).unwrap();
    symlink("file", &second).unwrap();
    // Dangling at first, then to a file that exists.
    for content in ["one", "two"] {
        replace(&first, content.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(inner.join("file")).unwrap(), content);
        assert_eq!(fs::read_link(&first).unwrap(), Path::new("inner/second"));
        assert!(second.is_symlink());
    }
    let turning = folder.path().join("turning");
    symlink("turning", &turning).unwrap();
    assert!(Output::check(&turning).is_err());
    let nowhere = folder.path().join("nowhere");
    symlink("missing/file", &nowhere).unwrap();
    assert!(Output::check(&nowhere).is_err());
}

#[test]
fn a_device_is_written_to_and_stays_one() {
    replace(Path::new("/dev/null"), b"gone").unwrap();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    assert!(replace(Path::new("/dev/full"), b"never").is_err());
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    symlink("/dev/null", &link).unwrap();
    replace(&link, b"gone").unwrap();
    assert!(link.is_symlink());
}

#[test]
fn a_pipe_is_checked_without_waiting_and_then_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    pipe(&path);
    let output = Output::check(&path).unwrap();
    let reader = thread::spawn({
        let path = path.clone();
        move || fs::read(path).unwrap()
    });
    output.write(b"through").unwrap();
    assert_eq!(reader.join().unwrap(), b"through");
    assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
    assert_eq!(names(folder.path()).len(), 1);
}

#[test]
fn an_open_descriptor_is_written_to_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut open = File::create(&path).unwrap();
    open.write_all(b"first ").unwrap();
    let before = open.metadata().unwrap().ino();
    for way in ["/dev/fd", "/proc/self/fd", "/proc/thread-self/fd"] {
        replace(&Path::new(way).join(open.as_raw_fd().to_string()), b"then ").unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), b"first then then then ");
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    let (mut reader, writer) = io::pipe().unwrap();
    replace(
        &Path::new("/dev/fd").join(writer.as_raw_fd().to_string()),
        b"through",
    )
    .unwrap();
    drop(writer);
    let mut found = Vec::new();
    reader.read_to_end(&mut found).unwrap();
    assert_eq!(found, b"through");
    assert!(
        Output::check(Path::new("/dev/stdout"))
            .unwrap()
            .is_standard_output()
    );
    assert!(!Output::check(&path).unwrap().is_standard_output());
    let closed = Path::new("/dev/fd/987");
    assert!(Output::check(closed).is_err());
}

#[test]
fn what_changed_since_the_check_is_what_is_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let [file, other] = ["file", "other"].map(|name| folder.path().join(name));
    // It becomes a link: the link stays.
    fs::write(&file, "old").unwrap();
    let output = Output::check(&file).unwrap();
    fs::remove_file(&file).unwrap();
    symlink("other", &file).unwrap();
    output.write(b"new").unwrap();
    assert!(file.is_symlink());
    assert_eq!(fs::read(&other).unwrap(), b"new");
    // It becomes a folder: nothing is written, and nothing is left.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(output.write(b"new").is_err());
    assert_eq!(names(folder.path()).len(), 2);
    // Its folder goes.
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let output = Output::check(&inner.join("out")).unwrap();
    fs::remove_dir(&inner).unwrap();
    assert!(output.write(b"new").is_err());
}

#[test]
fn an_input_by_any_name_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let [input, hard, soft, other, fifo] =
        ["input", "hard", "soft", "other", "fifo"].map(|name| folder.path().join(name));
    fs::write(&input, "input").unwrap();
    fs::hard_link(&input, &hard).unwrap();
    symlink("input", &soft).unwrap();
    pipe(&fifo);
    for same in [&input, &hard, &soft, &folder.path().join("./input")] {
        let apart = Output::check(same).unwrap().apart_from([input.as_path()]);
        assert!(apart.unwrap_err().to_string().contains("also an input"));
    }
    // An input that would keep whoever opens it waiting, and one that is gone.
    for apart in [&other, &input] {
        Output::check(apart)
            .unwrap()
            .apart_from([fifo.as_path(), Path::new("gone")])
            .unwrap();
    }
    Output::check(Path::new("/dev/null"))
        .unwrap()
        .apart_from([Path::new("/dev/null")])
        .unwrap();
}

#[test]
fn a_write_that_fails_leaves_what_was_there_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out");
    replace(&file, b"before").unwrap();
    let error = Output::check(&file)
        .unwrap()
        .write_with(|writer| {
            writer.write_all(&[7; 3_000_000])?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
    assert_eq!(fs::read(&file).unwrap(), b"before");
    assert_eq!(names(folder.path()).len(), 1);
    let room = Output::check(&file).unwrap().with_room(u64::MAX);
    assert_eq!(room.unwrap_err().source.kind(), io::ErrorKind::StorageFull);
    Output::check(&file).unwrap().with_room(1).unwrap();
}

#[test]
fn only_what_a_killed_writer_left_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let make = |name: &str, at: SystemTime| {
        let file = File::create(folder.path().join(name)).unwrap();
        file.set_modified(at).unwrap();
        file
    };
    drop(make(".soma-killed.tmp", hour_ago));
    let held = make(".soma-alive.tmp", hour_ago);
    held.lock().unwrap();
    drop(make(".soma-young.tmp", SystemTime::now()));
    drop(make("mine.tmp", hour_ago));
    fs::create_dir(folder.path().join(".soma-folder.tmp")).unwrap();
    pipe(&folder.path().join(".soma-pipe.tmp"));
    symlink("mine.tmp", folder.path().join(".soma-link.tmp")).unwrap();
    let before = names(folder.path());
    sweep(folder.path());
    let gone: Vec<_> = before.difference(&names(folder.path())).cloned().collect();
    assert_eq!(gone, [".soma-killed.tmp"]);
    sweep(&folder.path().join("missing"));
}

#[test]
fn reading_a_small_file_waits_for_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let [file, fifo] = ["file", "fifo"].map(|name| folder.path().join(name));
    fs::write(&file, "12345").unwrap();
    pipe(&fifo);
    assert_eq!(read_bounded(&file, 5).unwrap().unwrap(), b"12345");
    assert!(read_bounded(&file, 4).is_err());
    assert!(read_bounded(&fifo, 5).is_err());
    assert!(read_bounded(folder.path(), 5).is_err());
    assert_eq!(read_bounded(&folder.path().join("none"), 5).unwrap(), None);
}
