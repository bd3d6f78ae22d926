// What all losses share: graph/cuda_plan.rs.
#include "crossrx.cuh"

// The gradient of each loss of the pairs in use; zero in padding, which so adds nothing to any gradient.
KERNEL seed(float* gradient, u32 rows, const Pass* pass) {
    const u32 row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row < rows) gradient[(u64)row * EIGHT] = row < pass->pairs ? pass->scale : 0.0f;
}
