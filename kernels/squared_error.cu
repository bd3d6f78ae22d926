// (prediction - truth)²: op/squared_error.rs. Tensors of one column, which is in floats.
#include "crossrx.cuh"

KERNEL forward(float* loss, const float* prediction, const float* truth, u32 rows) {
    const u32 row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    const u64 at = (u64)row * EIGHT;
    const float error = prediction[at] - truth[at];
    loss[at] = error * error;
}

// The gradient of the prediction, or with `sign` -1 that of the truth.
KERNEL backward(float* to, const float* gradient, const float* prediction, const float* truth, float sign,
                u32 accumulate, u32 rows) {
    const u32 row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    const u64 at = (u64)row * EIGHT;
    const float value = sign * gradient[at] * (2.0f * (prediction[at] - truth[at]));
    to[at] = accumulate ? to[at] + value : value;
}
