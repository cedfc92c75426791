use std::{net::IpAddr, os::unix::fs::FileExt as _, path::Path, time::SystemTime};

use http_body::Body as _;
use proptest::prelude::*;

use super::*;

fn open(limit_bytes: u64) -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), limit_bytes).unwrap();
    (directory, store)
}

#[test]
fn blobs_come_back_also_after_reopening() {
    let (directory, store) = open(1000);
    let hash = store.put(b"weights").unwrap();
    assert_eq!(hash, ContentHash::of(b"weights"));
    assert_eq!(store.put(b"weights").unwrap(), hash);
    assert_eq!(store.used_bytes(), 7);
    drop(store);
    let store = Store::open(directory.path(), 1000).unwrap();
    assert_eq!(store.get(&hash).unwrap().unwrap(), b"weights");
    let first = |reader: &mut dyn Read, size_bytes| {
        let mut first = [0];
        reader.read_exact(&mut first).unwrap();
        (first, size_bytes)
    };
    assert_eq!(store.read(&hash, first).unwrap(), Some(([b'w'], 7)));
    assert_eq!(store.body(&hash).unwrap().unwrap().size_hint().exact(), Some(7));
    assert_eq!((store.used_bytes(), store.hashes()), (7, vec![hash]));
    assert!(store.remove(&hash).unwrap());
    assert!(!store.remove(&hash).unwrap());
    assert_eq!((store.used_bytes(), store.get(&hash).unwrap()), (0, None));
}

#[test]
fn old_blobs_are_set_aside_unless_they_are_touched() {
    let (_directory, store) = open(1000);
    let (old, young) = (store.put(b"old").unwrap(), store.put(b"young").unwrap());
    let past = SystemTime::now() - std::time::Duration::from_secs(3600);
    for hash in [&old, &young] {
        let file = File::options().write(true).open(store.blob_path(hash)).unwrap();
        file.set_modified(past).unwrap();
    }
    assert!(!store.set_aside(&old, Some(past)).unwrap(), "not before its time");
    // Storing what is there makes it young again.
    store.put(b"young").unwrap();
    let now = past + std::time::Duration::from_secs(1800);
    assert!(store.set_aside(&old, Some(now)).unwrap());
    assert!(!store.set_aside(&young, Some(now)).unwrap());
    assert!(store.remove_aside(&old).unwrap() && !store.remove_aside(&young).unwrap());
    assert_eq!((store.hashes(), store.used_bytes()), (vec![young], 5));
    assert!(!store.touch(&old).unwrap() && !store.set_aside(&old, None).unwrap());
    fs::remove_file(store.blob_path(&young)).unwrap();
    assert!(!store.touch(&young).unwrap(), "it vanished");
    assert_eq!(store.used_bytes(), 0);
}

/// Whoever comes to need a blob between the two steps of its removal has it back.
#[test]
fn what_is_aside_is_nobodys_until_someone_needs_it() {
    let (directory, store) = open(1000);
    let names: Vec<_> = (0..5u8).map(|byte| store.put(&[byte; 4]).unwrap()).collect();
    for hash in &names {
        assert!(store.set_aside(hash, None).unwrap());
        assert!(!store.set_aside(hash, None).unwrap(), "it is");
        assert!(!store.contains(hash));
        assert_eq!((store.length_bytes(hash), store.get(hash).unwrap()), (None, None));
        assert!(store.body(hash).unwrap().is_none());
    }
    assert_eq!((store.hashes(), store.used_bytes()), (vec![], 20));
    assert!(store.touch(&names[0]).unwrap());
    store.put(&[1; 4]).unwrap();
    let mut writer = store.writer(4).unwrap();
    writer.write(&[2; 4]).unwrap();
    writer.finish_as(names[2]).unwrap();
    for (hash, gone) in names.iter().zip([false, false, false, true]) {
        assert_eq!(store.remove_aside(hash).unwrap(), gone);
        assert_eq!(store.contains(hash), !gone);
    }
    assert!(!store.contains(&names[4]));
    store.take_back();
    assert!(store.contains(&names[4]) && !store.remove_aside(&names[4]).unwrap());
    // After a crash nothing is aside.
    store.set_aside(&names[4], None).unwrap();
    drop(store);
    let store = Store::open(directory.path(), 1000).unwrap();
    assert_eq!((store.hashes().len(), store.used_bytes()), (4, 16));
}

