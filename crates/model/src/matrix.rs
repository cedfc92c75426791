//! A weight matrix, laid out the way matrix products read it.

use std::ops::Range;

use rayon::prelude::*;

use crate::tensor::{Tensor, bf16_to_f32, f16_to_f32};

/// Columns in a panel: also the lanes of a row reduction.
pub const PANEL: usize = 32;

/// A row of a panel.
pub(crate) type Lanes = [f32; PANEL];

/// `inputs` x `outputs`, stored as panels of [`PANEL`] columns: `panels[p][input][column]`. The last
/// panel is filled up with zero columns. A panel is what a register block of outputs reads in one
/// sweep, on every instruction set we know. Values keep the type they came in.
#[derive(Clone, Debug)]
pub struct Matrix {
    inputs: usize,
    outputs: usize,
    panels: Panels,
}

/// The values of a matrix by panels, for devices that read them as they are.
#[derive(Clone, Copy, Debug)]
pub enum PanelValues<'a> {
    /// Values of 32 bits.
    F32(&'a [f32]),
    /// The upper halves of binary32.
    Bf16(&'a [u16]),
    /// IEEE values of 16 bits.
    F16(&'a [u16]),
}

/// All panels, one after the other.
#[derive(Clone, Debug)]
enum Panels {
    F32(Vec<Lanes>),
    Bf16(Vec<[u16; PANEL]>),
    F16(Vec<[u16; PANEL]>),
}

impl Matrix {
    /// From row-major `[inputs, outputs]`.
    ///
    /// # Panics
    /// When the length is not `inputs * outputs`.
    #[must_use]
    pub fn from_row_major(inputs: usize, outputs: usize, values: &[f32]) -> Self {
        Self {
            inputs,
            outputs,
            panels: Panels::F32(pack(inputs, outputs, values)),
        }
    }

    /// From a row-major tensor `[inputs, outputs]`, whose type the matrix keeps.
    ///
    /// # Panics
    /// When the length is not `inputs * outputs`.
    #[must_use]
    pub fn from_tensor(inputs: usize, outputs: usize, tensor: &Tensor) -> Self {
        Self {
            inputs,
            outputs,
            panels: match tensor {
                Tensor::F32(values) => Panels::F32(pack(inputs, outputs, values)),
                Tensor::Bf16(values) => Panels::Bf16(pack(inputs, outputs, values)),
                Tensor::F16(values) => Panels::F16(pack(inputs, outputs, values)),
            },
        }
    }

    /// Row-major `[inputs, outputs]`.
    #[must_use]
    pub fn to_row_major(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.inputs * self.outputs];
        for (input, row) in values.chunks_exact_mut(self.outputs).enumerate() {
            for (output, value) in row.iter_mut().enumerate() {
                *value = self.get(input, output);
            }
        }
        values
    }

    /// Rows: what goes in.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// Columns: what comes out.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        self.outputs
    }

    /// One element.
    #[must_use]
    pub fn get(&self, input: usize, output: usize) -> f32 {
        let (row, column) = (output / PANEL * self.inputs + input, output % PANEL);
        match &self.panels {
            Panels::F32(rows) => rows[row][column],
            Panels::Bf16(rows) => bf16_to_f32(rows[row][column]),
            Panels::F16(rows) => f16_to_f32(rows[row][column]),
        }
    }

    /// All panels, `[panels][inputs][PANEL]`, in the type they came in.
    #[must_use]
    pub const fn panels(&self) -> PanelValues<'_> {
        match &self.panels {
            Panels::F32(rows) => PanelValues::F32(rows.as_slice().as_flattened()),
            Panels::Bf16(rows) => PanelValues::Bf16(rows.as_slice().as_flattened()),
            Panels::F16(rows) => PanelValues::F16(rows.as_slice().as_flattened()),
        }
    }

    /// Bytes it keeps in memory.
    #[must_use]
    pub const fn memory_bytes(&self) -> u64 {
        let bytes = match &self.panels {
            Panels::F32(rows) => size_of::<Lanes>() * rows.len(),
            Panels::Bf16(rows) | Panels::F16(rows) => size_of::<[u16; PANEL]>() * rows.len(),
        };
        bytes as u64
    }

    /// Some rows of a panel: where they are, or widened into `room`.
    #[inline(always)]
    pub(crate) fn stretch<'a>(
        &'a self,
        panel: usize,
        depth: Range<usize>,
        room: &'a mut Vec<Lanes>,
    ) -> &'a [Lanes] {
        let rows = panel * self.inputs + depth.start..panel * self.inputs + depth.end;
        match &self.panels {
            Panels::F32(all) => &all[rows],
            Panels::Bf16(all) => widened(room, &all[rows], bf16_to_f32),
            Panels::F16(all) => widened(room, &all[rows], f16_to_f32),
        }
    }
}

