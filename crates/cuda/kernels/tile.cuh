// Products of matrices. A block computes a tile of BM x BN outputs, a thread TM x TN of them, each as one chain of
// fused multiply-adds over k ascending: blocking changes no bit. Both operands lie k-major, in panels of 32, so tiles
// are copied as they are, asynchronously, STAGES deep.

#define WARPS_N (THREADS / 32 / WARPS_M)
#define LANES_N (32 / LANES_M)
#define TM (BM / WARPS_M / LANES_M)
#define TN (BN / WARPS_N / LANES_N)

// Element (k, i) at values[i / 32 * panel + k * row + i % 32], with i / 32 < panels. ROW is `row` where it is known.
template <int ROW> struct Operand {
    const float *values;
    i64 panel, row;
    int panels;
};

// Copies WIDTH columns from `first` on, BK rows at a time. What is not there is not read.
template <int WIDTH, int ROW> struct Loader {
    static constexpr int COPIES = WIDTH / 4 * BK / THREADS;
    static constexpr int ROWS_APART = THREADS * 4 / WIDTH;
    const float *source;
    float *room;
    i64 row;
    int k, there;

    INLINE Loader(const Operand<ROW> &from, int first, float *rooms) {
        k = threadIdx.x / (WIDTH / 4);
        int column = threadIdx.x % (WIDTH / 4) * 4, i = first + column;
        there = i / PANEL < from.panels;
        row = ROW ? ROW : from.row;
        source = from.values + i / PANEL * from.panel + k * row + i % PANEL;
        room = rooms + k * WIDTH + column;
    }

    // The next BK rows, of which there are as many.
    INLINE void load(int offset) {
        #pragma unroll
        for (int i = 0; i < COPIES; i++)
            copy_async(room + offset + i * ROWS_APART * WIDTH, source + i * ROWS_APART * row, there);
        source += BK * row;
    }

    // The same where only `left` rows are left.
    INLINE void load_some(int offset, int left) {
        #pragma unroll
        for (int i = 0; i < COPIES; i++) {
            int reads = there && k + i * ROWS_APART < left;
            copy_async(room + offset + i * ROWS_APART * WIDTH, source + i * ROWS_APART * row, reads);
        }
        source += BK * row;
    }
};

// Shared memory: STAGES times BK rows of the first operand, then as many of the second.
#define STAGE_A (BK * BM)
#define STAGE_B (BK * BN)

struct Tile {
    float sums[TM][TN];
    int m, n; // of the thread's first output within the tile

    INLINE Tile() {
        int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        m = warp % WARPS_M * (BM / WARPS_M) + lane % LANES_M * 4;
        n = warp / WARPS_M * (BN / WARPS_N) + lane / LANES_M * 4;
    }

    // Offsets within the tile of the thread's output (i, j).
    INLINE int row(int i) const { return m + i / 4 * (4 * LANES_M) + i % 4; }
    INLINE int column(int j) const { return n + j / 4 * (4 * LANES_N) + j % 4; }

    INLINE void read(float (&a)[TM], float (&b)[TN], const float *as, const float *bs) const {
        #pragma unroll
        for (int i = 0; i < TM; i += 4) {
            float4 four = *(const float4 *)(as + i / 4 * (4 * LANES_M));
            a[i] = four.x, a[i + 1] = four.y, a[i + 2] = four.z, a[i + 3] = four.w;
        }
        #pragma unroll
        for (int j = 0; j < TN; j += 4) {
            float4 four = *(const float4 *)(bs + j / 4 * (4 * LANES_N));
            b[j] = four.x, b[j + 1] = four.y, b[j + 2] = four.z, b[j + 3] = four.w;
        }
    }

    INLINE void step(const float (&a)[TM], const float (&b)[TN]) {
        #pragma unroll
        for (int i = 0; i < TM; i++) {
            #pragma unroll
            for (int j = 0; j < TN; j++) sums[i][j] = __fmaf_rn(a[i], b[j], sums[i][j]);
        }
    }

