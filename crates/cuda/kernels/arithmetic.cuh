// exp, ln, erf, gelu, sine and cosine as docs/scoring-spec.md, section 4, has them: the same chains of fused
// multiply-adds as crates/model/src/elementary.rs, so that their bits are the same. Compiled without contraction
// (--fmad=false), and with division and square root to nearest.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// Columns of a panel of weights, rows of a panel of activations, lanes of a reduction.
#define PANEL 32

#define ROUND 12582912.0f
#define LN_2_HIGH 0.693147182464599609375f
#define LN_2_LOW -1.9046542e-9f

INLINE float power_of_two(int exponent) { return __int_as_float((exponent + 127) << 23); }

INLINE bool is_nan(float x) { return x != x; }

INLINE float exp_exact(float x) {
    float clamped = x > -104.5f ? x : -104.5f;
    clamped = clamped < 89.0f ? clamped : 89.0f;
    float shifted = __fmaf_rn(clamped, 1.44269502162933349609375f, ROUND);
    float count = shifted - ROUND;
    float r = __fmaf_rn(count, -LN_2_HIGH, clamped);
    r = __fmaf_rn(count, -LN_2_LOW, r);
    float p = 1.3941868e-3f;
    p = __fmaf_rn(p, r, 8.368678e-3f);
    p = __fmaf_rn(p, r, 4.166639e-2f);
    p = __fmaf_rn(p, r, 1.6666521e-1f);
    p = __fmaf_rn(p, r, 0.5f);
    p = __fmaf_rn(r * r, p, r) + 1.0f;
    // Two factors, so that results outside the normal range round once, in the last multiplication.
    int exponent = __float_as_int(shifted) - __float_as_int(ROUND);
    int half = exponent >> 1;
    float y = p * power_of_two(half) * power_of_two(exponent - half);
    return is_nan(x) ? x : y;
}

INLINE float ln_exact(float x) {
    bool tiny = x < 1.17549435e-38f;
    float scaled = tiny ? x * 8388608.0f : x;
    float bias = tiny ? -23.0f : 0.0f;
    u32 offset = (u32)__float_as_int(scaled) - 0x3f3504f3u;
    float exponent = (float)((int)offset >> 23) + bias;
    float m = __int_as_float((int)((offset & 0x007fffffu) + 0x3f3504f3u));
    float f = m - 1.0f;
    float q = 6.915611e-2f;
    q = __fmaf_rn(q, f, -1.178937e-1f);
    q = __fmaf_rn(q, f, 1.1872619e-1f);
    q = __fmaf_rn(q, f, -1.2384402e-1f);
    q = __fmaf_rn(q, f, 1.4218716e-1f);
    q = __fmaf_rn(q, f, -1.666925e-1f);
    q = __fmaf_rn(q, f, 2.0002224e-1f);
    q = __fmaf_rn(q, f, -2.4999987e-1f);
    q = __fmaf_rn(q, f, 3.333331e-1f);
    float square = f * f;
    float tail = __fmaf_rn(exponent, LN_2_LOW, __fmaf_rn(square * f, q, -0.5f * square));
    float y = __fmaf_rn(exponent, LN_2_HIGH, f + tail);
    y = x == 0.0f ? __int_as_float((int)0xff800000u) : y;
    y = x < 0.0f ? __int_as_float(0x7fc00000) : y;
    return x < __int_as_float(0x7f800000) ? y : x;
}

INLINE float erf_exact(float x) {
    float a = __int_as_float(__float_as_int(x) & 0x7fffffff);
    // Below 1: x + x P(x^2).
    float z = x * x;
    float p = 7.920368e-5f;
    p = __fmaf_rn(p, z, -8.0307614e-4f);
    p = __fmaf_rn(p, z, 5.190734e-3f);
    p = __fmaf_rn(p, z, -2.6855126e-2f);
    p = __fmaf_rn(p, z, 1.1283618e-1f);
    p = __fmaf_rn(p, z, -3.761263e-1f);
    p = __fmaf_rn(p, z, 1.2837917e-1f);
    float small = __fmaf_rn(p, x, x);
    // Above: 1 - exp(-Q(|x|)). Beyond 4 the result is 1.
    float a_clamped = a < 4.0f ? a : 4.0f;
    float q = 2.1684615e-5f;
    q = __fmaf_rn(q, a_clamped, -4.413105e-4f);
    q = __fmaf_rn(q, a_clamped, 4.204443e-3f);
    q = __fmaf_rn(q, a_clamped, -2.5207978e-2f);
    q = __fmaf_rn(q, a_clamped, 1.0841822e-1f);
    q = __fmaf_rn(q, a_clamped, 6.3322014e-1f);
    q = __fmaf_rn(q, a_clamped, 1.1295784f);
    q = __fmaf_rn(q, a_clamped, -1.8803644e-4f);
    float large = 1.0f - exp_exact(-q);
    large = __int_as_float(__float_as_int(large) | (__float_as_int(x) & (int)0x80000000u));
    float y = a < 1.0f ? small : large;
    return is_nan(x) ? x : y;
}

INLINE float gelu_exact(float x) { return (0.5f * x) * (1.0f + erf_exact(x * 0.707106769084930419921875f)); }

// Angles beyond 65 536 are taken as 0.
INLINE void sin_cos_exact(float x, float &sine_out, float &cosine_out) {
    float a = __int_as_float(__float_as_int(x) & 0x7fffffff);
    float angle = a <= 65536.0f ? x : 0.0f;
    float shifted = __fmaf_rn(angle, 0.636619746685028076171875f, ROUND);
    float count = shifted - ROUND;
    float r = __fmaf_rn(count, -1.5707964f, angle);
    r = __fmaf_rn(count, 4.371139e-8f, r);
    r = __fmaf_rn(count, 1.7151245e-15f, r);
    float z = r * r;
    float s = -1.9518609e-4f;
    s = __fmaf_rn(s, z, 8.332191e-3f);
    s = __fmaf_rn(s, z, -1.6666655e-1f);
    float sine = __fmaf_rn(s * z, r, r);
    float c = 2.4430668e-5f;
    c = __fmaf_rn(c, z, -1.3887301e-3f);
    c = __fmaf_rn(c, z, 4.1666646e-2f);
    float cosine = __fmaf_rn(z * z, c, __fmaf_rn(-0.5f, z, 1.0f));
    u32 quadrant = (u32)__float_as_int(shifted);
    bool odd = (quadrant & 1) == 1;
    float first = odd ? cosine : sine, second = odd ? sine : cosine;
    first = __int_as_float(__float_as_int(first) ^ (int)((quadrant & 2) << 30));
    second = __int_as_float(__float_as_int(second) ^ (int)(((quadrant + 1) & 2) << 30));
    sine_out = is_nan(x) ? x : first;
    cosine_out = is_nan(x) ? x : second;
}
