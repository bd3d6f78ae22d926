// Whether a step is taken, and what is counted of it: train/cuda_update.rs.
#include "crossrx.cuh"

// As train/cuda_update.rs reads it.
struct Standing {
    u64 steps;         // of the optimiser
    u64 counted;       // pairs of all lanes and ranks, since the epoch began
    u64 skipped;       // steps
    u64 last_skipped;  // number of the last of them
    double norm;       // of the last step's gradient
    float asks[2];     // how many ranks asked for what at the last step
    Verdict verdict;
};

// Numbers of a gradient that a block squares.
#define SPAN 8192
// Blocks that sum the losses of a lane.
#define LOSS_BLOCKS 64

__device__ inline bool is_finite(double x) { return x - x == 0.0; }

// Sums over the threads of a block, whole warps, in a fixed tree; every thread has the sum. Once a kernel.
__device__ inline double sum_over_block(double v) {
    __shared__ double of_warp[32];
    v = warp_sum(v);
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = v;
    __syncthreads();
    double sum = 0.0;
    for (u32 warp = 0; warp < blockDim.x / 32; warp++) sum += of_warp[warp];
    return sum;
}

// A lane's losses of the pairs in use, in LOSS_BLOCKS parts. Which row goes into which part does not depend on
// how far rows are padded.
KERNEL losses(double* parts, const float* loss, u32 rows, const Pass* pass) {
    const u32 end = min(rows, pass->pairs);
    double sum = 0.0;
    for (u32 row = blockIdx.x * blockDim.x + threadIdx.x; row < end; row += LOSS_BLOCKS * blockDim.x)
        sum += (double)loss[(u64)row * EIGHT];
    sum = sum_over_block(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// The loss of each lane, a warp a lane, and the words that go with the gradient: what this rank asks for, and
// how many of its lanes have a loss that is not finite. One block.
KERNEL words(float* words, double* step_losses, const double* parts, const float* asks, u32 lanes) {
    __shared__ u32 strange[32];
    const u32 warp = threadIdx.x / 32, inside = threadIdx.x % 32, warps = blockDim.x / 32;
    u32 count = 0;
    for (u32 lane = warp; lane < lanes; lane += warps) {
        const double* own = parts + (u64)lane * LOSS_BLOCKS;
        const double sum = warp_sum(own[inside] + own[inside + 32]);
        if (inside == 0) step_losses[lane] = sum;
        count += !is_finite(sum);
    }
    if (inside == 0) strange[warp] = count;
    __syncthreads();
    if (threadIdx.x > 0) return;
    count = 0;
    for (u32 w = 0; w < warps; w++) count += strange[w];
    words[0] = asks[0];
    words[1] = asks[1];
    words[2] = (float)count;
}

// Sums of the squares of SPAN numbers each; no square of a float passes the range of a double.
KERNEL squares(double* parts, const float* gradient, u32 eights) {
    double sum = 0.0;
    const u32 first = blockIdx.x * (SPAN / EIGHT) + threadIdx.x;
    const u32 end = min(eights, (blockIdx.x + 1) * (SPAN / EIGHT));
#pragma unroll 4
    for (u32 i = first; i < end; i += blockDim.x) {
        float g[EIGHT];
        load8(g, gradient + (u64)i * EIGHT);
#pragma unroll
        for (int e = 0; e < EIGHT; e++) sum += (double)g[e] * (double)g[e];
    }
    sum = sum_over_block(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__device__ inline double power(double base, u64 exponent) {
    double result = 1.0;
    for (; exponent > 0; exponent /= 2) {
        if (exponent % 2) result *= base;
        base *= base;
    }
    return result;
}

// Takes the step where the gradient and all losses are finite, or skips it. One block.
KERNEL judge(Standing* standing, double* lane_losses, const double* step_losses, u32 lanes, const double* parts,
             u32 blocks, const float* words, const double* betas, const Pass* pass) {
    double sum = 0.0;
    for (u32 block = threadIdx.x; block < blocks; block += blockDim.x) sum += parts[block];
    sum = sum_over_block(sum);
    const bool finite = is_finite(sum) && words[2] == 0.0f;
    if (finite)
        for (u32 lane = threadIdx.x; lane < lanes; lane += blockDim.x) lane_losses[lane] += step_losses[lane];
    if (threadIdx.x > 0) return;
    standing->norm = sqrt(sum);
    standing->asks[0] = words[0];
    standing->asks[1] = words[1];
    standing->verdict.finite = finite;
    if (!finite) {
        standing->skipped++;
        standing->last_skipped = pass->step;
        return;
    }
    const u64 steps = ++standing->steps;
    standing->counted += pass->total_pairs;
    standing->verdict.rate = (float)(pass->rate / (1.0 - power(betas[0], steps)));
    standing->verdict.plain = (float)pass->rate;
    standing->verdict.root = (float)(1.0 / sqrt(1.0 - power(betas[1], steps)));
}
