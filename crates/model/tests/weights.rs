//! Hostile weights files: each deviation gives its named error, none a panic or a large allocation.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use proptest::prelude::*;
use soma_model::{Model, WeightsError, layout, safetensors};
use soma_types::Architecture;

/// Counts the largest single allocation since it was last reset.
struct Watched;
static LARGEST: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code)]
// SAFETY: forwards to the system allocator unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's guarantees are the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

const TINY: Architecture = Architecture {
    embedding_dim: 4,
    heads: 2,
    layers: 1,
    ffn_dim: 6,
    max_seq_len: 8,
    rope_wavelength: 10_000,
};

/// Builds a file from a header and values, whatever they say.
fn file(header: &str, values: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(values);
    bytes
}

/// (name, dtype, shape, begin, end) for each tensor, in layout order.
type Entries = Vec<(String, String, Vec<usize>, usize, usize)>;

fn entries(dtype: &str, size: usize) -> (Entries, usize) {
    let mut end = 0;
    let entries = layout(&TINY)
        .into_iter()
        .map(|spec| {
            let begin = end;
            end += spec.len() * size;
            (spec.name, dtype.to_owned(), spec.shape, begin, end)
        })
        .collect();
    (entries, end)
}

fn render(entries: &Entries) -> String {
    let entries: Vec<String> = entries
        .iter()
        .map(|(name, dtype, shape, begin, end)| {
            format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#)
        })
        .collect();
    format!("{{{}}}", entries.join(","))
}

/// Loads a good file changed by `change`.
fn changed(change: impl FnOnce(&mut Entries, &mut Vec<u8>)) -> WeightsError {
    let (mut entries, total) = entries("F32", 4);
    let mut values = vec![0; total];
    change(&mut entries, &mut values);
    Model::from_bytes(&file(&render(&entries), &values), &TINY).unwrap_err()
}

