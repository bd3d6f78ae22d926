// Adam and AdamW on all parameters at once: train/cuda_optimizer.rs, as train/adam.rs has them.
#include "crossrx.cuh"

// `decay` has a number for every two times eight parameters; `copy` is null where tensors are in single precision.
KERNEL step(float* master, const float* gradient, float* first, float* second, const float* decay, T* copy,
            const Verdict* verdict, float beta1, float beta2, float epsilon, u32 decoupled, u32 eights) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= eights || !verdict->finite) return;
    const u64 at = (u64)i * EIGHT;
    const float rate = verdict->rate, root = verdict->root;
    const float shrink = decoupled ? decay[i / 2] * verdict->plain : 0.0f, pull = decoupled ? 0.0f : decay[i / 2];
    float w[EIGHT], g[EIGHT], m[EIGHT], v[EIGHT];
    load8(w, master + at);
    load8(g, gradient + at);
    load8(m, first + at);
    load8(v, second + at);
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
