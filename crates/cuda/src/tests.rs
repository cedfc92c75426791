//! The engine on a processor that plays a GPU: the same kernels, held against the reference bit for bit.

use soma_model::{
    BackendError, Batch, Directions, Model, ScoreError, Scorer, Simd,
    conformance::Suite,
    device::{Checked, Device, DeviceError},
};
use soma_types::{Architecture, Seed};

use crate::{
    engine::Engine,
    host::{Host, Words},
    machine::{Arg, Launch, Machine, Plain},
    source::Tiles,
};

fn played(tiles: Tiles, machines: &[usize]) -> &'static Engine<Host> {
    let machines = machines.iter().map(|bytes| Host::new(tiles, *bytes)).collect();
    Box::leak(Box::new(Engine::new(machines, tiles)))
}

const MEMORY: usize = 8 << 30;

#[test]
fn the_whole_suite_matches() {
    let engine = played(Tiles::BEST, &[MEMORY]);
    for tally in Suite::load().unwrap().run_on(engine) {
        assert_eq!(tally.matched, tally.cases, "{}", tally.operation);
    }
    Checked::new(engine).unwrap();
}

/// Blocking changes no bit, so tiles of other shapes score the same.
#[test]
fn the_shape_of_tiles_does_not_matter() {
    let small = Tiles {
        threads: 64,
        blocks: 1,
        rows: 64,
        columns: 64,
        row_warps: 1,
        row_lanes: 4,
        depth: 8,
        stages: 2,
    };
    let engine = played(small, &[MEMORY]);
    for tally in Suite::load().unwrap().run_on(engine) {
        assert_eq!(tally.matched, tally.cases, "{}", tally.operation);
    }
}

/// Documents of many lengths, through several passes, on two machines that share the models.
#[test]
fn scores_are_the_processors() {
    let engine = played(Tiles::BEST, &[MEMORY, MEMORY]);
    let processor = Scorer::with(Simd::Scalar).unwrap();
    let device = processor.on(Checked::new(engine).unwrap());
    assert_eq!(device.backend(), "2 x a processor that plays a GPU");
    let architecture = Architecture {
        layers: 2,
        embedding_dim: 40,
        heads: 2,
        ffn_dim: 72,
        max_seq_len: 150,
        rope_wavelength: 10_000,
    };
    let directions = Directions::draw(&Seed([5; 32]), &architecture);
    let text = b"Whoever scores on another machine finds the same bits. ".repeat(8);
    let documents = [&text[..1], &text[..31], &text[..150], &text[..151], &text[..]];
    let models = [1, 2].map(|seed| Model::random(&architecture, seed));
    let contests = |scorer| {
        let mut batch = Batch::new(scorer, &documents, &directions).unwrap();
        for model in &models {
            batch
                .add(model, &|_| std::ops::ControlFlow::Continue(()))
                .unwrap();
        }
        batch.finish().unwrap()
    };
    assert_eq!(contests(device), contests(processor));
    assert_eq!(
        device.token_losses(&models[0], &text).unwrap(),
        processor.token_losses(&models[0], &text).unwrap()
    );
    assert_eq!(
        device.embed(&models[0], &documents).unwrap(),
        processor.embed(&models[0], &documents).unwrap()
    );
}

/// Weights that overflow are refused with the same words.
#[test]
fn what_is_out_of_range_is_refused_alike() {
    let engine = played(Tiles::BEST, &[MEMORY]);
    let processor = Scorer::with(Simd::Scalar).unwrap();
    let device = processor.on(Checked::new(engine).unwrap());
    let architecture = Architecture {
        max_seq_len: 64,
        ..Architecture::NANO
    };
    let directions = Directions::draw(&Seed([5; 32]), &architecture);
    for large in [1e5, 1e38] {
        let tensors = Model::random(&architecture, 3).tensors().into_iter();
        let tensors = tensors.map(|(spec, mut values)| {
            if spec.name == "final_norm.gamma" {
                values[7] = large;
            }
            (spec.name, values)
        });
        let model = Model::from_tensors(&architecture, tensors).unwrap();
        let error = device.score(&model, &[7; 100], &directions).unwrap_err();
        assert_eq!(
            processor.score(&model, &[7; 100], &directions).unwrap_err(),
            error
        );
        assert!(matches!(error, ScoreError::Model { .. }), "{error}");
    }
}

/// Of models that do not fit together, the one that was used least recently makes room.
#[test]
fn models_make_room_for_one_another() {
    let architecture = Architecture {
        layers: 8,
        embedding_dim: 256,
        ffn_dim: 1024,
        ..Architecture::NANO
    };
    // Each takes 25 MB, and a pass some.
    let engine = played(Tiles::BEST, &[64 << 20]);
    let processor = Scorer::with(Simd::Portable).unwrap();
    let device = processor.on(Checked::new(engine).unwrap());
    let models = [1, 2, 3].map(|seed| Model::random(&architecture, seed));
    let directions = Directions::draw(&Seed([5; 32]), &architecture);
    let scores = |scorer: Scorer| {
        [0, 1, 2, 0].map(|index| scorer.score(&models[index], b"text", &directions).unwrap())
    };
    assert_eq!(scores(device), scores(processor));
    let full = engine.free_bytes().unwrap();
    drop(models);
    let model = Model::random(&Architecture::NANO, 1);
    let directions = Directions::draw(&Seed([5; 32]), &Architecture::NANO);
    device.score(&model, b"text", &directions).unwrap();
    assert!(
        engine.free_bytes().unwrap() > full + (40 << 20),
        "models that are gone leave"
    );
}

