//! What is compressed is opened, on every backend and any number of threads, and what is not sound says why.

use std::{
    io::{self, Read},
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

use proptest::prelude::*;
use soma_compress::{CompressError, DecompressError, Expert, Header, Sizes, compress};
use soma_model::{Model, Scorer, Simd};
use soma_types::{Architecture, ContentHash};

/// Contexts of 8 bytes, so blocks of half a kilobyte.
const SMALL: Architecture = Architecture {
    layers: 2,
    embedding_dim: 40,
    heads: 2,
    ffn_dim: 70,
    max_seq_len: 8,
    ..Architecture::NANO
};

const BLOCK: usize = 512;

static MODELS: LazyLock<[Model; 2]> = LazyLock::new(|| [1, 2].map(|seed| Model::random(&SMALL, seed)));

fn weights(index: usize) -> ContentHash {
    ContentHash([index as u8; 32])
}

/// Nobody wants it to stop.
static NEVER: AtomicBool = AtomicBool::new(false);

fn experts() -> [Expert<'static>; 2] {
    [0, 1].map(|index| Expert {
        weights: weights(index),
        stake: 1 + 2 * index as u64,
        model: &MODELS[index],
    })
}

fn models() -> [&'static Model; 2] {
    [&MODELS[0], &MODELS[1]]
}

fn packed(scorer: &Scorer, text: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let sizes = compress(scorer, &experts(), &mut &text[..], &mut packed, &NEVER).unwrap();
    let expected = Sizes {
        text_bytes: text.len() as u64,
        packed_bytes: packed.len() as u64,
    };
    assert_eq!(sizes, expected);
    packed
}

fn opened(scorer: &Scorer, mut packed: &[u8]) -> Result<Vec<u8>, DecompressError> {
    let (header, mut text, length) = (Header::read(&mut packed)?, Vec::new(), packed.len());
    let sizes = header.decompress(scorer, &models(), &mut packed, &mut text, &NEVER)?;
    assert_eq!(sizes.text_bytes, text.len() as u64);
    assert!(sizes.packed_bytes > length as u64);
    Ok(text)
}

/// What the models themselves like to say is shorter packed, so its blocks are coded; noise is stored.
fn likely(length: usize) -> &'static [u8] {
    static LIKELY: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let scorer = Scorer::new().unwrap();
        let experts = [(&MODELS[0], 1), (&MODELS[1], 3)];
        let mut writer = soma_model::Writer::new(&scorer, &experts, b"a").unwrap();
        let choice = soma_model::Choice::new(0.2, 1.0, 3).unwrap();
        let mut text = vec![b'a'];
        while text.len() < 2 * BLOCK {
            text.extend(writer.write(&choice).unwrap());
        }
        text
    });
    &LIKELY[..length]
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// Three blocks of which one is stored, and a short one.
fn mixed() -> Vec<u8> {
    [likely(BLOCK), &noise(BLOCK), likely(BLOCK + 200)].concat()
}

#[test]
fn one_file_on_every_backend_and_any_number_of_threads() {
    let text = mixed();
    let expected = packed(&Scorer::with(Simd::Scalar).unwrap(), &text);
    let fastest = Simd::supported().last().unwrap();
    for (simd, threads) in Simd::supported().map(|simd| (simd, 1)).chain([(fastest, 3)]) {
        let scorer = Scorer::with(simd).unwrap();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            // Opening takes every share; the fastest packs too.
            if threads > 1 {
                assert!(packed(&scorer, &text) == expected, "{simd}, {threads} threads");
            }
            assert!(
                opened(&scorer, &expected).unwrap() == text,
                "{simd}, {threads} threads"
            );
        });
    }
    let coded = likely(2 * BLOCK);
    assert!(packed(&Scorer::new().unwrap(), coded).len() < coded.len());
    // The container is a format: what was written is opened by every later version.
    let hash = blake3::hash(&expected).to_hex();
    assert_eq!(&hash[..16], "a167b7336f023251");
}

#[test]
fn nothing_grows_beyond_a_small_header() {
    let scorer = Scorer::new().unwrap();
    for length in [0, 1, 2, 7, 8, 9, BLOCK - 1, BLOCK, BLOCK + 1, 1500] {
        let text = noise(length);
        let packed = packed(&scorer, &text);
        let frames = length.div_ceil(BLOCK) * 12;
        assert!(
            packed.len() <= length + 43 + 2 * 40 + 44 + frames,
            "{length}: {}",
            packed.len()
        );
        assert!(opened(&scorer, &packed).unwrap() == text, "{length}");
    }
}