/// Matrices are equal when their values are, whatever type holds them.
impl PartialEq for Matrix {
    fn eq(&self, other: &Self) -> bool {
        (self.inputs, self.outputs) == (other.inputs, other.outputs)
            && (0..self.inputs).all(|input| {
                (0..self.outputs).all(|output| self.get(input, output) == other.get(input, output))
            })
    }
}

#[inline(always)]
fn widened<'a>(room: &'a mut Vec<Lanes>, rows: &[[u16; PANEL]], widen: impl Fn(u16) -> f32) -> &'a [Lanes] {
    room.resize(room.len().max(rows.len()), [0.0; PANEL]);
    for (wide, row) in room.iter_mut().zip(rows) {
        for lane in 0..PANEL {
            wide[lane] = widen(row[lane]);
        }
    }
    &room[..rows.len()]
}

fn pack<T: Copy + Default + Send + Sync>(inputs: usize, outputs: usize, values: &[T]) -> Vec<[T; PANEL]> {
    assert_eq!(
        values.len(),
        inputs * outputs,
        "a row-major [{inputs}, {outputs}]"
    );
    let mut panels = vec![[T::default(); PANEL]; outputs.div_ceil(PANEL) * inputs];
    // Some panels at once, so that what is read from a row lies together.
    const GROUP: usize = 8;
    panels
        .par_chunks_mut(GROUP * inputs)
        .enumerate()
        .for_each(|(group, rows)| {
            let first = group * GROUP * PANEL;
            let last = outputs.min(first + GROUP * PANEL);
            for (input, values) in values.chunks_exact(outputs).enumerate() {
                for (panel, values) in values[first..last].chunks(PANEL).enumerate() {
                    rows[panel * inputs + input][..values.len()].copy_from_slice(values);
                }
            }
        });
    panels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_round_trip() {
        for (inputs, outputs) in [(1, 1), (3, 31), (5, 32), (2, 33), (7, 264)] {
            let halves: Vec<u16> = (0..inputs * outputs).map(|v| v as u16).collect();
            let values: Vec<f32> = halves.iter().map(|half| f32::from(*half)).collect();
            let matrix = Matrix::from_row_major(inputs, outputs, &values);
            assert_eq!(matrix.to_row_major(), values);
            assert_eq!(matrix.get(inputs - 1, outputs - 1), (inputs * outputs - 1) as f32);
            for tensor in [Tensor::Bf16(halves.clone()), Tensor::F16(halves.clone())] {
                let narrow = Matrix::from_tensor(inputs, outputs, &tensor);
                let wide = tensor.into_f32();
                assert_eq!(narrow.to_row_major(), wide);
                assert_eq!(2 * narrow.memory_bytes(), matrix.memory_bytes());
                assert_eq!(narrow, Matrix::from_row_major(inputs, outputs, &wide));
                assert_eq!(narrow == matrix, inputs * outputs == 1, "other values");
            }
        }
    }
}