#[test]
fn the_limit_holds_and_a_refused_write_leaves_nothing() {
    let (directory, store) = open(10);
    store.put(b"1234567").unwrap();
    assert!(matches!(
        store.put(b"89abc"),
        Err(StoreError::Full {
            used_bytes: 7,
            needed_bytes: 5,
            limit_bytes: 10
        })
    ));
    let mut writer = store.writer(0).unwrap();
    writer.write(b"89").unwrap();
    assert_eq!(store.used_bytes(), 9);
    assert!(matches!(writer.write(b"ab"), Err(StoreError::Full { .. })));
    drop(writer);
    assert_eq!(store.used_bytes(), 7);
    assert_eq!(fs::read_dir(directory.path().join(INCOMING)).unwrap().count(), 0);
    store.put(b"89a").unwrap();
    assert!(matches!(store.writer(u64::MAX), Err(StoreError::Full { .. })));
}

/// What guests announce reserves nothing; what they bring has their share, until it is needed or gone.
#[test]
fn guests_take_room_as_it_comes() {
    let (_directory, store) = open(400_000);
    let guest = Guest::from(IpAddr::from([10, 0, 0, 7]));
    let mut waiting: Vec<_> = (0..3)
        .map(|_| store.guest_writer(guest, 80_000).unwrap())
        .collect();
    assert_eq!(store.used_bytes(), 3 * 4_096);
    store.put(&[1; 290_000]).unwrap();
    let mut writer = waiting.pop().unwrap();
    writer.write(&[2; 80_000]).unwrap();
    let hash = writer.finish().unwrap();
    assert_eq!(store.used_bytes(), 370_000 + 2 * 4_096);
    drop(waiting);
    let refused = |bytes| {
        let writer = store.guest_writer(guest, bytes);
        matches!(writer, Err(StoreError::GuestFull { held_bytes, .. }) if held_bytes > 0)
    };
    assert!(refused(20_001) && !refused(20_000));
    assert_eq!(store.needed_bytes(&hash), None);
    assert!(store.need(&hash).unwrap());
    assert_eq!(store.needed_bytes(&hash), Some(80_000));
    assert!(!refused(20_000) && matches!(store.guest_writer(guest, 30_001), Err(StoreError::Full { .. })));
    // What is needed no more is nobody's, and whoever sends it again has brought it.
    assert!(!store.set_aside(&hash, Some(SystemTime::UNIX_EPOCH)).unwrap());
    assert_eq!(store.needed_bytes(&hash), None);
    assert!(store.remove(&hash).unwrap() && !store.need(&hash).unwrap());
    assert_eq!((store.used_bytes(), store.needed_bytes(&hash)), (290_000, None));
}

#[test]
fn damage_is_found_reported_and_healed() {
    let (_directory, store) = open(1000);
    let hash = store.put(b"weights").unwrap();
    for damage in [&b"wEights"[..], b"weigh", b"", b"weights and more"] {
        store.put(b"weights").unwrap();
        fs::write(store.blob_path(&hash), damage).unwrap();
        assert!(matches!(store.get(&hash), Err(StoreError::Damaged { .. })));
        assert_eq!((store.get(&hash).unwrap(), store.used_bytes()), (None, 0));
        store.put(b"weights").unwrap();
        fs::write(store.blob_path(&hash), damage).unwrap();
        let nothing = |_: &mut dyn Read, _| ();
        assert!(matches!(
            store.read(&hash, nothing),
            Err(StoreError::Damaged { .. })
        ));
        assert_eq!(store.read(&hash, nothing).unwrap(), None);
        store.put(b"weights").unwrap();
        fs::write(store.blob_path(&hash), damage).unwrap();
        assert!(matches!(store.body(&hash), Err(StoreError::Damaged { .. })));
    }
    store.put(b"weights").unwrap();
    fs::remove_file(store.blob_path(&hash)).unwrap();
    assert_eq!((store.get(&hash).unwrap(), store.used_bytes()), (None, 0));
}

