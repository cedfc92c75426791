//! A weight matrix, laid out the way matrix products read it.

use std::ops::Range;

/// Columns in a panel: also the lanes of a row reduction.
pub const PANEL: usize = 32;

/// A row of a panel.
pub(crate) type Lanes = [f32; PANEL];

/// `inputs` x `outputs`, stored as panels of [`PANEL`] columns: `panels[p][input][column]`. The last
/// panel is filled up with zero columns. A panel is what a register block of outputs reads in one
/// sweep, on every instruction set we know.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    inputs: usize,
    outputs: usize,
    panels: Vec<Lanes>,
}

impl Matrix {
    /// From row-major `[inputs, outputs]`.
    ///
    /// # Panics
    /// When the length is not `inputs * outputs`.
    #[must_use]
    pub fn from_row_major(inputs: usize, outputs: usize, values: &[f32]) -> Self {
        assert_eq!(
            values.len(),
            inputs * outputs,
            "a row-major [{inputs}, {outputs}]"
        );
        let mut panels = vec![[0.0; PANEL]; outputs.div_ceil(PANEL) * inputs];
        for (panel, first) in panels.chunks_exact_mut(inputs).zip((0..outputs).step_by(PANEL)) {
            let width = PANEL.min(outputs - first);
            for (row, values) in panel.iter_mut().zip(values.chunks_exact(outputs)) {
                row[..width].copy_from_slice(&values[first..first + width]);
            }
        }
        Self {
            inputs,
            outputs,
            panels,
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
        self.panels[output / PANEL * self.inputs + input][output % PANEL]
    }

    /// Bytes it keeps in memory.
    #[must_use]
    pub const fn memory_bytes(&self) -> u64 {
        (size_of::<Lanes>() * self.panels.len()) as u64
    }

    /// Some rows of a panel.
    #[inline(always)]
    pub(crate) fn stretch<'a>(
        &'a self,
        panel: usize,
        depth: Range<usize>,
        _widened: &'a mut Vec<Lanes>,
    ) -> &'a [Lanes] {
        &self.panels[panel * self.inputs..][depth]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_round_trip() {
        for (inputs, outputs) in [(1, 1), (3, 31), (5, 32), (2, 33), (7, 264)] {
            let values: Vec<f32> = (0..inputs * outputs).map(|v| v as f32).collect();
            let matrix = Matrix::from_row_major(inputs, outputs, &values);
            assert_eq!(matrix.to_row_major(), values);
            assert_eq!(matrix.get(inputs - 1, outputs - 1), (inputs * outputs - 1) as f32);
        }
    }
}