/// A model that does not fit is refused by name.
#[test]
fn a_machine_that_is_too_small_says_so() {
    let engine = played(Tiles::BEST, &[48 << 20]);
    let scorer = Scorer::with(Simd::Scalar)
        .unwrap()
        .on(Checked::new(engine).unwrap());
    let large = Architecture {
        layers: 24,
        embedding_dim: 256,
        ffn_dim: 1024,
        ..Architecture::NANO
    };
    let model = Model::random(&large, 1);
    let directions = Directions::draw(&Seed([5; 32]), &large);
    let error = scorer.score(&model, b"text", &directions).unwrap_err();
    let ScoreError::Device(DeviceError::Full { what, .. }) = &error else {
        panic!("{error}");
    };
    assert_eq!(*what, "a model's weights");
    assert!(error.to_string().contains("unset SOMA_DEVICE"), "{error}");
    assert!(!engine.name().is_empty());
}

/// What a pass left behind makes room for a model, and passes that do not fit beside one another wait.
#[test]
fn passes_make_room() {
    let long = Architecture {
        layers: 1,
        embedding_dim: 16,
        heads: 8,
        ffn_dim: 8,
        max_seq_len: 512,
        ..Architecture::NANO
    };
    let wide = Architecture {
        layers: 2,
        embedding_dim: 256,
        ffn_dim: 1024,
        ..Architecture::NANO
    };
    // A pass of the long one takes 10 MB, most of it for scores; the wide one's weights 7 MB.
    let engine = played(Tiles::BEST, &[15_000_000]);
    let processor = Scorer::with(Simd::Portable).unwrap();
    let device = processor.on(Checked::new(engine).unwrap());
    let models = [(&long, 1), (&wide, 2)].map(|(architecture, seed)| Model::random(architecture, seed));
    let score = |scorer: Scorer, model: &Model| {
        let directions = Directions::draw(&Seed([5; 32]), model.architecture());
        scorer.score(
            model,
            &[7; 512][..model.architecture().max_seq_len as usize],
            &directions,
        )
    };
    for model in &models {
        assert_eq!(score(device, model), score(processor, model));
    }
    let expected = score(processor, &models[0]);
    std::thread::scope(|scope| {
        let beside = [(); 2].map(|()| scope.spawn(|| score(device, &models[0])));
        for thread in beside {
            assert_eq!(thread.join().unwrap(), expected);
        }
    });
}

/// A player that gives what is read in the wrong order, if it is the wrong one.
enum Doubtful {
    Right(Host),
    Wrong(Host),
}

impl Doubtful {
    const fn host(&self) -> &Host {
        match self {
            Self::Right(host) | Self::Wrong(host) => host,
        }
    }
}

impl Machine for Doubtful {
    type Memory = Words;
    type Queue = ();

    fn name(&self) -> &str {
        self.host().name()
    }

    fn free_bytes(&self) -> Result<usize, DeviceError> {
        self.host().free_bytes()
    }

    fn queue(&self) -> Result<(), DeviceError> {
        self.host().queue()
    }

    fn room(&self, what: &'static str, bytes: usize) -> Result<Words, DeviceError> {
        self.host().room(what, bytes)
    }

    fn write<T: Plain>(&self, queue: &(), to: &Words, values: &[T]) -> Result<(), DeviceError> {
        self.host().write(queue, to, values)
    }

    fn zero(&self, queue: &(), of: &Words, bytes: usize) -> Result<(), DeviceError> {
        self.host().zero(queue, of, bytes)
    }

    fn read<T: Plain>(&self, queue: &(), from: &Words, count: usize) -> Result<Vec<T>, DeviceError> {
        let mut values = self.host().read(queue, from, count)?;
        if matches!(self, Self::Wrong(_)) {
            values.reverse();
        }
        Ok(values)
    }

    fn launch(&self, queue: &(), launch: Launch, args: &[Arg]) -> Result<(), DeviceError> {
        self.host().launch(queue, launch, args)
    }
}

/// Scoring may run on any machine of a device, so one that is wrong is found wherever it stands.
#[test]
fn every_machine_is_checked() {
    let host = || Host::new(Tiles::BEST, MEMORY);
    let machines = vec![Doubtful::Right(host()), Doubtful::Wrong(host())];
    let engine = Box::leak(Box::new(Engine::new(machines, Tiles::BEST)));
    let error = Checked::new(engine).unwrap_err();
    assert!(matches!(error, BackendError::DeviceDiffers { .. }), "{error}");
}

#[test]
fn names_of_devices_are_read() {
    for (name, means) in [("cuda", None), ("cuda:0", Some(0)), ("cuda:3", Some(3))] {
        assert_eq!(crate::indices(name).unwrap(), means);
    }
    for name in ["gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:+1", "cuda0", "CUDA"] {
        let error = crate::indices(name).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("cuda:N"), "{error}");
    }
}

/// Where there is no GPU, opening one says what is missing. (Where there is one, it opens.)
#[test]
fn a_missing_gpu_is_named() {
    match crate::open("cuda") {
        Ok(device) => drop(Checked::new(device).unwrap()),
        Err(error) => assert!(error.to_string().contains("GPU"), "{error}"),
    }
}
