// Enough of CUDA C++ to run the kernels on the host, one block after another. The threads of a block are
// fibers, each on a stack of its own, that run until they meet a barrier or exchange values in a warp; the
// block goes on when all have come. What hardware leaves undefined ends the program here: a thread that
// leaves while others wait for it, a warp whose threads wait for different things.
#pragma once
#include <cmath>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <unistd.h>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __align__(n) alignas(n)
#define __launch_bounds__(...)
#define __restrict__
// Blocks run one at a time, so one place serves them all; like the device's, it is not cleared between blocks.
#define __shared__ static

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline float __uint_as_float(unsigned x) { float f; memcpy(&f, &x, 4); return f; }
inline unsigned __float_as_uint(float x) { unsigned u; memcpy(&u, &x, 4); return u; }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(unsigned x) { return __builtin_ffs((int)x); }
inline int __clz(unsigned x) { return x ? __builtin_clz(x) : 32; }
template <class V> inline V __ldg(const V* at) { return *at; }
template <class V> inline V min(V a, V b) { return b < a ? b : a; }
template <class V> inline V max(V a, V b) { return a < b ? b : a; }

// Threads take turns, so nothing comes between.
template <class V> inline V atomicAdd(V* at, V v) { V old = *at; *at = old + v; return old; }
template <class V> inline V atomicOr(V* at, V v) { V old = *at; *at = old | v; return old; }
template <class V> inline V atomicMax(V* at, V v) { V old = *at; if (old < v) *at = v; return old; }
template <class V> inline V atomicExch(V* at, V v) { V old = *at; *at = v; return old; }

namespace on_host {

enum State { RUNNABLE, AT_BARRIER, IN_WARP, DONE };

struct Fiber {
    ucontext_t start;
    jmp_buf at;
    State state;
    bool begun = false;
    std::vector<char> stack = std::vector<char>(1 << 16);
};

inline std::vector<Fiber*> fibers;
inline jmp_buf scheduler;
inline unsigned current;
inline uint64_t warp_values[2][1024];
inline unsigned warp_turn[1024];
inline void (*body)(void*);
inline void* body_arguments;

[[noreturn]] inline void refuse(const char* what) {
    fprintf(stderr, "kernel on host: %s\n", what);
    abort();
}

// The kernel that runs, or none.
inline const char* volatile running;

// What reaches past an end of its memory is told by name before the program ends; on a stack of its own where
// the thread has one.
inline void (*handler_before)(int, siginfo_t*, void*);
inline void out_of_memory(int signal, siginfo_t* info, void* context) {
    if (const char* name = running) {
        running = nullptr;
        for (const char* part : {"kernel on host: ", name, " reads or writes outside all memory\n"})
            (void)!write(2, part, strlen(part));
    }
    if (handler_before) handler_before(signal, info, context);
    else ::signal(SIGSEGV, SIG_DFL);
}

inline void tell_of_faults() {
    static bool told;
    if (told) return;
    told = true;
    struct sigaction ours = {}, before = {};
    ours.sa_sigaction = out_of_memory;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &ours, &before);
    handler_before = before.sa_flags & SA_SIGINFO ? before.sa_sigaction : nullptr;
}

}  // namespace on_host

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;