#[test]
fn the_unchanged_file_loads_in_every_type() {
    for (dtype, size) in [("F32", 4), ("BF16", 2), ("F16", 2)] {
        let (entries, total) = entries(dtype, size);
        Model::from_bytes(&file(&render(&entries), &vec![0; total]), &TINY).unwrap();
        // The reference library reads null as no metadata.
        for metadata in [r#"{"format":"pt"}"#, "null"] {
            let header = render(&entries).replacen('{', &format!(r#"{{"__metadata__":{metadata},"#), 1);
            Model::from_bytes(&file(&header, &vec![0; total]), &TINY).unwrap();
        }
    }
}

#[test]
fn narrow_types_widen_exactly() {
    let wide = |dtype: &str, size: usize, one: &[u8]| {
        let (entries, total) = entries(dtype, size);
        Model::from_bytes(&file(&render(&entries), &one.repeat(total / size)), &TINY).unwrap()
    };
    let expected = wide("F32", 4, &(-1.5_f32).to_le_bytes());
    assert_eq!(wide("BF16", 2, &0xbfc0_u16.to_le_bytes()), expected);
    assert_eq!(wide("F16", 2, &0xbe00_u16.to_le_bytes()), expected);
}

#[test]
fn each_lie_is_named() {
    use WeightsError as E;
    assert!(matches!(
        changed(|e, _| drop(e.remove(3))),
        E::Missing { .. } | E::Gap { .. }
    ));
    assert!(
        matches!(changed(|e, _| e[3].0 = "encoder.extra".into()), E::Unknown { name } if name == "encoder.extra")
    );
    assert!(matches!(
        changed(|e, _| e[3].0 = e[2].0.clone()),
        E::Duplicate { .. }
    ));
    assert!(matches!(changed(|e, _| e[0].2 = vec![4, 264]), E::Shape { .. }));
    assert!(matches!(changed(|e, _| e[0].2 = vec![264 * 4]), E::Shape { .. }));
    assert!(matches!(changed(|e, _| e[0].1 = "F64".into()), E::Dtype { dtype, .. } if dtype == "F64"));
    assert!(matches!(changed(|e, _| e[0].1 = "BF16".into()), E::Range { .. }));
    assert!(matches!(
        changed(|e, _| (e[0].3, e[0].4) = (e[0].4, e[0].3)),
        E::Range { .. }
    ));
    assert!(matches!(
        changed(|e, _| (e[1].3, e[1].4) = (0, 16)),
        E::Gap { .. }
    ));
    assert!(matches!(
        changed(|e, _| {
            let shift = 1 << 40;
            e[1].3 += shift;
            e[1].4 += shift;
        }),
        E::Truncated { .. }
    ));
    assert!(matches!(
        changed(|_, v| v.truncate(v.len() - 1)),
        E::Truncated { .. }
    ));
    assert!(matches!(changed(|_, v| v.push(0)), E::Trailing(1)));
    for (bad, at) in [(f32::NAN, 5), (f32::INFINITY, 0), (f32::NEG_INFINITY, 1055)] {
        let error = changed(|_, v| v[4 * at..4 * at + 4].copy_from_slice(&bad.to_le_bytes()));
        assert!(
            matches!(&error, E::NotFinite { name, index, .. } if name == "embedding.weight" && *index == at)
        );
        assert!(error.to_string().contains("embedding.weight"), "{error}");
    }
}

#[test]
fn malformed_headers_are_named() {
    use WeightsError as E;
    let load = |bytes: &[u8]| Model::from_bytes(bytes, &TINY).unwrap_err();
    assert!(matches!(load(b""), E::Truncated { .. }));
    assert!(matches!(load(b"1234567"), E::Truncated { .. }));
    assert!(matches!(
        load(&u64::MAX.to_le_bytes()),
        E::HeaderTooLarge { length: u64::MAX }
    ));
    assert!(matches!(
        load(&1000_u64.to_le_bytes()),
        E::Truncated {
            needed: 1008,
            available: 8,
            ..
        }
    ));
    assert!(matches!(load(&file("{}", &[])), E::Missing { .. }));
    for header in [
        "",
        "[]",
        "null",
        "{",
        r#"{"a":1}"#,
        r#"{"__metadata__":{},"__metadata__":{}}"#,
        r#"{"embedding.weight":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        r#"{"embedding.weight":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
        r#"{"embedding.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#,
        r#"{"embedding.weight":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}"#,
        &"[".repeat(100_000),
    ] {
        assert!(
            matches!(load(&file(header, &[])), E::Header(_)),
            "{}",
            &header[..header.len().min(80)]
        );
    }
    let huge = r#"{"embedding.weight":{"dtype":"F32","shape":[18446744073709551615,18446744073709551615],"data_offsets":[0,18446744073709551615]}}"#;
    assert!(matches!(load(&file(huge, &[])), E::Shape { .. }));
    assert!(matches!(
        Model::from_bytes(b"", &Architecture { heads: 3, ..TINY }),
        Err(E::Architecture(_))
    ));
    assert!(matches!(
        Model::load("/nonexistent/weights", &TINY),
        Err(E::Io(_))
    ));
}

/// What a stranger wrote into a file moves no cursor and forges no line of whoever loads it.
#[test]
fn names_in_errors_are_escaped() {
    let evil = r"\u001b]0;title\u0007\nw.st: verified, all fine";
    let entry = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    for header in [
        format!(r#"{{"{evil}":{entry}}}"#),
        format!(r#"{{"embedding.weight":{{"{evil}":1}}}}"#),
        format!(r#"{{"embedding.weight":{{"dtype":"{evil}","shape":[1],"data_offsets":[0,4]}}}}"#),
        format!(r#"{{"embedding.weight":"{evil}"}}"#),
    ] {
        let error = Model::from_bytes(&file(&header, &[0; 4]), &TINY)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("verified") && !error.contains(char::is_control),
            "{error:?}"
        );
    }
}

/// Weights through a pipe are those of the file, and one without end is left at the largest file there can
/// be.
#[cfg(unix)]
#[test]
fn weights_come_through_a_pipe() {
    let (entries, total) = entries("F32", 4);
    let bytes = file(&render(&entries), &vec![0; total]);
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let writer = std::thread::spawn({
        let (pipe, bytes) = (pipe.clone(), bytes.clone());
        move || std::fs::write(pipe, bytes)
    });
    let expected = Model::from_bytes(&bytes, &TINY).unwrap();
    assert_eq!(Model::load(&pipe, &TINY).unwrap(), expected);
    writer.join().unwrap().unwrap();
    assert!(Model::load("/dev/zero", &TINY).is_err());
}

/// A V1 header on a tiny file must not make room for V1's weights.
#[test]
fn allocations_stay_below_the_files_size() {
    let mut end = 0;
    let entries: Entries = layout(&Architecture::V1)
        .into_iter()
        .map(|spec| {
            let begin = end;
            end += spec.len() * 4;
            (spec.name, "F32".into(), spec.shape, begin, end)
        })
        .collect();
    let bytes = file(&render(&entries), &[0; 64]);
    LARGEST.store(0, Ordering::Relaxed);
    assert!(matches!(
        Model::from_bytes(&bytes, &Architecture::V1),
        Err(WeightsError::Truncated { .. })
    ));
    // Other tests share the counter; their files are small too.
    assert!(LARGEST.load(Ordering::Relaxed) < 4 << 20);
}

#[test]
fn tensors_in_memory_are_checked_alike() {
    let good = || {
        layout(&TINY)
            .into_iter()
            .map(|spec| (spec.name.clone(), vec![0.5; spec.len()]))
    };
    let model = Model::from_tensors(&TINY, good()).unwrap();
    let values = good().map(|(_, values)| values.len()).sum::<usize>();
    assert!(model.memory_bytes() >= 4 * values as u64, "all weights count");
    assert_eq!(Model::from_bytes(&model.to_bytes(), &TINY).unwrap(), model);
    assert!(matches!(
        Model::from_tensors(&TINY, good().skip(1)),
        Err(WeightsError::Missing { .. })
    ));
    assert!(matches!(
        Model::from_tensors(&TINY, good().chain(good().take(1))),
        Err(WeightsError::Duplicate { .. })
    ));
    let short = good().map(|(name, mut values)| {
        values.pop();
        (name, values)
    });
    assert!(matches!(
        Model::from_tensors(&TINY, short),
        Err(WeightsError::Length { .. })
    ));
    let nan = good().map(|(name, values)| (name, vec![f32::NAN; values.len()]));
    assert!(matches!(
        Model::from_tensors(&TINY, nan),
        Err(WeightsError::NotFinite { .. })
    ));
}

proptest! {
    /// Any flipped bytes either load as other finite weights or give an error.
    #[test]
    fn mutations_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut: prop::sample::Index) {
        let (entries, total) = entries("F32", 4);
        let mut bytes = file(&render(&entries), &vec![0; total]);
        for (at, byte) in flips {
            let at = at.index(bytes.len().min(4000));
            bytes[at] = byte;
        }
        let read = Model::from_bytes(&bytes, &TINY).map(|_| ()).map_err(|error| error.to_string());
        let checked = safetensors::check(&bytes[..], bytes.len() as u64, &layout(&TINY));
        prop_assert_eq!(checked.map_err(|error| error.to_string()), read);
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(Model::from_bytes(&bytes, &TINY).is_err());
    }
}
