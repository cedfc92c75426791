// What the kernels ask of the machine, on a GPU. host.h beside this plays it on a processor.

#define INLINE __device__ __forceinline__
#define KERNEL extern "C" __global__
#define BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#define SHARED(type, name) extern __shared__ __align__(16) type name[]

// Copies 16 bytes to shared memory while the thread goes on; zeros where there is nothing to read.
static __device__ __forceinline__ void copy_async(float *to, const float *from, int reads) {
    unsigned int at = (unsigned int)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(at), "l"(from), "r"(reads ? 16 : 0));
}

static __device__ __forceinline__ void copies_end() { asm volatile("cp.async.commit_group;\n" ::); }

template <int LEFT> static __device__ __forceinline__ void copies_wait() {
    asm volatile("cp.async.wait_group %0;\n" ::"n"(LEFT));
}