namespace on_host {

// Leaves this fiber to the scheduler, until it is made runnable again.
inline void leave(State state) {
    fibers[current]->state = state;
    if (_setjmp(fibers[current]->at) == 0) _longjmp(scheduler, 1);
}

// A fiber runs a thread of one block after another: to start it anew would cost more than most threads do.
inline void enter() {
    for (;;) {
        body(body_arguments);
        leave(DONE);
    }
}

inline Fiber* new_fiber() {
    Fiber* fiber = new Fiber;
    getcontext(&fiber->start);
    fiber->start.uc_stack.ss_sp = fiber->stack.data();
    fiber->start.uc_stack.ss_size = fiber->stack.size();
    fiber->start.uc_link = nullptr;
    makecontext(&fiber->start, enter, 0);
    return fiber;
}

inline void resume(unsigned thread) {
    current = thread;
    threadIdx.x = thread % blockDim.x;
    threadIdx.y = thread / blockDim.x % blockDim.y;
    threadIdx.z = thread / (blockDim.x * blockDim.y);
    Fiber& fiber = *fibers[thread];
    if (_setjmp(scheduler) == 0) {
        if (fiber.begun) _longjmp(fiber.at, 1);
        fiber.begun = true;
        setcontext(&fiber.start);
    }
}

inline void run_block(unsigned threads) {
    while (fibers.size() < threads) fibers.push_back(new_fiber());
    for (unsigned t = 0; t < threads; t++) {
        fibers[t]->state = RUNNABLE;
        warp_turn[t] = 0;
    }
    for (;;) {
        unsigned at_barrier = 0, done = 0;
        for (unsigned first = 0; first < threads; first += 32) {
            const unsigned end = first + 32 < threads ? first + 32 : threads;
            for (;;) {
                unsigned in_warp = 0, others = 0;
                for (unsigned t = first; t < end; t++) {
                    if (fibers[t]->state == RUNNABLE) resume(t);
                    (fibers[t]->state == IN_WARP ? in_warp : others)++;
                }
                if (in_warp == 0) break;
                if (others > 0) refuse("threads of a warp wait for values of threads that wait elsewhere or have left");
                for (unsigned t = first; t < end; t++) fibers[t]->state = RUNNABLE;
            }
            for (unsigned t = first; t < end; t++) (fibers[t]->state == DONE ? done : at_barrier)++;
        }
        if (done == threads) return;
        if (at_barrier < threads) refuse("threads of a block wait at a barrier for threads that have left");
        for (unsigned t = 0; t < threads; t++) fibers[t]->state = RUNNABLE;
    }
}

// The value that lane `lane` of this thread's warp gives. Two places in turn, so that nobody's value is
// overwritten before all have read it.
template <class V> inline V from_lane(V v, unsigned lane) {
    static_assert(sizeof(V) <= 8, "values of a warp are at most 8 bytes");
    const unsigned thread = current, turn = warp_turn[thread]++ % 2;
    memcpy(&warp_values[turn][thread], &v, sizeof v);
    leave(IN_WARP);
    V got;
    memcpy(&got, &warp_values[turn][thread / 32 * 32 + lane % 32], sizeof got);
    return got;
}

// A bit from each lane of this thread's warp.
inline unsigned from_warp(bool bit) {
    const unsigned thread = current, turn = warp_turn[thread]++ % 2;
    warp_values[turn][thread] = bit;
    leave(IN_WARP);
    unsigned bits = 0;
    for (unsigned lane = 0; lane < 32; lane++) bits |= (unsigned)(warp_values[turn][thread / 32 * 32 + lane] & 1) << lane;
    return bits;
}

template <class... A, size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<A*>(arguments[I])...);
}

// Which kind of argument: what Rust passes is held against it.
template <class A> constexpr char kind() {
    if (std::is_pointer<A>::value) return 'p';
    if (std::is_same<A, float>::value) return 'f';
    if (std::is_same<A, unsigned>::value) return 'u';
    if (std::is_same<A, unsigned long long>::value) return 'l';
    return '?';
}

template <class... A> void launch(void (*kernel)(A...), const unsigned* grid, const unsigned* block, void** arguments) {
    struct Bound { void (*kernel)(A...); void** arguments; } bound{kernel, arguments};
    body = [](void* b) {
        Bound& bound = *static_cast<Bound*>(b);
        call(bound.kernel, bound.arguments, std::index_sequence_for<A...>{});
    };
    body_arguments = &bound;
    gridDim = {grid[0], grid[1], 1};
    blockDim = {block[0], block[1], 1};
    for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++) run_block(block[0] * block[1]);
}

template <class... A> const char* kinds(void (*)(A...)) {
    static const char text[] = {kind<A>()..., 0};
    return text;
}

}  // namespace on_host

inline void __syncthreads() { on_host::leave(on_host::AT_BARRIER); }
inline void __syncwarp(unsigned = 0xffffffffu) { on_host::from_lane(0, 0); }
template <class V> inline V __shfl_sync(unsigned, V v, int lane) { return on_host::from_lane(v, lane); }
template <class V> inline V __shfl_xor_sync(unsigned, V v, int mask) {
    return on_host::from_lane(v, (on_host::current % 32) ^ mask);
}
template <class V> inline V __shfl_up_sync(unsigned, V v, unsigned delta) {
    const unsigned lane = on_host::current % 32;
    return on_host::from_lane(v, lane >= delta ? lane - delta : lane);
}
template <class V> inline V __shfl_down_sync(unsigned, V v, unsigned delta) {
    const unsigned lane = on_host::current % 32;
    return on_host::from_lane(v, lane + delta < 32 ? lane + delta : lane);
}
inline unsigned __ballot_sync(unsigned, bool predicate) {
    return on_host::from_warp(predicate);
}

// The way in of kernel `name` of source `of`: launches it, and tells what arguments it takes.
#define EXPORT(of, name)                                                                                       \
    extern "C" void launch_##of##_##name(const unsigned* grid, const unsigned* block, void** arguments) {      \
        on_host::tell_of_faults();                                                                            \
        on_host::running = #name " of " #of ".cu";                                                            \
        on_host::launch(name, grid, block, arguments);                                                        \
        on_host::running = nullptr;                                                                           \
    }                                                                                                         \
    extern "C" const char* kinds_##of##_##name() { return on_host::kinds(name); }
