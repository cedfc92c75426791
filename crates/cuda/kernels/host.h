// A GPU played by a processor, one block after the other: every thread of a block is a fiber, and a barrier hands on to
// the next. Slow, and enough to hold the kernels' arithmetic and indices against the reference where there is no GPU.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

#include <ucontext.h>

#define INLINE inline
#define KERNEL static
#define BOUNDS(threads, blocks)
#define SHARED(type, name) type *name = (type *)host::shared

struct alignas(16) float4 {
    float x, y, z, w;
};

struct Dim {
    unsigned x, y, z;
};

static Dim threadIdx, blockIdx, blockDim, gridDim;

namespace host {

alignas(16) static char shared[256 * 1024];

struct Fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(64 * 1024);
    bool done;
};

static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static size_t current;

} // namespace host

// All threads of the block reach it before one goes on.
static void __syncthreads() { swapcontext(&host::fibers[host::current].context, &host::scheduler); }

static void copy_async(float *to, const float *from, int reads) {
    if (reads) memcpy(to, from, 16);
    else memset(to, 0, 16);
}

static void copies_end() {}
template <int LEFT> static void copies_wait() {}

static float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static float __fdiv_rn(float a, float b) { return a / b; }
static float __fsqrt_rn(float a) { return sqrtf(a); }
static int __float2int_rn(float a) { return (int)lrintf(a); }
static long long __double2ll_rn(double a) { return llrint(a); }

static int __float_as_int(float a) {
    int bits;
    memcpy(&bits, &a, 4);
    return bits;
}

static float __int_as_float(int bits) {
    float a;
    memcpy(&a, &bits, 4);
    return a;
}

template <class T> static void atomicAdd(T *at, T more) { *at += more; }
template <class T> static void atomicOr(T *at, T more) { *at |= more; }
