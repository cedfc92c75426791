// Work on rows. A block has one panel of 32 rows, a thread one lane of one row: it takes elements l, l + 32, ...
// ascending, and lanes fold by halves, as docs/scoring-spec.md, section 4, says.

#define OF_ROW (threadIdx.x % PANEL)
#define LANE ((int)threadIdx.x / PANEL)

// The lanes of a row folded by halves; every lane has the result.
INLINE float fold_sum(float *room, float own) {
    __syncthreads();
    room[threadIdx.x] = own;
    for (int half = PANEL / 2; half > 0; half /= 2) {
        __syncthreads();
        if (LANE < half) room[threadIdx.x] += room[threadIdx.x + half * PANEL];
    }
    __syncthreads();
    return room[OF_ROW];
}

// The largest of a row; a NaN is passed over.
INLINE float fold_max(float *room, float own) {
    __syncthreads();
    room[threadIdx.x] = own;
    for (int half = PANEL / 2; half > 0; half /= 2) {
        __syncthreads();
        float other = room[(threadIdx.x + half * PANEL) % (PANEL * PANEL)];
        if (LANE < half && other > room[threadIdx.x]) room[threadIdx.x] = other;
    }
    __syncthreads();
    return room[OF_ROW];
}

// x[row] = embedding[token of row], from row-major.
KERNEL void embed(float *x, const float *embedding, const u32 *tokens, int width) {
    u32 token = tokens[blockIdx.x * PANEL + OF_ROW];
    for (int c = LANE; c < width; c += PANEL)
        x[((i64)blockIdx.x * width + c) * PANEL + OF_ROW] = embedding[(i64)token * width + c];
}

KERNEL void layer_norm(float *out, const float *x, const float *gamma, const float *beta, int width) {
    SHARED(float, room);
    const float *own = x + (i64)blockIdx.x * width * PANEL + OF_ROW;
    float sum = 0.0f;
    #pragma unroll 8
    for (int c = LANE; c < width; c += PANEL) sum += own[c * PANEL];
    float mean = __fdiv_rn(fold_sum(room, sum), (float)width);
    float squares = 0.0f;
    #pragma unroll 8
    for (int c = LANE; c < width; c += PANEL) {
        float centred = own[c * PANEL] - mean;
        squares = __fmaf_rn(centred, centred, squares);
    }
    float variance = __fdiv_rn(fold_sum(room, squares), (float)width);
    float scale = __fdiv_rn(1.0f, __fsqrt_rn(variance + 1e-5f));
    float *to = out + (i64)blockIdx.x * width * PANEL + OF_ROW;
    #pragma unroll 8
    for (int c = LANE; c < width; c += PANEL)
        to[c * PANEL] = __fmaf_rn((own[c * PANEL] - mean) * scale, gamma[c], beta[c]);
}

// Rotates all heads of a panel of rows; positions by row, tables [pair][position].
KERNEL void rope(float *x, const float *cosines, const float *sines, const u32 *positions, int width, int half,
                 int table) {
    int position = positions[blockIdx.x * PANEL + OF_ROW];
    for (int pair = LANE; pair < width / 2; pair += PANEL) {
        int head = pair / half, i = pair % half;
        float *first = x + ((i64)blockIdx.x * width + head * 2 * half + i) * PANEL + OF_ROW;
        float *second = first + half * PANEL;
        float cosine = cosines[(i64)i * table + position], sine = sines[(i64)i * table + position];
        float a = *first, b = *second;
        *first = __fmaf_rn(a, cosine, -(b * sine));
        *second = __fmaf_rn(b, cosine, a * sine);
    }
}

// Scores to weights, in place: exp(score - largest) of what each query sees, and their sums.
KERNEL void softmax(float *scores, float *totals, const Span *spans, int total_rows) {
    SHARED(float, room);
    Span span = spans[blockIdx.z];
    int query_panels = panels_of(span.queries), key_panels = panels_of(span.keys);
    if ((int)blockIdx.x >= query_panels) return;
    int query = blockIdx.x * PANEL + OF_ROW;
    int seen = query < span.queries ? span.keys - span.queries + query + 1 : 0;
    float *own = scores + span.scores + ((i64)blockIdx.y * query_panels + blockIdx.x) * key_panels * PANEL * PANEL + OF_ROW;
    float largest = __int_as_float((int)0xff800000u);
    #pragma unroll 8
    for (int key = LANE; key < seen; key += PANEL) {
        float score = own[(i64)key * PANEL];
        largest = score > largest ? score : largest;
    }
    largest = fold_max(room, largest);
    float sum = 0.0f;
    #pragma unroll 4
    for (int key = LANE; key < seen; key += PANEL) {
        float weight = exp_exact(own[(i64)key * PANEL] - largest);
        own[(i64)key * PANEL] = weight;
        sum += weight;
    }
    sum = fold_sum(room, sum);
    if (LANE == 0) totals[(i64)blockIdx.y * total_rows + span.query_panel * PANEL + query] = seen ? sum : 1.0f;
}

// -log softmax(logits)[target] of each row.
KERNEL void token_losses(float *out, const float *logits, const u32 *targets, int vocab) {
    SHARED(float, room);
    const float *own = logits + (i64)blockIdx.x * vocab * PANEL + OF_ROW;
    float largest = __int_as_float((int)0xff800000u);
    for (int c = LANE; c < vocab; c += PANEL) largest = own[c * PANEL] > largest ? own[c * PANEL] : largest;
    largest = fold_max(room, largest);
    float sum = 0.0f;
    for (int c = LANE; c < vocab; c += PANEL) sum += exp_exact(own[c * PANEL] - largest);
    sum = fold_sum(room, sum);
    int row = blockIdx.x * PANEL + OF_ROW;
    if (LANE == 0) out[row] = ln_exact(sum) - (own[(i64)targets[row] * PANEL] - largest);
}

// Row-major to panels of rows; rows and columns beyond are 0.
KERNEL void to_panels(float *out, const float *in, int rows, int width) {
    int row = blockIdx.x * PANEL + OF_ROW;
    for (int c = LANE; c < width; c += PANEL)
        out[((i64)blockIdx.x * width + c) * PANEL + OF_ROW] = row < rows ? in[(i64)row * width + c] : 0.0f;
}

// Panels of rows to row-major.
KERNEL void to_rows(float *out, const float *in, int rows, int width) {
    int row = blockIdx.x * PANEL + OF_ROW;
    for (int c = LANE; c < width && row < rows; c += PANEL)
        out[(i64)row * width + c] = in[((i64)blockIdx.x * width + c) * PANEL + OF_ROW];
}