    // The same for the rows that see k: what a row does not see is absent, not 0.
    INLINE void step_seen(const float (&a)[TM], const float (&b)[TN], int unseen_rows) {
        #pragma unroll
        for (int i = 0; i < TM; i++) {
            bool sees = row(i) >= unseen_rows;
            #pragma unroll
            for (int j = 0; j < TN; j++) {
                float sum = __fmaf_rn(a[i], b[j], sums[i][j]);
                sums[i][j] = sees ? sum : sums[i][j];
            }
        }
    }

    // sums += a b over `depth` rows. Row i of the tile sees k < seen + i; all rows see all where seen >= depth.
    // What the next step needs is read while this one computes, across stages too.
    template <int ROW_A, int ROW_B>
    INLINE void multiply(float *rooms, const Operand<ROW_A> &a, const Operand<ROW_B> &b, int first_m, int first_n,
                         int depth, int seen) {
        float *rooms_b = rooms + STAGES * STAGE_A;
        Loader<BM, ROW_A> load_a(a, first_m, rooms);
        Loader<BN, ROW_B> load_b(b, first_n, rooms_b);
        int stages = (depth + BK - 1) / BK, full = depth / BK, seen_full = (depth < seen ? depth : seen) / BK;
        #pragma unroll
        for (int stage = 0; stage < STAGES - 1; stage++) {
            if (stage < stages) {
                load_a.load_some(stage * STAGE_A, depth - stage * BK);
                load_b.load_some(stage * STAGE_B, depth - stage * BK);
            }
            copies_end();
        }
        copies_wait<STAGES - 2>();
        __syncthreads();
        const float *as = rooms + m, *bs = rooms_b + n;
        float fragment_a[2][TM], fragment_b[2][TN];
        read(fragment_a[0], fragment_b[0], as, bs);
        int reads = 0, writes = STAGES - 1, stage = 0;
        for (; stage < seen_full; stage++) {
            #pragma unroll
            for (int k = 0; k < BK; k++) {
                if (k == 0) {
                    int next = stage + STAGES - 1;
                    if (next < full) {
                        load_a.load(writes * STAGE_A);
                        load_b.load(writes * STAGE_B);
                    } else if (next < stages) {
                        load_a.load_some(writes * STAGE_A, depth - next * BK);
                        load_b.load_some(writes * STAGE_B, depth - next * BK);
                    }
                    copies_end();
                    writes = writes + 1 == STAGES ? 0 : writes + 1;
                }
                if (k == BK - 1) {
                    // The next stage is there, and nobody reads of this one any more.
                    copies_wait<STAGES - 2>();
                    __syncthreads();
                    reads = reads + 1 == STAGES ? 0 : reads + 1;
                    as = rooms + m + reads * STAGE_A, bs = rooms_b + n + reads * STAGE_B;
                }
                int next = (k + 1) % BK;
                read(fragment_a[(k + 1) % 2], fragment_b[(k + 1) % 2], as + next * BM, bs + next * BN);
                step(fragment_a[k % 2], fragment_b[k % 2]);
            }
        }
        for (; stage < stages; stage++) {
            int next = stage + STAGES - 1;
            if (next < stages) {
                load_a.load_some(writes * STAGE_A, depth - next * BK);
                load_b.load_some(writes * STAGE_B, depth - next * BK);
            }
            copies_end();
            writes = writes + 1 == STAGES ? 0 : writes + 1;
            #pragma unroll 1
            for (int i = 0; i < BK && stage * BK + i < depth; i++) {
                read(fragment_a[0], fragment_b[0], as + i * BM, bs + i * BN);
                step_seen(fragment_a[0], fragment_b[0], stage * BK + i + 1 - seen);
            }
            copies_wait<STAGES - 2>();
            __syncthreads();
            reads = reads + 1 == STAGES ? 0 : reads + 1;
            as = rooms + m + reads * STAGE_A, bs = rooms_b + n + reads * STAGE_B;
        }
    }
};

#define PLAIN 0
#define GELU 1
#define ADD 2
#define HEADS 3

