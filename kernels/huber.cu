// Huber's loss: op/huber.rs. Tensors of one column, which is in floats.
#include "crossrx.cuh"

KERNEL forward(float* loss, const float* prediction, const float* truth, float delta, u32 rows) {
    const u32 row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    const u64 at = (u64)row * EIGHT;
    const float error = fabsf(prediction[at] - truth[at]);
    loss[at] = error <= delta ? 0.5f * error * error : delta * (error - 0.5f * delta);
}

// The gradient of the prediction, or with `sign` -1 that of the truth.
KERNEL backward(float* to, const float* gradient, const float* prediction, const float* truth, float delta,
                float sign, u32 accumulate, u32 rows) {
    const u32 row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    const u64 at = (u64)row * EIGHT;
    const float error = prediction[at] - truth[at];
    const float slope = error > delta ? delta : error < -delta ? -delta : error;
    const float value = sign * gradient[at] * slope;
    to[at] = accumulate ? to[at] + value : value;
}
