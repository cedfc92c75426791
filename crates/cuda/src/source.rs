//! The kernels' source, and the shape of its tiles.

/// What the kernels ask of a GPU, and the kernels.
pub const SOURCE: &str = concat!(
    include_str!("../kernels/cuda.cuh"),
    include_str!("../kernels/arithmetic.cuh"),
    include_str!("../kernels/tile.cuh"),
    include_str!("../kernels/rows.cuh"),
    include_str!("../kernels/sums.cuh"),
);

/// The blocks of a matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiles {
    /// Threads of a block.
    pub threads: u32,
    /// Blocks that a multiprocessor is to hold: bounds the registers of a thread.
    pub blocks: u32,
    /// Rows of a tile.
    pub rows: u32,
    /// Columns of a tile.
    pub columns: u32,
    /// Warps that share a tile's rows; the others share its columns.
    pub row_warps: u32,
    /// Lanes that share a warp's rows; the others share its columns.
    pub row_lanes: u32,
    /// Rows of an operand that are copied at once.
    pub depth: u32,
    /// Copies in flight, and one that is read.
    pub stages: u32,
}

impl Tiles {
    /// The fastest seen (docs/scoring.md).
    pub const BEST: Self = Self {
        threads: 128,
        blocks: 3,
        rows: 64,
        columns: 128,
        row_warps: 2,
        row_lanes: 4,
        depth: 16,
        stages: 3,
    };

    /// As the compiler is told.
    pub fn definitions(self) -> [String; 8] {
        [
            format!("-DTHREADS={}", self.threads),
            format!("-DBLOCKS={}", self.blocks),
            format!("-DBM={}", self.rows),
            format!("-DBN={}", self.columns),
            format!("-DWARPS_M={}", self.row_warps),
            format!("-DLANES_M={}", self.row_lanes),
            format!("-DBK={}", self.depth),
            format!("-DSTAGES={}", self.stages),
        ]
    }

    /// Shared memory of a block.
    pub const fn shared_bytes(self) -> u32 {
        self.stages * self.depth * (self.rows + self.columns) * size_of::<f32>() as u32
    }
}