// Writes four rows of one column, k-major.
INLINE void write_rows(float *at, float4 four) { *(float4 *)at = four; }

// out = bias + x weight, then what `mode` says: nothing; GELU; out += it; or values by head, [head][row][width].
// Panels of x are [inputs][32], of weight [inputs][32], of out [outputs][32]. z chooses among three maps.
KERNEL void BOUNDS(THREADS, BLOCKS) linear(const float *x, const float *w0, const float *w1, const float *w2,
                                    const float *b0, const float *b1, const float *b2, float *o0, float *o1,
                                    float *o2, int row_panels, int inputs, int outputs, int mode, int mode_last,
                                    int head_dim, int head_width) {
    SHARED(float, room);
    int z = blockIdx.z;
    const float *weight = z == 0 ? w0 : z == 1 ? w1 : w2, *bias = z == 0 ? b0 : z == 1 ? b1 : b2;
    float *out = z == 0 ? o0 : z == 1 ? o1 : o2;
    mode = z + 1 == (int)gridDim.z ? mode_last : mode;
    int first_m = blockIdx.x * BM, first_n = blockIdx.y * BN;
    Tile tile;
    #pragma unroll
    for (int j = 0; j < TN; j++) {
        int n = first_n + tile.column(j);
        float start = bias && n < outputs ? bias[n] : 0.0f;
        #pragma unroll
        for (int i = 0; i < TM; i++) tile.sums[i][j] = start;
    }
    Operand<PANEL> a = {x, (i64)inputs * PANEL, PANEL, row_panels};
    Operand<PANEL> b = {weight, (i64)inputs * PANEL, PANEL, (outputs + PANEL - 1) / PANEL};
    tile.multiply(room, a, b, first_m, first_n, inputs, inputs);
    #pragma unroll
    for (int i = 0; i < TM; i += 4) {
        int m = first_m + tile.row(i);
        if (m / PANEL >= row_panels) continue;
        #pragma unroll
        for (int j = 0; j < TN; j++) {
            int n = first_n + tile.column(j);
            if (n >= outputs) continue;
            float4 four = {tile.sums[i][j], tile.sums[i + 1][j], tile.sums[i + 2][j], tile.sums[i + 3][j]};
            if (mode == HEADS) {
                float *at = out + ((i64)(n / head_dim) * row_panels * PANEL + m) * head_width + n % head_dim;
                at[0] = four.x, at[head_width] = four.y, at[2 * head_width] = four.z, at[3 * head_width] = four.w;
                continue;
            }
            float *at = out + ((i64)(m / PANEL) * outputs + n) * PANEL + m % PANEL;
            if (mode == GELU) {
                four = {gelu_exact(four.x), gelu_exact(four.y), gelu_exact(four.z), gelu_exact(four.w)};
            } else if (mode == ADD) {
                float4 sum = *(const float4 *)at;
                four = {sum.x + four.x, sum.y + four.y, sum.z + four.z, sum.w + four.w};
            }
            write_rows(at, four);
        }
    }
}

// One stretch of rows whose queries see its keys.
struct Span {
    i64 scores; // where its scores begin, for the first head at hand
    int query_panel, key_panel, queries, keys;
};

INLINE int panels_of(int rows) { return (rows + PANEL - 1) / PANEL; }

