// The copy of the parameters in the tensors' numbers: graph/cuda_parameters.rs.
#include "crossrx.cuh"

KERNEL narrowed(T* to, const float* from, u32 eights) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= eights) return;
    float v[EIGHT];
    load8(v, from + (u64)i * EIGHT);
    store8(to + (u64)i * EIGHT, v);
}
