//! The tile of every instruction set against its definition: all heights, odd depths, operands where they are
//! and packed, both reaches, infinities among the values; and that none reads beyond its operands.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Isa, Operand, Reach, TILE_ROWS};
use crate::{
    kernels::{check::Values, portable::Portable},
    matrix::{Lanes, PANEL},
    tensor::bf16_to_f32,
};

/// How an instruction set computes a tile, as [`Isa::tile`].
type Tile = fn(&mut [Lanes], Option<&Lanes>, Operand<'_>, &[Lanes], Reach);

/// Those of this processor.
fn tiles() -> Vec<(&'static str, Tile)> {
    let mut tiles: Vec<(_, Tile)> = vec![(Portable::NAME, Portable::tile)];
    #[cfg(target_arch = "aarch64")]
    if crate::kernels::neon::Neon::detected() {
        tiles.push((crate::kernels::neon::Neon::NAME, crate::kernels::neon::Neon::tile));
    }
    #[cfg(target_arch = "x86_64")]
    {
        use crate::kernels::x86::{Avx2, Avx512};
        if Avx2::detected() {
            tiles.push((Avx2::NAME, Avx2::tile));
        }
        if Avx512::detected() {
            tiles.push((Avx512::NAME, Avx512::tile));
        }
    }
    tiles
}

/// What [`Isa::tile`] says.
fn defined(sums: &mut [Lanes], start: Option<&Lanes>, a: Operand<'_>, panel: &[Lanes], reach: Reach) {
    let rows = sums.len();
    for (row, sums) in sums.iter_mut().enumerate() {
        let left_out = if reach == Reach::Causal { rows - 1 - row } else { 0 };
        *sums = *start.unwrap_or(sums);
        for (k, weights) in panel[..panel.len() - left_out].iter().enumerate() {
            let x = a.values[row * a.row_stride + k * a.depth_stride];
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = x.mul_add(*weight, *sum);
            }
        }
    }
}

/// Ordinary and extreme values, one in about a hundred infinite.
fn take(values: &mut Values, count: usize) -> Vec<f32> {
    let mut taken = values.take(count);
    for value in taken.iter_mut().filter(|value| value.to_bits() % 101 == 0) {
        *value = f32::INFINITY.copysign(*value);
    }
    taken
}

fn rows_of(values: &[f32]) -> Vec<Lanes> {
    values.as_chunks::<PANEL>().0.to_vec()
}

/// Bits, with all NaNs alike.
fn bits(sums: &[Lanes]) -> Vec<u32> {
    let of_number = |value: &f32| if value.is_nan() { f32::NAN } else { *value }.to_bits();
    sums.iter().flatten().map(of_number).collect()
}

#[test]
fn tiles_equal_their_definition_to_the_bit() {
    let mut values = Values::new(7);
    for (name, tile) in tiles() {
        for rows in 1..=TILE_ROWS {
            for depth in [1, 2, 3, rows, rows + 1, 29, 64] {
                // As Operands makes them: packed for the tile, or rows some way apart.
                for (row_stride, depth_stride) in [(1, rows), (depth, 1), (depth + 5, 1)] {
                    for reach in [Reach::Even, Reach::Causal] {
                        if reach == Reach::Causal && (depth < rows || depth_stride > 1) {
                            continue;
                        }
                        let x = take(
                            &mut values,
                            (rows - 1) * row_stride + (depth - 1) * depth_stride + 1,
                        );
                        let a = Operand {
                            values: &x,
                            row_stride,
                            depth_stride,
                        };
                        let panel = rows_of(&take(&mut values, depth * PANEL));
                        let sums = rows_of(&take(&mut values, rows * PANEL));
                        let bias = rows_of(&take(&mut values, PANEL))[0];
                        for start in [None, Some(&bias)] {
                            let (mut expected, mut got) = (sums.clone(), sums.clone());
                            defined(&mut expected, start, a, &panel, reach);
                            tile(&mut got, start, a, &panel, reach);
                            assert!(
                                bits(&got) == bits(&expected),
                                "{name}: {rows} rows {row_stride} apart, {depth} deep, causal: {}",
                                reach == Reach::Causal
                            );
                        }
                    }
                }
            }
        }
    }
}

