//! Every backend equals the scalar definition bit for bit: odd shapes, subnormals, large and tiny values,
//! any number of threads, any batch.

use proptest::prelude::*;
use soma_model::{
    Directions, Model, Scorer, Simd,
    kernels::{Kernels, POINTS, Rope},
    matrix::Matrix,
    tensor::Tensor,
};
use soma_types::{Architecture, Seed};

/// Values of a stream fixed by `seed`: ordinary ones, and of each 16 about one of an extreme `kind`.
fn values(seed: u64, count: usize, kind: u8) -> Vec<f32> {
    let stream = soma_types::hash::domain_xof("soma test values", &[&seed.to_le_bytes()]);
    let mut bytes = vec![0; 8 * count];
    { stream }.fill(&mut bytes);
    let value = |word: &[u8]| {
        let mantissa = f32::from(i16::from_le_bytes([word[0], word[1]])) / 8192.0
            + f32::from(word[2]) / (8192.0 * 256.0);
        match (word[3] % 16, kind % 6) {
            (0, 1) => mantissa * 1e-39,
            (0, 2) => mantissa * 1e-25,
            (0, 3) => mantissa * 1e5,
            (0, 4) => mantissa * 1e30,
            (0, 5) => 0.0 * mantissa,
            _ => mantissa,
        }
    };
    bytes.chunks_exact(8).map(value).collect()
}

/// Bits, with all NaNs alike: which NaN results is the machine's choice, and no score comes of one.
fn bits(values: &[f32]) -> Vec<u32> {
    values
        .iter()
        .map(|v| {
            if v.is_nan() {
                f32::NAN.to_bits()
            } else {
                v.to_bits()
            }
        })
        .collect()
}

/// Runs `operation` on every backend and compares with the scalar one's results.
fn agree(operation: impl Fn(&dyn Kernels) -> Vec<f32>) {
    let expected = bits(&operation(Simd::Scalar.kernels().unwrap()));
    for simd in Simd::supported().skip(1) {
        let got = bits(&operation(simd.kernels().unwrap()));
        let differs = expected.iter().zip(&got).position(|(a, b)| a != b);
        assert_eq!(
            differs,
            None,
            "{simd} differs at this index of {}",
            expected.len()
        );
    }
}

/// As [`agree`], in thread pools of several sizes.
fn agree_on_threads(operation: impl Fn(&dyn Kernels) -> Vec<f32> + Sync) {
    for threads in [1, 2, 3, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| agree(&operation));
    }
}

/// Every form of linear map, with weights of every type.
fn linear(
    kernels: &dyn Kernels,
    (rows, inputs, outputs): (usize, usize, usize),
    seed: u64,
    kind: u8,
    weight: &Tensor,
) -> Vec<f32> {
    let weight = Matrix::from_tensor(inputs, outputs, weight);
    let x = values(seed ^ 1, rows * inputs, kind / 6);
    let bias = values(seed ^ 2, outputs, kind);
    let mut stored = vec![f32::NAN; rows * outputs];
    kernels.linear(&mut stored, &x, &weight, None);
    let mut active = vec![f32::NAN; rows * outputs];
    kernels.linear_gelu(&mut active, &x, &weight, &bias);
    let mut sum = values(seed ^ 3, rows * outputs, kind);
    kernels.add_linear(&mut sum, &x, &weight, &bias);
    [stored, active, sum].concat()
}

/// Weights of a type, and the same values in binary32.
fn tensors(seed: u64, count: usize, kind: u8) -> [(Tensor, Tensor); 3] {
    let wide = values(seed, count, kind);
    // Any finite bits: the exponent's lowest bit is cleared, so it is never all ones.
    let bits = |mask: u16| -> Vec<u16> { wide.iter().map(|v| (v.to_bits() >> 7) as u16 & mask).collect() };
    let with_wide = |tensor: Tensor| (tensor.clone(), Tensor::F32(tensor.into_f32()));
    [
        with_wide(Tensor::F32(wide.clone())),
        with_wide(Tensor::Bf16(bits(!(1 << 7)))),
        with_wide(Tensor::F16(bits(!(1 << 10)))),
    ]
}

