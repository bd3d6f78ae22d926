// Sums of gradients over lanes: train/cuda_lane_sum.rs.
#include "crossrx.cuh"

// sum += other, in single precision, both of `eights` times eight numbers.
KERNEL added(float* sum, const float* other, u32 eights) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= eights) return;
    float v[EIGHT], w[EIGHT];
    load8(v, sum + (u64)i * EIGHT);
    load8(w, other + (u64)i * EIGHT);
#pragma unroll
    for (int e = 0; e < EIGHT; e++) v[e] += w[e];
    store8(sum + (u64)i * EIGHT, v);
}
