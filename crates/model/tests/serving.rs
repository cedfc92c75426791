//! Batches equal single scores, and a shelf keeps to its budget.

use std::{
    ops::ControlFlow,
    sync::{
        Barrier,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use proptest::prelude::*;
use soma_model::{
    Batch, Directions, Model, ModelError, ScoreError, Scorer, Shelf, ShelfError, Simd, Watch, layout,
    reading::Reading, residency::memory_bytes_max, score::working_bytes_max,
};
use soma_types::{Architecture, Seed};

const TINY: Architecture = Architecture {
    embedding_dim: 8,
    heads: 2,
    layers: 1,
    ffn_dim: 12,
    max_seq_len: 16,
    rope_wavelength: 10_000,
};

const GO_ON: &Watch<'static> = &|_| ControlFlow::Continue(());

/// Weights that differ by `seed`; a `broken` model overflows on every document that holds a 'z'.
fn model(seed: usize, broken: bool) -> Model {
    let tensors = layout(&TINY).into_iter().enumerate().map(|(index, spec)| {
        let mut values: Vec<f32> = (0..spec.len())
            .map(|i| ((i * 37 + index * 19 + seed * 7) % 103) as f32 / 103.0 - 0.5)
            .collect();
        if spec.name.ends_with("gamma") {
            values.fill(1.0);
        }
        if broken && spec.name == "embedding.weight" {
            values[usize::from(b'z') * 8..][..8].fill(3e38);
        }
        (spec.name, values)
    });
    Model::from_tensors(&TINY, tensors).unwrap()
}

fn directions() -> Directions {
    Directions::draw(&Seed([3; 32]), &TINY)
}

fn batch(
    models: &[Model],
    documents: &[&[u8]],
    directions: &Directions,
) -> Vec<Result<soma_model::Contest, ScoreError>> {
    let mut batch = Batch::new(Scorer::new().unwrap(), documents, directions).unwrap();
    for model in models {
        batch.add(model, GO_ON).unwrap();
    }
    batch.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn batches_equal_single_scores(
        documents in prop::collection::vec(prop::collection::vec(b'a'..=b'z', 1..200), 1..12),
        models in 1..4_usize,
        threads in 1..4_usize,
    ) {
        let models: Vec<Model> = (0..models).map(|seed| model(seed, seed == 1)).collect();
        let references: Vec<&Model> = models.iter().collect();
        let documents: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
        let directions = directions();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let contests = pool.install(|| batch(&models, &documents, &directions));
        for (document, contest) in documents.iter().zip(&contests) {
            let alone = Scorer::with(Simd::Portable).unwrap().score_all(&references, document, &directions);
            prop_assert_eq!(contest, &alone);
            for (index, model) in references.iter().enumerate() {
                let score = Scorer::new().unwrap().score(model, document, &directions);
                let found = contest.as_ref().unwrap().results()[index].clone();
                prop_assert_eq!(found, score.map_err(|error| match error {
                    ScoreError::Model { error, .. } => error,
                    other => panic!("{other}"),
                }));
            }
        }
    }
}

/// 0 bytes, 1 byte, exactly one chunk, and 1 MiB.
#[test]
fn documents_of_every_size() {
    let directions = directions();
    let (empty, large): (&[u8], Vec<u8>) = (b"", (0..1 << 20).map(|i: u32| (i % 251 * 7) as u8).collect());
    let error = Batch::new(Scorer::new().unwrap(), &[b"a", empty], &directions).unwrap_err();
    assert_eq!(
        error.to_string(),
        "document 1: the data is empty: give at least one byte"
    );
    let documents: [&[u8]; 3] = [b"a", &[b'b'; 16], &large];
    let contests = batch(&[model(0, false)], &documents, &directions);
    let predicted = contests
        .iter()
        .map(|contest| contest.as_ref().unwrap().winning().predicted_tokens());
    assert_eq!(predicted.collect::<Vec<_>>(), [1, 15, 15 * (1 << 16)]);
}

/// A model whose numbers overflow inside loses where that happens, and only there.
#[test]
fn overflow_loses_its_document_and_no_other() {
    let directions = directions();
    let models = [model(1, true), model(2, false)];
    let documents: [&[u8]; 3] = [b"abc", b"sixteen letters.z", b"abc"];
    let contests = batch(&models, &documents, &directions);
    let results = |index: usize| contests[index].as_ref().unwrap().results();
    assert!(results(0)[0].is_ok() && results(0) == results(2));
    assert_eq!(
        results(1)[0],
        Err(ModelError::NotFinite {
            what: "representation",
            position: 16
        })
    );
    assert_eq!(contests[1].as_ref().unwrap().winner(), 1);
    // Alone, it leaves the document without a contest, and the error says which model.
    let alone = batch(&models[..1], &documents, &directions);
    assert!(alone[0].is_ok() && alone[2].is_ok());
    let error = alone[1].as_ref().unwrap_err().to_string();
    assert!(
        error.starts_with("model 0: the model's representation at byte 16"),
        "{error}"
    );
}

#[test]
fn batches_report_tokens_and_can_be_stopped() {
    let directions = directions();
    let large = vec![b'a'; 4000];
    let documents: [&[u8]; 2] = [b"abc", &large];
    let mut batch = Batch::new(Scorer::new().unwrap(), &documents, &directions).unwrap();
    let (done, calls) = (AtomicU64::new(0), AtomicUsize::new(0));
    let watch = |tokens| {
        done.fetch_add(tokens, Ordering::Relaxed);
        calls.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    batch.add(&model(0, false), &watch).unwrap();
    assert_eq!(done.into_inner(), batch.tokens(&TINY));
    assert_eq!(batch.tokens(&TINY), 4 + 4000);
    // Stopped before it begins, and in the middle: nothing half done is kept.
    for stop in 1..calls.into_inner() {
        let calls = AtomicUsize::new(0);
        let stopped = batch.add(&model(1, false), &|_| {
            if calls.fetch_add(1, Ordering::Relaxed) + 1 == stop {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert_eq!(stopped, Err(ScoreError::Cancelled));
    }
    let contests = batch.finish().unwrap();
    assert!(
        contests
            .iter()
            .all(|contest| contest.as_ref().unwrap().results().len() == 1)
    );
}

#[test]
fn batches_refuse_what_makes_no_sense() {
    let (scorer, directions) = (Scorer::new().unwrap(), directions());
    assert_eq!(
        Batch::new(scorer, &[], &directions).unwrap_err(),
        ScoreError::Empty
    );
    let batch = Batch::new(scorer, &[b"a"], &directions).unwrap();
    assert_eq!(batch.finish().unwrap_err(), ScoreError::NoModels);
    let wide = Directions::draw(&Seed([5; 32]), &Architecture::NANO);
    let mut batch = Batch::new(scorer, &[b"a"], &wide).unwrap();
    let (expected, found) = (8, 128);
    assert_eq!(
        batch.add(&model(0, false), GO_ON),
        Err(ScoreError::Dimension { expected, found })
    );
}

/// The bound is exact for binary32, and close for weights that stay narrow.
#[test]
fn memory_is_known_before_loading() {
    let file = model(0, false).to_bytes();
    let takes = model(0, false).memory_bytes();
    assert_eq!(memory_bytes_max(&TINY, u64::MAX), takes);
    assert_eq!(memory_bytes_max(&TINY, file.len() as u64), takes);
    let narrow = Architecture::V1.parameters() * 2;
    let bound = memory_bytes_max(&Architecture::V1, narrow);
    assert!(
        (narrow..narrow + narrow / 100).contains(&bound),
        "{bound} for {narrow}"
    );
}

/// Documents beside each other take memory only for their scores, and what a pass takes is known.
#[test]
fn working_memory_is_bounded() {
    let one = working_bytes_max(&Architecture::V1, 1);
    let pass = working_bytes_max(&Architecture::V1, 2);
    assert!(one < pass && pass < (100 << 10) * 2048, "{one} and {pass}");
    let many = working_bytes_max(&Architecture::V1, 1_000_000);
    assert_eq!(many, working_bytes_max(&Architecture::V1, 1_000));
    assert!(many < 300 << 20, "{many}");
    let small = working_bytes_max(&Architecture::NANO, 1);
    assert!(small < 3 << 20, "{small}");
}

/// Many short documents go through in several passes, and each scores as it does alone.
#[test]
fn short_documents_share_passes() {
    let (scorer, directions, model) = (Scorer::new().unwrap(), directions(), model(0, false));
    let texts: Vec<[u8; 2]> = (0..300_u16).map(u16::to_le_bytes).collect();
    let documents: Vec<&[u8]> = texts.iter().map(|text| &text[..]).collect();
    let mut batch = Batch::new(scorer, &documents, &directions).unwrap();
    batch.add(&model, GO_ON).unwrap();
    for (document, contest) in documents.iter().zip(batch.finish().unwrap()) {
        let alone = scorer.score(&model, document, &directions).unwrap();
        assert_eq!(contest.unwrap().winning(), &alone);
    }
}

type Lent = Result<soma_model::Loan, ShelfError<String>>;

/// Borrows model `key`, counting loads.
fn lend(shelf: &Shelf<usize>, key: usize, loads: &AtomicUsize) -> Lent {
    let size = model(key, false).memory_bytes();
    let load = || {
        loads.fetch_add(1, Ordering::Relaxed);
        Ok(model(key, false))
    };
    shelf.lend(&key, size, load, GO_ON)
}

#[test]
fn the_shelf_drops_the_least_recently_used() {
    let size = model(0, false).memory_bytes();
    let (shelf, loads) = (Shelf::new(2 * size), AtomicUsize::new(0));
    for key in [0, 1, 0] {
        assert_eq!(*lend(&shelf, key, &loads).unwrap(), model(key, false));
    }
    assert_eq!((loads.load(Ordering::Relaxed), shelf.keys()), (2, vec![1, 0]));
    drop(lend(&shelf, 2, &loads).unwrap());
    assert_eq!(shelf.keys(), [0, 2]);
    assert_eq!(shelf.size_bytes(), 2 * size);
    // In use, the oldest stays.
    let zero = lend(&shelf, 0, &loads).unwrap();
    drop(lend(&shelf, 2, &loads).unwrap());
    drop(lend(&shelf, 3, &loads).unwrap());
    assert_eq!(shelf.keys(), [0, 3]);
    drop(zero);
}

/// More models than memory: each is loaded, used by every document, and let go.
#[test]
fn more_models_than_memory_still_score() {
    let size = model(0, false).memory_bytes();
    let (shelf, loads) = (Shelf::new(size), AtomicUsize::new(0));
    let (directions, documents): (_, [&[u8]; 2]) = (directions(), [b"one", b"another"]);
    let mut batch = Batch::new(Scorer::new().unwrap(), &documents, &directions).unwrap();
    for key in 0..4 {
        batch.add(&lend(&shelf, key, &loads).unwrap(), GO_ON).unwrap();
    }
    assert_eq!((loads.into_inner(), shelf.keys()), (4, vec![3]));
    let models: Vec<Model> = (0..4).map(|key| model(key, false)).collect();
    assert_eq!(
        batch.finish().unwrap(),
        self::batch(&models, &documents, &directions)
    );
}

#[test]
fn a_model_larger_than_the_budget_is_refused_with_both_numbers() {
    let size = model(0, false).memory_bytes();
    let (shelf, loads) = (Shelf::new(size - 1), AtomicUsize::new(0));
    let error = lend(&shelf, 0, &loads).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the model takes {size} bytes of memory, the budget is {}: raise the budget",
            size - 1
        )
    );
    assert_eq!(loads.into_inner(), 0, "it was not even tried");
}

#[test]
fn a_model_wanted_by_many_is_loaded_once() {
    let (shelf, loads, start) = (Shelf::new(u64::MAX), AtomicUsize::new(0), Barrier::new(8));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                drop(lend(&shelf, 5, &loads).unwrap());
            });
        }
    });
    assert_eq!(loads.into_inner(), 1);
}

