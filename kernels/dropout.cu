// Units that drop: op/dropout.rs. A draw of four words serves eight values of a row: with its number 16 g + i,
// the two at column 128 g + 32 w + 2 i for each word w, the low half the first of them. So a thread takes one
// draw, and the 16 threads of a group read whole sectors for each word.
#include "crossrx.cuh"

#ifdef BF16
typedef u32 Two;
__device__ inline float first_of(Two two) { return __uint_as_float(two << 16); }
__device__ inline float second_of(Two two) { return __uint_as_float(two & 0xffff0000u); }
__device__ inline Two two_of(float a, float b) { return bf16_pair(a, b); }
#else
typedef float2 Two;
__device__ inline float first_of(Two two) { return two.x; }
__device__ inline float second_of(Two two) { return two.y; }
__device__ inline Two two_of(float a, float b) { return make_float2(a, b); }
#endif

// to = from * mask * scale, or to += that where `accumulate`: forward, and backward.
KERNEL masked(T* to, const T* from, u32 accumulate, u32 threshold, float scale, const u32* number, const Pass* pass,
              u32 node, u32 rows, u32 stride) {
    const u32 first = first_row();
    const u32 draw = blockIdx.y * 32 + threadIdx.x;
    const u32 column = draw / 16 * 128 + draw % 16 * 2;
    const u64 seed = pass->seed;
    const u32 step = (u32)pass->step, stream = STREAM_DROPOUT << 24 | (node & 0xffffffu);
    u32 numbers[STEPS];
    Two values[STEPS][4];
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const u32 row = first + 8 * s;
        numbers[s] = row < rows ? number[row] : 0;
#pragma unroll
        for (int w = 0; w < 4; w++) {
            values[s][w] = two_of(0.0f, 0.0f);
            if (row < rows && column + 32 * w < stride)
                values[s][w] = *reinterpret_cast<const Two*>(from + (u64)row * stride + column + 32 * w);
        }
    }
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const u32 row = first + 8 * s;
        if (row >= rows) return;
        const uint4 drawn = philox(make_uint4(draw, numbers[s], step, stream), (u32)seed, (u32)(seed >> 32));
        const u32 words[4] = {drawn.x, drawn.y, drawn.z, drawn.w};
#pragma unroll
        for (int w = 0; w < 4; w++) {
            if (column + 32 * w >= stride) continue;
            Two* into = reinterpret_cast<Two*>(to + (u64)row * stride + column + 32 * w);
            // A product, so that a value which is not a number stays none.
            float a = first_of(values[s][w]) * ((words[w] & 0xffffu) < threshold ? 0.0f : scale);
            float b = second_of(values[s][w]) * (words[w] >> 16 < threshold ? 0.0f : scale);
            if (accumulate) {
                const Two old = *into;
                a += first_of(old);
                b += second_of(old);
            }
            *into = two_of(a, b);
        }
    }
}