// Scores by head and panel of queries, [keys][32]: q k scaled. Tiles that no query sees stay as they are.
KERNEL void BOUNDS(THREADS, BLOCKS) scores(float *out, const float *q, const float *k, const Span *spans, int width,
                                    int head_dim, int first_head, float scale) {
    SHARED(float, room);
    Span span = spans[blockIdx.z];
    int tiles_m = (span.queries + BM - 1) / BM, tiles_n = (span.keys + BN - 1) / BN;
    int first_m = blockIdx.x % tiles_m * BM, tile_n = blockIdx.x / tiles_m, first_n = tile_n * BN;
    int earlier = span.keys - span.queries;
    if (tile_n >= tiles_n || first_n > earlier + first_m + BM - 1) return;
    int head = first_head + blockIdx.y;
    int query_panels = panels_of(span.queries), key_panels = panels_of(span.keys);
    i64 panel = (i64)width * PANEL;
    Operand<PANEL> a = {q + span.query_panel * panel + head * head_dim * PANEL, panel, PANEL, query_panels};
    Operand<PANEL> b = {k + span.key_panel * panel + head * head_dim * PANEL, panel, PANEL, key_panels};
    Tile tile;
    #pragma unroll
    for (int i = 0; i < TM; i++) {
        #pragma unroll
        for (int j = 0; j < TN; j++) tile.sums[i][j] = 0.0f;
    }
    tile.multiply(room, a, b, first_m, first_n, head_dim, head_dim);
    float *own = out + span.scores + (i64)blockIdx.y * query_panels * key_panels * PANEL * PANEL;
    #pragma unroll
    for (int i = 0; i < TM; i += 4) {
        int m = first_m + tile.row(i);
        if (m / PANEL >= query_panels) continue;
        #pragma unroll
        for (int j = 0; j < TN; j++) {
            int n = first_n + tile.column(j);
            if (n >= span.keys) continue;
            float4 four = {tile.sums[i][j] * scale, tile.sums[i + 1][j] * scale, tile.sums[i + 2][j] * scale,
                           tile.sums[i + 3][j] * scale};
            write_rows(own + ((i64)(m / PANEL) * key_panels * PANEL + n) * PANEL + m % PANEL, four);
        }
    }
}

// out = weights v / totals, by head, over the keys that each query sees. v is [head][row][head_width].
KERNEL void BOUNDS(THREADS, BLOCKS) values(float *out, const float *weights, const float *totals, const float *v,
                                    const Span *spans, int width, int head_dim, int head_width, int value_rows,
                                    int total_rows, int first_head, int tiles_n) {
    SHARED(float, room);
    Span span = spans[blockIdx.z];
    int tiles_m = (span.queries + BM - 1) / BM;
    // The longest first.
    int tile_m = tiles_m - 1 - (int)blockIdx.x;
    if (tile_m < 0) return;
    int first_m = tile_m * BM, first_n = blockIdx.y % tiles_n * BN, head = first_head + blockIdx.y / tiles_n;
    int earlier = span.keys - span.queries;
    int query_panels = panels_of(span.queries), key_panels = panels_of(span.keys);
    const float *own = weights + span.scores + (i64)(head - first_head) * query_panels * key_panels * PANEL * PANEL;
    Operand<PANEL> a = {own, (i64)key_panels * PANEL * PANEL, PANEL, query_panels};
    Operand<0> b = {v + ((i64)head * value_rows + span.key_panel * PANEL) * head_width, PANEL, head_width,
                 head_width / PANEL};
    Tile tile;
    #pragma unroll
    for (int i = 0; i < TM; i++) {
        #pragma unroll
        for (int j = 0; j < TN; j++) tile.sums[i][j] = 0.0f;
    }
    int last = earlier + first_m + BM, depth = last < span.keys ? last : span.keys;
    tile.multiply(room, a, b, first_m, first_n, depth, earlier + first_m + 1);
    #pragma unroll
    for (int i = 0; i < TM; i += 4) {
        int m = first_m + tile.row(i);
        if (m / PANEL >= query_panels) continue;
        float4 total = *(const float4 *)(totals + (i64)(head - first_head) * total_rows + span.query_panel * PANEL + m);
        #pragma unroll
        for (int j = 0; j < TN; j++) {
            int n = first_n + tile.column(j);
            if (n >= head_dim) continue;
            float4 four = {__fdiv_rn(tile.sums[i][j], total.x), __fdiv_rn(tile.sums[i + 1][j], total.y),
                           __fdiv_rn(tile.sums[i + 2][j], total.z), __fdiv_rn(tile.sums[i + 3][j], total.w)};
            i64 panel = span.query_panel + m / PANEL;
            write_rows(out + (panel * width + head * head_dim + n) * PANEL + m % PANEL, four);
        }
    }
}
