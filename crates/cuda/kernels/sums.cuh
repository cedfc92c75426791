// Sums over tokens, which are integers: their order is free, so threads add them as they come. And work on single
// elements.

// What a panel of rows belongs to: its chunk, and how many of its rows are the chunk's.
struct Owner {
    int chunk, rows;
};

// Adds each column of a panel to its chunk's sums in units of 2^-24; notes chunks with a value out of range.
KERNEL void sum_rows(i64 *sums, u32 *out_of_range, const float *x, const Owner *owners, int width) {
    Owner owner = owners[blockIdx.x];
    int c = blockIdx.y * blockDim.x + threadIdx.x;
    if (c >= width) return;
    const float *own = x + ((i64)blockIdx.x * width + c) * PANEL;
    i64 sum = 0;
    bool in_range = true;
    for (int row = 0; row < owner.rows; row++) {
        // NaN is not below anything.
        in_range = in_range && fabsf(own[row]) < 32768.0f;
        sum += __double2ll_rn((double)own[row] * 16777216.0);
    }
    if (in_range) atomicAdd((u64 *)&sums[(i64)owner.chunk * width + c], (u64)sum);
    else atomicOr(&out_of_range[owner.chunk], 1u);
}

#define POINTS 16

// Adds each row's cosines and sines at all points to its chunk's sums [POINTS][2][directions], in units of 2^-21.
KERNEL void characteristic(i64 *sums, const float *projections, const Owner *owners, int directions) {
    Owner owner = owners[blockIdx.x];
    int s = blockIdx.y * blockDim.x + threadIdx.x;
    if (s >= directions) return;
    const float *own = projections + ((i64)blockIdx.x * directions + s) * PANEL;
    // 32 rows of at most 2^21 each, a little more by rounding.
    int cosines[POINTS], sines[POINTS];
    #pragma unroll
    for (int point = 0; point < POINTS; point++) cosines[point] = sines[point] = 0;
    for (int row = 0; row < owner.rows; row++) {
        float sine_1, cosine_1;
        sin_cos_exact(own[row] * 0.1875f, sine_1, cosine_1);
        float sine = sine_1, cosine = cosine_1;
        #pragma unroll
        for (int point = 0; point < POINTS; point++) {
            cosines[point] += __float2int_rn(cosine * 2097152.0f);
            sines[point] += __float2int_rn(sine * 2097152.0f);
            float next = __fmaf_rn(cosine, cosine_1, -(sine * sine_1));
            sine = __fmaf_rn(sine, cosine_1, cosine * sine_1);
            cosine = next;
        }
    }
    i64 *to = sums + (i64)owner.chunk * 2 * POINTS * directions + s;
    #pragma unroll
    for (int point = 0; point < POINTS; point++) {
        atomicAdd((u64 *)&to[2 * point * directions], (u64)(i64)cosines[point]);
        atomicAdd((u64 *)&to[(2 * point + 1) * directions], (u64)(i64)sines[point]);
    }
}

KERNEL void gelu(float *x, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) x[i] = gelu_exact(x[i]);
}

KERNEL void add(float *x, const float *y, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) x[i] += y[i];
}

// BF16 or F16 to binary32, exactly.
KERNEL void widen_bf16(float *out, const unsigned short *in, u64 count) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = __int_as_float((int)((u32)in[i] << 16));
}

KERNEL void widen_f16(float *out, const unsigned short *in, u64 count) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u32 sign = (u32)(in[i] & 0x8000) << 16, magnitude = in[i] & 0x7fff;
    // 2^112 moves the exponent from F16's bias to binary32's, subnormals included; weights are finite.
    float wide = __int_as_float((int)(magnitude << 13)) * 5.192296858534828e33f;
    out[i] = __int_as_float(__float_as_int(wide) | (int)sign);
}
