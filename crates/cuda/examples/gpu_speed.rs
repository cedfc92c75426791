//! Measures exact scoring on GPU 0: the whole conformance suite, whole V1 models against the processor bit
//! for bit, and speed beside the fused multiply-add peak measured in the same run.
//!
//! `cargo run --release -p soma-cuda --example gpu_speed [-- sweep]`: `sweep` tries other shapes of tiles and
//! takes the fastest.
#![allow(clippy::disallowed_types)] // a benchmark needs a clock
#![allow(unsafe_code)] // the peak is measured with a kernel of its own

use std::{
    error::Error,
    time::{Duration, Instant},
};

use cudarc::{
    driver::{CudaContext, LaunchConfig, PushKernelArg},
    nvrtc::compile_ptx,
};
use soma_cuda::{Driver, Engine, Tiles};
use soma_model::{
    Batch, Directions, Model, Scorer, Simd,
    conformance::Suite,
    device::{Checked, Device},
};
use soma_types::{Architecture, Seed, architecture::VOCAB};

const GIB: f64 = (1_u64 << 30) as f64;

fn main() -> Result<(), Box<dyn Error>> {
    let peak = peak_tflops()?;
    println!("fused multiply-add peak, measured: {peak:.1} TFLOP/s");
    let mut fastest = (Tiles::BEST, f64::INFINITY);
    if std::env::args().nth(1).as_deref() == Some("sweep") {
        for tiles in sweep() {
            let (seconds, tflops) = one(open(tiles)?, &Model::random(&four_layers(), 1), 8 * 1024)?;
            let share = 100.0 * tflops / peak;
            println!(
                "{tiles:?}: 4 layers of V1, 8 KiB: {:.2} ms, {tflops:.1} TFLOP/s, {share:.1}% of peak",
                seconds * 1e3
            );
            if seconds < fastest.1 {
                fastest = (tiles, seconds);
            }
        }
    }
    let (tiles, _) = fastest;
    let start = Instant::now();
    let engine = open(tiles)?;
    println!(
        "{}: opened and compiled in {:.2} s",
        engine.name(),
        start.elapsed().as_secs_f64()
    );
    let start = Instant::now();
    let checked = Checked::new(engine)?;
    println!("self-check in {:.2} s", start.elapsed().as_secs_f64());
    let (mut matched, mut cases) = (0, 0);
    for tally in Suite::load()?.run_on(engine) {
        println!(
            "  {:<16} {:>3} of {:>3}",
            tally.operation, tally.matched, tally.cases
        );
        (matched, cases) = (matched + tally.matched, cases + tally.cases);
    }
    println!("conformance suite: {matched} of {cases} bit for bit");

    let start = Instant::now();
    let models: Vec<Model> = std::thread::scope(|scope| {
        let made: Vec<_> = (1..=3)
            .map(|seed| scope.spawn(move || Model::random(&Architecture::V1, seed)))
            .collect();
        made.into_iter()
            .map(|made| made.join().expect("a model is made"))
            .collect()
    });
    println!(
        "three random V1 models made in {:.1} s",
        start.elapsed().as_secs_f64()
    );
    let processor = Scorer::with(Simd::chosen()?)?;
    let device = processor.on(checked);
    let directions = Directions::draw(&Seed([7; 32]), &Architecture::V1);
    let text = text(16 * 1024);
    let free = engine.free_bytes()?;
    for model in &models {
        let start = Instant::now();
        device.score(model, &text[..64], &directions)?;
        println!(
            "a model to the GPU and 64 bytes scored: {:.2} s",
            start.elapsed().as_secs_f64()
        );
    }
    println!(
        "memory: {:.2} GiB for three models",
        (free - engine.free_bytes()?) as f64 / GIB
    );
    for bytes in [1, 33, 300, 1500] {
        let start = Instant::now();
        let expected = processor.score(&models[0], &text[..bytes], &directions)?;
        let seconds = start.elapsed().as_secs_f64();
        let found = device.score(&models[0], &text[..bytes], &directions)?;
        let losses = device.token_losses(&models[0], &text[..bytes])?;
        let equal = found == expected && losses == processor.token_losses(&models[0], &text[..bytes])?;
        println!(
            "V1, {bytes} bytes: {} ({} took {seconds:.2} s)",
            if equal { "equal bit for bit" } else { "DIFFERENT" },
            processor.backend()
        );
    }

    for bytes in [1024, 5000, 8 * 1024, 16 * 1024] {
        let (seconds, tflops) = timed(device, &models[..1], &text[..bytes], &directions)?;
        println!(
            "one V1 model, {bytes} bytes: {:.1} ms, {tflops:.1} TFLOP/s, {:.1}% of peak",
            seconds * 1e3,
            100.0 * tflops / peak
        );
    }
    let (seconds, tflops) = timed(device, &models, &text[..5000], &directions)?;
    println!(
        "three V1 models, 5000 bytes: {seconds:.3} s, {tflops:.1} TFLOP/s, {:.1}% of peak",
        100.0 * tflops / peak
    );
    println!(
        "memory: {:.2} GiB with what passes need",
        (free - engine.free_bytes()?) as f64 / GIB
    );
    let nano = Model::random(&Architecture::NANO, 1);
    let nano_directions = Directions::draw(&Seed([7; 32]), &Architecture::NANO);
    let documents: Vec<&[u8]> = text.chunks(1000).collect();
    let rate = |scorer: Scorer| -> Result<f64, Box<dyn Error>> {
        let run = || -> Result<(), Box<dyn Error>> {
            let mut batch = Batch::new(scorer, &documents, &nano_directions)?;
            batch.add(&nano, &|_| std::ops::ControlFlow::Continue(()))?;
            Ok(())
        };
        Ok(text.len() as f64 / best(run)?.as_secs_f64())
    };
    println!(
        "nano, 17 documents: {:.0} tokens/s, {} {:.0}",
        rate(device)?,
        processor.backend(),
        rate(processor)?
    );
    Ok(())
}