/// One row by one panel and more, of both types, against the tile's definition.
#[test]
fn rows_equal_their_definition_to_the_bit() {
    fn check<I: Isa>(values: &mut Values) {
        for (panels, depth) in [(1, 1), (2, 3), (3, 64), (4, 65), (1, 200), (4, 129)] {
            let x = take(values, depth);
            let a = Operand {
                values: &x,
                row_stride: depth,
                depth_stride: 1,
            };
            let narrow: Vec<Vec<[u16; PANEL]>> = (0..panels)
                .map(|_| {
                    let upper = |x: f32| (x.to_bits() >> 16) as u16;
                    let rows = rows_of(&take(values, depth * PANEL)).into_iter();
                    rows.map(|row| row.map(upper)).collect()
                })
                .collect();
            let wide: Vec<Vec<Lanes>> = narrow
                .iter()
                .map(|panel| panel.iter().map(|row| row.map(bf16_to_f32)).collect())
                .collect();
            let sums = rows_of(&take(values, panels * PANEL));
            let mut expected = sums.clone();
            for (sums, panel) in expected.iter_mut().zip(&wide) {
                defined(std::slice::from_mut(sums), None, a, panel, Reach::Even);
            }
            let (mut of_wide, mut of_narrow) = (sums.clone(), sums);
            let wide: Vec<&[Lanes]> = wide.iter().map(Vec::as_slice).collect();
            let narrow: Vec<&[[u16; PANEL]]> = narrow.iter().map(Vec::as_slice).collect();
            I::row(&mut of_wide, &x, &wide);
            I::row_bf16(&mut of_narrow, &x, &narrow);
            for found in [of_wide, of_narrow] {
                assert!(
                    bits(&found) == bits(&expected),
                    "{}: {panels} panels, {depth} deep",
                    I::NAME
                );
            }
            // A panel that is shorter than the row is a panic before anything is read.
            let run = AssertUnwindSafe(|| I::row(&mut [[0.0; PANEL]], &x, &[&wide[0][1..]]));
            assert!(catch_unwind(run).is_err(), "{}", I::NAME);
        }
    }
    let mut values = Values::new(8);
    check::<Portable>(&mut values);
    #[cfg(target_arch = "aarch64")]
    if crate::kernels::neon::Neon::detected() {
        check::<crate::kernels::neon::Neon>(&mut values);
    }
    #[cfg(target_arch = "x86_64")]
    {
        use crate::kernels::x86::{Avx2, Avx512};
        if Avx2::detected() {
            check::<Avx2>(&mut values);
        }
        if Avx512::detected() {
            check::<Avx512>(&mut values);
        }
    }
}

/// One value less than a tile reads, or a row more than a tile has, is a panic before anything is read.
#[test]
fn short_operands_are_refused() {
    let panel = [[1.0; PANEL]; 20];
    for (name, tile) in tiles() {
        let refused = |rows: usize, length: usize, (row_stride, depth_stride), depth: usize, reach| {
            let (mut sums, x) = (vec![[0.0; PANEL]; rows], vec![1.0; length]);
            let a = Operand {
                values: &x,
                row_stride,
                depth_stride,
            };
            let run = AssertUnwindSafe(|| tile(&mut sums, None, a, &panel[..depth], reach));
            catch_unwind(run).is_err()
        };
        for rows in 1..=TILE_ROWS {
            for strides in [(1, rows), (20, 1), (23, 1)] {
                let length = (rows - 1) * strides.0 + 19 * strides.1 + 1;
                assert!(!refused(rows, length, strides, 20, Reach::Even), "{name}");
                assert!(
                    refused(rows, length - 1, strides, 20, Reach::Even),
                    "{name}: {rows} rows"
                );
            }
            let causal = |depth| refused(rows, 20 * rows, (20, 1), depth, Reach::Causal);
            assert!(
                !causal(rows) && (rows == 1 || causal(rows - 1)),
                "{name}: {rows} rows"
            );
        }
        assert!(refused(TILE_ROWS + 1, 1000, (20, 1), 20, Reach::Even), "{name}");
        assert!(refused(2, 1000, (usize::MAX, 1), 20, Reach::Even), "{name}");
    }
}
