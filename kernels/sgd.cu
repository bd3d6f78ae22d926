// SGD with momentum on all parameters at once: train/cuda/optimizer.rs, as train/sgd.rs has it.
#include "crossrx.cuh"

// `rules` and `copy` as in adam.cu.
KERNEL step(float* master, const float* gradient, float* velocity, const float* rules, T* copy,
            const Verdict* verdict, float momentum, u32 eights) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= eights || !verdict->finite) return;
    const u64 at = (u64)i * EIGHT;
    const float rate = verdict->plain, rule = rules[i / 2];
    float w[EIGHT], g[EIGHT], v[EIGHT];
    load8(w, master + at);
    load8(g, gradient + at);
    load8(v, velocity + at);
    if (descends(rule)) {
#pragma unroll
        for (int e = 0; e < EIGHT; e++) w[e] += rule * g[e];
        store8(master + at, w);
        if (copy) store8(copy + at, w);
        return;
    }
#pragma unroll
    for (int e = 0; e < EIGHT; e++) {
        v[e] = momentum * v[e] + g[e] + rule * w[e];
        w[e] -= rate * v[e];
    }
    store8(master + at, w);
    store8(velocity + at, v);
    if (copy) store8(copy + at, w);
}
