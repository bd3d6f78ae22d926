// What all kernels share: numbers, eight of them at a time, random bits, sums over a warp and a block.
//
// Every source is compiled twice, for tensors of float and, with BF16 defined, of bf16; `T` is a
// tensor's number. A row of a tensor takes `stride` numbers, its columns rounded up to a multiple of
// EIGHT, so rows begin at addresses that one 16-byte load may use; those of wide ones to a multiple of a
// line of cache (op/cuda.rs). What lies between columns and stride may hold anything, and no sum over columns
// reads it; in features that are fed, and in parameters and their gradients, it is zero.
//
// The same sources are built for the host by kernels/host/cuda_on_host.h.
#pragma once
#ifdef CROSSRX_ON_HOST
#include "cuda_on_host.h"
#endif

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define KERNEL extern "C" __global__ void
#define EIGHT 8

// bfloat16 by its bits: the upper half of a float.
struct __align__(2) bf16 {
    u16 bits;
};

__device__ inline float wide(float x) { return x; }
__device__ inline float wide(bf16 x) { return __uint_as_float((u32)x.bits << 16); }

// Rounds to nearest, ties to even; what is not a number stays none.
__device__ inline u32 bf16_bits(float x) {
    u32 bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u;
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

__device__ inline void narrow(float* to, float x) { *to = x; }
__device__ inline void narrow(bf16* to, float x) { to->bits = (u16)bf16_bits(x); }

#ifdef BF16
typedef bf16 T;
#else
typedef float T;
#endif

// Two at once, the first in the low half; one instruction where there is one, which makes another NaN of a NaN.
__device__ inline u32 bf16_pair(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#else
    return bf16_bits(low) | bf16_bits(high) << 16;
#endif
}

// Eight numbers from an address that is a multiple of 16 bytes.
__device__ inline void load8(float v[EIGHT], const float* from) {
    const float4 a = reinterpret_cast<const float4*>(from)[0], b = reinterpret_cast<const float4*>(from)[1];
    v[0] = a.x; v[1] = a.y; v[2] = a.z; v[3] = a.w;
    v[4] = b.x; v[5] = b.y; v[6] = b.z; v[7] = b.w;
}
__device__ inline void load8(float v[EIGHT], const bf16* from) {
    const uint4 a = *reinterpret_cast<const uint4*>(from);
    const u32 words[4] = {a.x, a.y, a.z, a.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        v[2 * i] = __uint_as_float(words[i] << 16);
        v[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
}
__device__ inline void store8(float* to, const float v[EIGHT]) {
    reinterpret_cast<float4*>(to)[0] = make_float4(v[0], v[1], v[2], v[3]);
    reinterpret_cast<float4*>(to)[1] = make_float4(v[4], v[5], v[6], v[7]);
}
__device__ inline void store8(bf16* to, const float v[EIGHT]) {
    u32 words[4];
#pragma unroll
    for (int i = 0; i < 4; i++) words[i] = bf16_pair(v[2 * i], v[2 * i + 1]);
    *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
}

// One number of a tensor that may be stored otherwise than in T: one column always is in floats.
__device__ inline float number_at(const void* from, u64 at, u32 is_bf16) {
    return is_bf16 ? wide(((const bf16*)from)[at]) : ((const float*)from)[at];
}
__device__ inline void set_number(void* to, u64 at, u32 is_bf16, float x) {
    if (is_bf16) narrow((bf16*)to + at, x);
    else ((float*)to)[at] = x;
}

// Eight numbers as they are stored: many can be under way before the first of them is needed.
struct Eight {
    uint4 words[sizeof(T) * EIGHT / 16];
};

__device__ inline Eight zeros8() {
    Eight raw;
#pragma unroll
    for (u32 i = 0; i < sizeof(T) * EIGHT / 16; i++) raw.words[i] = make_uint4(0, 0, 0, 0);
    return raw;
}
__device__ inline Eight fetch8(const T* from) {
    Eight raw;
#pragma unroll
    for (u32 i = 0; i < sizeof(T) * EIGHT / 16; i++) raw.words[i] = reinterpret_cast<const uint4*>(from)[i];
    return raw;
}
__device__ inline void store8(T* to, const Eight& raw) {
#pragma unroll
    for (u32 i = 0; i < sizeof(T) * EIGHT / 16; i++) reinterpret_cast<uint4*>(to)[i] = raw.words[i];
}
__device__ inline void widen8(float v[EIGHT], const Eight& raw) {
#pragma unroll
    for (u32 i = 0; i < sizeof(T) * EIGHT / 16; i++) {
        const u32 words[4] = {raw.words[i].x, raw.words[i].y, raw.words[i].z, raw.words[i].w};
#pragma unroll
        for (int w = 0; w < 4; w++) {
#ifdef BF16
            v[2 * w] = __uint_as_float(words[w] << 16);
            v[2 * w + 1] = __uint_as_float(words[w] & 0xffff0000u);
#else
            v[4 * i + w] = __uint_as_float(words[w]);
#endif
        }
    }
}

// What identifies a pass and changes from one to the next; src/op/cuda.rs writes it.
struct Pass {
    u64 seed;
    u64 step;         // steps taken before
    double rate;      // learning rate
    float scale;      // gradient of the sum of losses
    u32 pairs;        // rows in use of the pairs; the rest is padding
    u32 first;        // position in the lane's shuffled order of the first pair
    u32 lane;
    u32 lane_rows;    // pairs of the lane
    u32 lane_start;   // where they begin among all pairs held
    u32 epoch;
    u32 total_pairs;  // of the step, over all lanes and ranks
};

// What becomes of a step: kernels/update.cu writes it, those of the optimisers go by it.
struct Verdict {
    u32 finite;   // whether parameters change at all
    float rate;   // learning rate over the first moment's bias correction
    float plain;  // learning rate
    float root;   // one over the root of the second moment's bias correction
};

// Whether a cell's rule is the rate of a plain descent and not a weight decay: train/cell_rules.rs.
__device__ inline bool descends(float rule) { return __float_as_uint(rule) >> 31; }

// Activations as src/op/activation.rs numbers them; the derivative follows from the value.
enum Activation { IDENTITY, RELU, ELU, TANH, SIGMOID };

__device__ inline float activate(u32 activation, float x) {
    switch (activation) {
        case RELU: return x < 0.0f ? 0.0f : x;
        case ELU: return x < 0.0f ? expm1f(x) : x;
        case TANH: return tanhf(x);
        case SIGMOID: return 1.0f / (1.0f + expf(-x));
        default: return x;
    }
}

// Of eight values, the choice between functions made once.
__device__ inline void activate8(u32 activation, float v[EIGHT]) {
    if (activation == RELU) {
#pragma unroll
        for (int e = 0; e < EIGHT; e++) v[e] = activate(RELU, v[e]);
    } else if (activation != IDENTITY) {
#pragma unroll
        for (int e = 0; e < EIGHT; e++) v[e] = activate(activation, v[e]);
    }
}

// The gradient of the argument, from that of the value `y`.
__device__ inline float activation_slope(u32 activation, float gradient, float y) {
    switch (activation) {
        case RELU: return y <= 0.0f ? 0.0f : gradient;
        case ELU: return y < 0.0f ? gradient * (y + 1.0f) : gradient;
        case TANH: return gradient * (1.0f - y * y);
        case SIGMOID: return gradient * y * (1.0f - y);
        default: return gradient;
    }
}

__device__ inline void activation_slope8(u32 activation, float gradient[EIGHT], const float y[EIGHT]) {
    if (activation == RELU) {
#pragma unroll
        for (int e = 0; e < EIGHT; e++) gradient[e] = activation_slope(RELU, gradient[e], y[e]);
    } else {
#pragma unroll
        for (int e = 0; e < EIGHT; e++) gradient[e] = activation_slope(activation, gradient[e], y[e]);
    }
}

// Philox4x32-10 (Salmon et al. 2011), as src/device/philox.rs has it.
__device__ inline uint4 philox(uint4 c, u32 k0, u32 k1) {
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const u32 high0 = __umulhi(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x;
        const u32 high1 = __umulhi(0xCD9E8D57u, c.z), low1 = 0xCD9E8D57u * c.z;
        c = make_uint4(high1 ^ c.y ^ k0, low1, high0 ^ c.w ^ k1, low0);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

#define STREAM_SHUFFLE 2u
#define STREAM_DROPOUT 3u

// What goes through rows does so in blocks of [32, 8] threads: eight columns a thread, of STEPS rows that
// lie 8 apart, so that loads of all of them are under way together. `row_grid` of src/op/cuda.rs.
#define STEPS 4

__device__ inline u32 first_row() { return blockIdx.x * (8 * STEPS) + threadIdx.y; }
__device__ inline u32 first_column() { return (blockIdx.y * 32 + threadIdx.x) * EIGHT; }

// What the threads of a block before this one have, all together, and what all have. Every thread comes here;
// blocks are of one dimension and whole warps.
__device__ inline u32 sum_before(u32 v, u32* total) {
    __shared__ u32 warps[32];
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u32 sum = v;
#pragma unroll
    for (u32 distance = 1; distance < 32; distance *= 2) {
        const u32 other = __shfl_up_sync(0xffffffffu, sum, distance);
        if (lane >= distance) sum += other;
    }
    // An earlier call's may still be read.
    __syncthreads();
    if (lane == 31) warps[warp] = sum;
    __syncthreads();
    u32 before = sum - v, all = 0;
    for (u32 w = 0; w < blockDim.x / 32; w++) {
        before += w < warp ? warps[w] : 0u;
        all += warps[w];
    }
    *total = all;
    return before;
}

// Sums over the threads of a warp in a fixed tree; every lane has the sum.
template <class V>
__device__ inline V warp_sum(V v) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) v += __shfl_xor_sync(0xffffffffu, v, distance);
    return v;
}