/// Eight threads want six models where two fit: everyone gets theirs, and the budget holds throughout.
#[test]
fn the_budget_holds_under_contention() {
    let size = model(0, false).memory_bytes();
    let (shelf, loads) = (Shelf::new(2 * size + size / 2), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..8 {
            let (shelf, loads) = (&shelf, &loads);
            scope.spawn(move || {
                for round in 0..30 {
                    let key = (thread * 5 + round * 7) % 6;
                    let loan = lend(shelf, key, loads).unwrap();
                    assert!(shelf.size_bytes() <= shelf.budget_bytes());
                    assert_eq!(*loan, model(key, false));
                }
            });
        }
    });
    assert!(loads.into_inner() >= 6);
}

#[test]
fn a_failed_load_leaves_nothing_behind() {
    let (shelf, loads) = (Shelf::new(u64::MAX), AtomicUsize::new(0));
    let failed = shelf.lend(&1, 10, || Err("no such file".to_owned()), GO_ON);
    assert_eq!(failed.unwrap_err().to_string(), "no such file");
    let panicked = thread::scope(|scope| {
        let shelf = &shelf;
        let load = || -> Result<Model, String> { panic!("a loader's bug") };
        scope
            .spawn(move || shelf.lend(&1, 10, load, GO_ON).map(drop))
            .join()
    });
    assert!(panicked.is_err());
    assert_eq!((shelf.size_bytes(), shelf.keys()), (0, vec![]));
    drop(lend(&shelf, 1, &loads).unwrap());
    assert_eq!(loads.into_inner(), 1);
}

