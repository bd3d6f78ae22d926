// SGD with momentum on all parameters at once: train/cuda_optimizer.rs, as train/sgd.rs has it.
#include "crossrx.cuh"

// `decay` has a number for every two times eight parameters; `copy` is null where tensors are in single precision.
KERNEL step(float* master, const float* gradient, float* velocity, const float* decay, T* copy,
            const Verdict* verdict, float momentum, u32 eights) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= eights || !verdict->finite) return;
    const u64 at = (u64)i * EIGHT;
    const float rate = verdict->plain, pull = decay[i / 2];
    float w[EIGHT], g[EIGHT], v[EIGHT];
    load8(w, master + at);
    load8(g, gradient + at);
    load8(v, velocity + at);
#pragma unroll
    for (int e = 0; e < EIGHT; e++) {
        v[e] = momentum * v[e] + g[e] + pull * w[e];
        w[e] -= rate * v[e];
    }
    store8(master + at, w);
    store8(velocity + at, v);
    if (copy) store8(copy + at, w);
}