/// Whoever writes to the file while it is read changes nothing of what is believed.
#[test]
fn a_change_between_two_reads_is_damage() {
    let (_directory, store) = open(1 << 20);
    let bytes = vec![7; 1 << 19];
    let hash = store.put(&bytes).unwrap();
    let meddled = store.read(&hash, |reader, _| {
        reader.read_exact(&mut vec![0; 1000]).unwrap();
        let file = File::options().write(true).open(store.blob_path(&hash)).unwrap();
        file.write_all_at(b"meddled", 1 << 18).unwrap();
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        rest
    });
    assert!(matches!(meddled, Err(StoreError::Damaged { .. })), "{meddled:?}");
    assert_eq!(store.get(&hash).unwrap(), None);
}

#[test]
fn what_a_crash_left_is_cleared_and_strangers_stay() {
    let (directory, store) = open(1000);
    store.put(b"weights").unwrap();
    // A process that is killed drops nothing: forget the writer, as a kill would.
    let mut writer = store.writer(5).unwrap();
    writer.write(b"half").unwrap();
    std::mem::forget(writer);
    fs::write(directory.path().join(INCOMING).join("77"), b"half").unwrap();
    fs::write(directory.path().join("note.txt"), b"mine").unwrap();
    // The forgotten writer holds a clone, so open a copy of the folder.
    let copy = tempfile::tempdir().unwrap();
    copy_folder(directory.path(), copy.path());
    let store = Store::open(copy.path(), 1000).unwrap();
    assert_eq!(store.used_bytes(), 7);
    assert_eq!(fs::read_dir(copy.path().join(INCOMING)).unwrap().count(), 0);
    assert!(copy.path().join("note.txt").exists());
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let destination = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &destination);
        } else {
            fs::copy(&path, &destination).unwrap();
        }
    }
}

#[test]
fn one_process_at_a_time() {
    let (directory, store) = open(1000);
    assert!(matches!(
        Store::open(directory.path(), 1000),
        Err(StoreError::InUse { .. })
    ));
    drop(store);
    Store::open(directory.path(), 1000).unwrap();
}

#[test]
fn a_wrong_announcement_is_refused() {
    let (_directory, store) = open(1000);
    let mut writer = store.writer(4).unwrap();
    writer.write(b"data").unwrap();
    let expected = ContentHash::of(b"other");
    assert!(matches!(
        writer.finish_as(expected),
        Err(StoreError::WrongHash { .. })
    ));
    assert_eq!((store.used_bytes(), store.hashes().len()), (0, 0));
}

#[test]
fn threads_share_it() {
    let (_directory, store) = open(1 << 20);
    std::thread::scope(|scope| {
        for thread in 0..8u32 {
            let store = store.clone();
            scope.spawn(move || {
                for round in 0..40u32 {
                    // Half of the blobs are everybody's, so that writers, readers and removers meet.
                    let owner = if round % 2 == 0 { 99 } else { thread };
                    let bytes = [owner.to_le_bytes(), (round / 4).to_le_bytes()].concat();
                    let hash = store.put(&bytes).unwrap();
                    if let Some(found) = store.get(&hash).unwrap() {
                        assert_eq!(found, bytes);
                    }
                    if round % 3 == 0 {
                        store.remove(&hash).unwrap();
                    }
                }
            });
        }
    });
    let total: u64 = store
        .hashes()
        .iter()
        .map(|hash| store.length_bytes(hash).unwrap())
        .sum();
    assert_eq!(store.used_bytes(), total);
    for hash in store.hashes() {
        assert!(store.get(&hash).unwrap().is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is put and removed, the account equals the folder, and never passes the limit.
    #[test]
    fn the_account_equals_the_folder(steps in proptest::collection::vec((0u8..12, any::<bool>()), 0..60)) {
        let (directory, store) = open(300);
        for (step, remove) in steps {
            let bytes = vec![step; usize::from(step) * 8];
            if remove {
                store.remove(&ContentHash::of(&bytes)).unwrap();
            } else {
                match store.put(&bytes) {
                    Ok(_) | Err(StoreError::Full { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            prop_assert!(store.used_bytes() <= 300);
            prop_assert_eq!(count(directory.path()).unwrap().stored_bytes, store.used_bytes());
        }
    }
}