/// Any byte changed, any byte missing, anything appended, blocks exchanged: each is an error with a name.
#[test]
fn damage_is_named() {
    let scorer = Scorer::new().unwrap();
    let text = mixed();
    let packed = packed(&scorer, &text);
    let header = 43 + 2 * 40;
    for at in (0..header).chain((header..packed.len()).step_by(97)) {
        let mut damaged = packed.clone();
        damaged[at] ^= 1 << (at % 8);
        match (at, opened(&scorer, &damaged).unwrap_err()) {
            (0..8, DecompressError::Foreign) | (8, DecompressError::Version(_)) => {}
            (
                9..,
                DecompressError::HeaderDamaged
                | DecompressError::Header { .. }
                | DecompressError::Truncated { .. },
            ) if at < header => {}
            (
                _,
                DecompressError::Damaged { .. } | DecompressError::Whole | DecompressError::Truncated { .. },
            ) if at >= header => {}
            (at, other) => panic!("byte {at}: {other:?}"),
        }
    }
    for length in (0..packed.len()).step_by(61).chain([packed.len() - 1]) {
        match opened(&scorer, &packed[..length]).unwrap_err() {
            DecompressError::Foreign if length < 8 => {}
            DecompressError::Truncated { .. } if length >= 8 => {}
            other => panic!("{length} bytes: {other:?}"),
        }
    }
    let error = opened(&scorer, &[&packed[..], b"\n"].concat()).unwrap_err();
    assert!(matches!(error, DecompressError::Trailing), "{error}");
    let frame = |at: usize| {
        let length = u32::from_le_bytes(packed[at + 4..at + 8].try_into().unwrap());
        at..at + 12 + length as usize
    };
    let (first, second) = (frame(header), frame(frame(header).end));
    let exchanged = [
        &packed[..header],
        &packed[second.clone()],
        &packed[first.clone()],
        &packed[second.end..],
    ];
    let error = opened(&scorer, &exchanged.concat()).unwrap_err();
    assert!(
        matches!(error, DecompressError::Damaged { block: 0, bytes: 0 }),
        "{error}"
    );
    let without_end = [&packed[..second.end], &packed[packed.len() - 44..]];
    let error = opened(&scorer, &without_end.concat()).unwrap_err();
    assert!(matches!(error, DecompressError::Whole), "{error}");
}

#[test]
fn other_models_open_nothing() {
    let scorer = Scorer::new().unwrap();
    let packed = packed(&scorer, likely(400));
    let open = |models: &[&Model]| {
        let mut packed = &packed[..];
        let header = Header::read(&mut packed).unwrap();
        assert_eq!(header.architecture(), &SMALL);
        let named: Vec<_> = header
            .experts()
            .iter()
            .map(|named| (named.weights, named.stake))
            .collect();
        assert_eq!(named, [(weights(0), 1), (weights(1), 3)]);
        header
            .decompress(&scorer, models, &mut packed, &mut io::sink(), &NEVER)
            .unwrap_err()
    };
    let [first, second] = models();
    assert!(matches!(
        open(&[first]),
        DecompressError::Count {
            expected: 2,
            found: 1
        }
    ));
    // Under a wrong name, by whoever looked at none.
    assert!(matches!(
        open(&[second, first]),
        DecompressError::Damaged { block: 0, .. }
    ));
    let other = Model::random(&Architecture::NANO, 1);
    assert!(matches!(open(&[first, &other]), DecompressError::Other(named) if named == weights(1)));
}

#[test]
fn what_cannot_be_compressed_says_why() {
    let scorer = Scorer::new().unwrap();
    let attempt = |experts: &[Expert<'_>]| {
        compress(&scorer, experts, &mut &b"text"[..], &mut io::sink(), &NEVER).unwrap_err()
    };
    assert!(matches!(attempt(&[]), CompressError::Experts { found: 0, .. }));
    assert!(matches!(
        attempt(&[experts()[0]; 257]),
        CompressError::Experts {
            found: 257,
            limit: 256
        }
    ));
    let other = Model::random(&Architecture::NANO, 1);
    let mut experts = experts();
    experts[1].model = &other;
    assert!(matches!(attempt(&experts), CompressError::Architectures));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever it is given, opening ends with an error or a text, in bounded memory.
    #[test]
    fn rubbish_does_not_panic(rubbish in prop::collection::vec(any::<u8>(), 0..300), at in 0_usize..200) {
        static PACKED: LazyLock<Vec<u8>> = LazyLock::new(|| packed(&Scorer::new().unwrap(), likely(300)));
        let scorer = Scorer::new().unwrap();
        prop_assert!(opened(&scorer, &rubbish).is_err());
        let mut spoiled = PACKED.clone();
        let at = at.min(spoiled.len());
        let end = spoiled.len().min(at + rubbish.len());
        spoiled[at..end].copy_from_slice(&rubbish[..end - at]);
        if spoiled != *PACKED {
            prop_assert!(opened(&scorer, &spoiled).is_err());
        }
    }
}

/// Wants the work to stop once all is read.
struct Stopping<'t> {
    bytes: &'t [u8],
    stopped: &'t AtomicBool,
}

impl Read for Stopping<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.stopped.store(self.bytes.is_empty(), Ordering::Relaxed);
        Ok(read)
    }
}

/// What is in hand may take hours: whoever stops it does not wait for its end.
#[test]
fn what_is_stopped_ends_within_the_blocks_in_hand() {
    let scorer = Scorer::new().unwrap();
    let text = likely(2 * BLOCK);
    let packed = packed(&scorer, text);
    let (stopped, mut out) = (AtomicBool::new(false), Vec::new());
    let mut source = Stopping {
        bytes: text,
        stopped: &stopped,
    };
    let ended = compress(&scorer, &experts(), &mut source, &mut out, &stopped);
    assert!(matches!(ended, Err(CompressError::Stopped)), "{ended:?}");
    assert!(out.len() < packed.len() && out == packed[..out.len()]);

    let (stopped, mut out) = (AtomicBool::new(false), Vec::new());
    let mut source = Stopping {
        bytes: &packed,
        stopped: &stopped,
    };
    let header = Header::read(&mut source).unwrap();
    let ended = header.decompress(&scorer, &models(), &mut source, &mut out, &stopped);
    assert!(matches!(ended, Err(DecompressError::Stopped)), "{ended:?}");
    assert!(out.is_empty());
}