/// Values of one tensor among [`tensors`], on every backend as on the reference, narrow as wide.
fn linear_agrees(shape: (usize, usize, usize), seed: u64, kind: u8) {
    let (narrow, wide) = &tensors(seed, shape.1 * shape.2, kind)[usize::from(kind % 3)];
    let expected = bits(&linear(Simd::Scalar.kernels().unwrap(), shape, seed, kind, wide));
    for simd in Simd::supported() {
        let got = bits(&linear(simd.kernels().unwrap(), shape, seed, kind, narrow));
        assert!(got == expected, "{simd} differs");
    }
}

fn attention(
    kernels: &dyn Kernels,
    seed: u64,
    kind: u8,
    tokens: usize,
    heads: usize,
    half: usize,
) -> Vec<f32> {
    let width = heads * half * 2;
    let rope = Rope::new(tokens, 2 * half, 10_000);
    let [mut q, mut k, v] = [0, 1, 2].map(|i| values(seed ^ i, tokens * width, kind.wrapping_add(i as u8)));
    kernels.rope(&mut q, &rope, heads, 0);
    kernels.rope(&mut k, &rope, heads, 0);
    let mut out = vec![f32::NAN; tokens * width];
    kernels.attention(&mut out, &q, &k, &v, heads, width);
    [q, k, out].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn small_linear_maps(seed: u64, kind: u8, rows in 1..30_usize, inputs in 1..80_usize, outputs in 1..75_usize) {
        linear_agrees((rows, inputs, outputs), seed, kind);
    }

    #[test]
    fn short_attention(seed: u64, kind: u8, tokens in 1..50_usize, heads in 1..4_usize, half in 1..20_usize) {
        agree(|kernels| attention(kernels, seed, kind, tokens, heads, half));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Rows that are packed, several stretches of k.
    #[test]
    fn deep_linear_maps(seed: u64, kind: u8, rows in 1..30_usize, inputs in 400..2600_usize, outputs in 1..40_usize) {
        linear_agrees((rows, inputs, outputs), seed, kind);
    }

    #[test]
    fn long_attention(seed: u64, kind: u8, tokens in 50..300_usize, heads in 1..3_usize, half in 1..40_usize) {
        agree(|kernels| attention(kernels, seed, kind, tokens, heads, half));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    /// Enough work to be split: many rows by few columns, few rows by many columns.
    #[test]
    fn split_linear_maps(seed: u64, kind: u8, rows in 1..30_usize, outputs in 300..500_usize, inputs in 300..600_usize) {
        for (rows, outputs) in [(rows, outputs), (outputs, rows)] {
            let weight = Tensor::F32(values(seed, inputs * outputs, kind));
            agree_on_threads(|kernels| linear(kernels, (rows, inputs, outputs), seed, kind, &weight));
        }
    }

    #[test]
    fn split_attention(seed: u64, kind: u8, tokens in 200..300_usize, heads in 1..4_usize, half in 20..40_usize) {
        agree_on_threads(|kernels| attention(kernels, seed, kind, tokens, heads, half));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn rows(seed: u64, kind: u8, rows in 1..12_usize, width in 1..400_usize) {
        let x = values(seed, rows * width, kind);
        let (gamma, beta) = (values(seed ^ 1, width, kind), values(seed ^ 2, width, kind));
        let targets: Vec<u16> = (0..rows).map(|row| (row * 7 % width) as u16).collect();
        agree(|kernels| {
            let mut normed = vec![0.0; rows * width];
            kernels.layer_norm(&mut normed, &x, &gamma, &beta);
            let mut active = x.clone();
            kernels.gelu(&mut active);
            kernels.add(&mut active, &normed);
            let mut losses = vec![0.0; rows];
            kernels.token_losses(&mut losses, &mut x.clone(), &targets);
            [normed, active, losses].concat()
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn sums(seed: u64, kind in 0..4_u8, rows in 1..1200_usize, directions in 1..40_usize) {
        let x = values(seed, rows * directions, kind);
        let run = |kernels: &dyn Kernels| {
            let mut sums = vec![3; POINTS * 2 * directions];
            kernels.characteristic(&mut sums, &x, directions);
            let mut rows = vec![5; directions];
            let small: Vec<f32> = x.iter().map(|x| x.clamp(-32_767.0, 32_767.0)).collect();
            kernels.sum_rows(&mut rows, &small);
            (sums, rows)
        };
        let expected = run(Simd::Scalar.kernels().unwrap());
        for simd in Simd::supported().skip(1) {
            prop_assert_eq!(&run(simd.kernels().unwrap()), &expected, "{}", simd);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whole_models(
        seed: u64,
        heads in 1..4_u32,
        half in 1..12_u32,
        layers in 1..3_u32,
        ffn_dim in 1..90_u32,
        max_seq_len in 2..50_u32,
        data in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        let embedding_dim = 2 * heads * half;
        let architecture = Architecture { embedding_dim, heads, layers, ffn_dim, max_seq_len, rope_wavelength: 10_000 };
        let model = random(&architecture, seed);
        let directions = Directions::draw(&Seed([1; 32]), &architecture);
        let expected = Scorer::with(Simd::Scalar).unwrap().score(&model, &data, &directions).unwrap();
        for simd in Simd::supported() {
            let scorer = Scorer::with(simd).unwrap();
            for threads in [1, 2, 3, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let score = pool.install(|| scorer.score(&model, &data, &directions)).unwrap();
                prop_assert_eq!(&score, &expected, "{} on {} threads", simd, threads);
            }
        }
    }
}

/// Random weights of ordinary size.
fn random(architecture: &Architecture, seed: u64) -> Model {
    let tensors = soma_model::layout(architecture)
        .into_iter()
        .enumerate()
        .map(|(index, spec)| {
            let scale = 0.5 / (spec.shape[0] as f32).sqrt();
            let values = values(seed ^ (index as u64) << 32, spec.len(), 0);
            let centre = if spec.name.ends_with("gamma") { 1.0 } else { 0.0 };
            (
                spec.name,
                values.into_iter().map(|v| centre + v * scale).collect(),
            )
        });
    Model::from_tensors(architecture, tensors).unwrap()
}

/// A chunk's losses depend neither on what else is scored with it nor on what follows.
#[test]
fn chunks_are_independent() {
    let architecture = Architecture {
        max_seq_len: 48,
        ..Architecture::NANO
    };
    let model = random(&architecture, 9);
    let scorer = Scorer::new().unwrap();
    let data: Vec<u8> = (0..48 * 5).map(|i| (i * i % 251) as u8).collect();
    let all = scorer.token_losses(&model, &data).unwrap();
    for (index, losses) in all.iter().enumerate() {
        let alone = scorer
            .token_losses(&model, &data[index * 48..(index + 1) * 48])
            .unwrap();
        assert_eq!(&alone[0], losses);
        // Causality: a prefix predicts the same.
        let prefix = scorer
            .token_losses(&model, &data[index * 48..index * 48 + 20])
            .unwrap();
        assert_eq!(prefix[0][..19], losses[..19]);
    }
}

/// One layer of V1's width: deep sums, many panels, blocked depth.
#[test]
fn wide_layers_agree() {
    let architecture = Architecture {
        layers: 1,
        embedding_dim: 512,
        ffn_dim: 1100,
        heads: 2,
        ..Architecture::V1
    };
    let model = random(&architecture, 3);
    let data: Vec<u8> = (0..70).map(|i| (i * 37 % 251) as u8).collect();
    let directions = Directions::draw(&Seed([2; 32]), &architecture);
    let expected = Scorer::with(Simd::Scalar)
        .unwrap()
        .score(&model, &data, &directions)
        .unwrap();
    for simd in Simd::supported() {
        assert_eq!(
            Scorer::with(simd)
                .unwrap()
                .score(&model, &data, &directions)
                .unwrap(),
            expected,
            "{simd}"
        );
    }
}
