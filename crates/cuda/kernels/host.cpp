// The kernels as functions of the processor, and how they are launched (host.h).

#include "host.h"

#include "arithmetic.cuh"

#include "tile.cuh"

#include "rows.cuh"

#include "sums.cuh"

namespace host {

// A kernel with arguments as a launch gives them: by place.
template <class... Args, size_t... Index>
static void call(void (*kernel)(Args...), void **args, std::index_sequence<Index...>) {
    kernel(*(Args *)args[Index]...);
}

template <class... Args> static void call(void (*kernel)(Args...), void **args) {
    call(kernel, args, std::index_sequence_for<Args...>());
}

#define ENTRY(name) {#name, [](void **args) { call(name, args); }}
static const struct {
    const char *name;
    void (*run)(void **);
} KERNELS[] = {ENTRY(linear),     ENTRY(scores),       ENTRY(values),    ENTRY(embed),
               ENTRY(layer_norm), ENTRY(rope),         ENTRY(softmax),   ENTRY(token_losses),
               ENTRY(to_panels),  ENTRY(to_rows),      ENTRY(sum_rows),  ENTRY(characteristic),
               ENTRY(gelu),       ENTRY(add),          ENTRY(widen_bf16), ENTRY(widen_f16)};

static void (*running)(void **);
static void **arguments;

static void fiber() {
    running(arguments);
    fibers[current].done = true;
}

static void block(unsigned threads) {
    for (unsigned i = 0; i < threads; i++) {
        Fiber &each = fibers[i];
        each.done = false;
        getcontext(&each.context);
        each.context.uc_stack.ss_sp = each.stack.data();
        each.context.uc_stack.ss_size = each.stack.size();
        each.context.uc_link = &scheduler;
        makecontext(&each.context, fiber, 0);
    }
    for (bool going = true; going;) {
        going = false;
        for (unsigned i = 0; i < threads; i++) {
            if (fibers[i].done) continue;
            current = i;
            threadIdx = {i, 0, 0};
            swapcontext(&scheduler, &fibers[i].context);
            going |= !fibers[i].done;
        }
    }
}

} // namespace host

// 0, or 1 where there is no such kernel. One launch at a time.
extern "C" int host_launch(const char *name, const unsigned *grid, unsigned threads, void **args) {
    for (auto &kernel : host::KERNELS) {
        if (strcmp(kernel.name, name) != 0) continue;
        host::running = kernel.run;
        host::arguments = args;
        if (host::fibers.size() < threads) host::fibers.resize(threads);
        gridDim = {grid[0], grid[1], grid[2]};
        blockDim = {threads, 1, 1};
        for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
            for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
                for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++) host::block(threads);
        return 0;
    }
    return 1;
}