/// Who waits for room can be told to stop.
#[test]
fn waiting_can_be_stopped() {
    let size = model(0, false).memory_bytes();
    let (shelf, loads) = (Shelf::new(size), AtomicUsize::new(0));
    let held = lend(&shelf, 0, &loads).unwrap();
    let load = || -> Result<Model, String> { panic!("there is no room") };
    let stopped = shelf.lend(&1, size, load, &|_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(ShelfError::Cancelled)));
    drop(held);
    drop(lend(&shelf, 1, &loads).unwrap());
    assert_eq!(shelf.keys(), [1]);
}

#[test]
fn a_text_that_cannot_go_on_disturbs_no_other() {
    let broken = model(1, true);
    let scorer = Scorer::new().unwrap();
    let mut texts = [(); 3].map(|()| Reading::new(&scorer, &[(&broken, 1)]).unwrap());
    for text in &mut texts {
        text.read(b"a", |_, _| ()).unwrap();
    }
    let mut each: Vec<_> = texts.iter_mut().collect();
    let fared = Reading::read_each(&mut each, b"bzc");
    assert_eq!(
        fared.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true]
    );
    let mut alone = Reading::new(&scorer, &[(&broken, 1)]).unwrap();
    alone.read(b"ac", |_, _| ()).unwrap();
    assert_eq!(texts[2].before().probabilities(), alone.before().probabilities());
}
