// y = (x_1 + x_2 + ...) / n: op/mean.rs.
#include "crossrx.cuh"

// to = share * from, or to += share * from where `accumulate`; both of `eights` times eight numbers.
KERNEL part(T* to, const T* from, float share, u32 eights, u32 accumulate) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= eights) return;
    float v[EIGHT];
    load8(v, from + (u64)i * EIGHT);
#pragma unroll
    for (int e = 0; e < EIGHT; e++) v[e] *= share;
    if (accumulate) {
        float old[EIGHT];
        load8(old, to + (u64)i * EIGHT);
#pragma unroll
        for (int e = 0; e < EIGHT; e++) v[e] += old[e];
    }
    store8(to + (u64)i * EIGHT, v);
}
