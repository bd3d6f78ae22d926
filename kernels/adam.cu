// Adam and AdamW on all parameters at once: train/cuda/optimizer.rs, as train/adam.rs has them.
#include "crossrx.cuh"

// `rules` has a number for every two times eight parameters: their weight decay or, with the sign bit set, the rate
// of a plain descent, as train/cell_rules.rs has it. `copy` is null where tensors are in single precision.
KERNEL step(float* master, const float* gradient, float* first, float* second, const float* rules, T* copy,
            const Verdict* verdict, float beta1, float beta2, float epsilon, u32 decoupled, u32 eights) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= eights || !verdict->finite) return;
    const u64 at = (u64)i * EIGHT;
    const float rate = verdict->rate, root = verdict->root;
    const float rule = rules[i / 2];
    const float shrink = decoupled ? rule * verdict->plain : 0.0f, pull = decoupled ? 0.0f : rule;
    float w[EIGHT], g[EIGHT], m[EIGHT], v[EIGHT];
    load8(w, master + at);
    load8(g, gradient + at);
    load8(m, first + at);
    load8(v, second + at);
    if (descends(rule)) {
#pragma unroll
        for (int e = 0; e < EIGHT; e++) w[e] += rule * g[e];
        store8(master + at, w);
        if (copy) store8(copy + at, w);
        return;
    }
#pragma unroll
    for (int e = 0; e < EIGHT; e++) {
        const float slope = g[e] + pull * w[e];
        m[e] = beta1 * m[e] + (1.0f - beta1) * slope;
        v[e] = beta2 * v[e] + (1.0f - beta2) * slope * slope;
        w[e] -= shrink * w[e] + rate * m[e] / (sqrtf(v[e]) * root + epsilon);
    }
    store8(master + at, w);
    store8(first + at, m);
    store8(second + at, v);
    if (copy) store8(copy + at, w);
}