/// The fastest seen, and shapes that were near it.
fn sweep() -> [Tiles; 4] {
    let wide = Tiles {
        rows: 128,
        columns: 64,
        row_lanes: 8,
        ..Tiles::BEST
    };
    [
        Tiles::BEST,
        Tiles {
            depth: 32,
            stages: 2,
            ..Tiles::BEST
        },
        wide,
        Tiles {
            threads: 256,
            blocks: 1,
            columns: 256,
            ..wide
        },
    ]
}

fn four_layers() -> Architecture {
    Architecture {
        layers: 4,
        ..Architecture::V1
    }
}

fn open(tiles: Tiles) -> Result<&'static Engine<Driver>, Box<dyn Error>> {
    Ok(Box::leak(Box::new(Engine::new(
        vec![Driver::open(0, tiles)?],
        tiles,
    ))))
}

fn one(engine: &'static Engine<Driver>, model: &Model, bytes: usize) -> Result<(f64, f64), Box<dyn Error>> {
    let scorer = Scorer::with(Simd::chosen()?)?.on(Checked::new(engine)?);
    let directions = Directions::draw(&Seed([7; 32]), model.architecture());
    timed(scorer, std::slice::from_ref(model), &text(bytes), &directions)
}

/// Seconds, and TFLOP/s.
fn timed(
    scorer: Scorer,
    models: &[Model],
    text: &[u8],
    directions: &Directions,
) -> Result<(f64, f64), Box<dyn Error>> {
    let all: Vec<&Model> = models.iter().collect();
    let seconds = best(|| Ok(scorer.score_all(&all, text, directions).map(drop)?))?.as_secs_f64();
    let operations = models.len() as f64 * operations(models[0].architecture(), text.len());
    Ok((seconds, operations / seconds / 1e12))
}

/// Multiplications and additions of linear maps, scores and values; masked ones are not counted.
fn operations(architecture: &Architecture, bytes: usize) -> f64 {
    let (d, ffn) = (
        f64::from(architecture.embedding_dim),
        f64::from(architecture.ffn_dim),
    );
    let length = (architecture.max_seq_len as usize).min(bytes) as f64;
    let layer = 4.0 * d * d + 2.0 * d * ffn + 2.0 * d * (length + 1.0) / 2.0;
    2.0 * bytes as f64 * (f64::from(architecture.layers) * layer + d * (VOCAB + 256) as f64)
}

fn text(bytes: usize) -> Vec<u8> {
    (0..bytes as u32)
        .map(|i| b"the quick brown fox "[(i % 97 % 20) as usize])
        .collect()
}

/// The best of five, after one that does not count.
fn best(mut work: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    work()?;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

/// What every multiprocessor does when it does nothing but independent fused multiply-adds.
fn peak_tflops() -> Result<f64, Box<dyn Error>> {
    const CHAINS: usize = 32;
    const ROUNDS: usize = 1 << 15;
    let source = format!(
        "extern \"C\" __global__ void peak(float *out, float x, float y) {{
            float sums[{CHAINS}];
            for (int i = 0; i < {CHAINS}; i++) sums[i] = threadIdx.x + i;
            #pragma unroll 16
            for (int round = 0; round < {ROUNDS}; round++)
                #pragma unroll
                for (int i = 0; i < {CHAINS}; i++) sums[i] = __fmaf_rn(sums[i], x, y);
            float sum = 0;
            for (int i = 0; i < {CHAINS}; i++) sum += sums[i];
            if (sum == 12345.0f) out[0] = sum;
        }}"
    );
    let context = CudaContext::new(0)?;
    let stream = context.default_stream();
    let peak = context.load_module(compile_ptx(source)?)?.load_function("peak")?;
    let mut out = stream.alloc_zeros::<f32>(1)?;
    let (blocks, threads) = (132 * 8, 256);
    let config = LaunchConfig {
        grid_dim: (blocks, 1, 1),
        block_dim: (threads, 1, 1),
        shared_mem_bytes: 0,
    };
    let seconds = best(|| {
        let mut launch = stream.launch_builder(&peak);
        launch.arg(&mut out).arg(&0.999_f32).arg(&0.001_f32);
        // SAFETY: the kernel takes these, and writes at most the one value.
        unsafe { launch.launch(config) }?;
        Ok(stream.synchronize()?)
    })?;
    let operations = 2.0 * (CHAINS * ROUNDS) as f64 * f64::from(blocks) * f64::from(threads);
    Ok(operations / seconds.as_secs_f64() / 1e12)
}
