// Sorts pairs by a key, eight bits at a time from the lowest, those with the same bits in the order that
// they have: batch/cuda_assembler.rs. Blocks of THREADS threads take a tile each, a thread for every digit.
#include "crossrx.cuh"

enum { THREADS = 256, EACH = 4, TILE = THREADS * EACH, DIGITS = 256, WARPS = THREADS / 32 };

// For each tile, how many of its pairs have each digit.
KERNEL count_digits(u32* counts, const u32* key, u32 shift, u32 n) {
    __shared__ u32 seen[DIGITS];
    seen[threadIdx.x] = 0;
    __syncthreads();
#pragma unroll
    for (u32 i = 0; i < EACH; i++) {
        const u32 at = blockIdx.x * TILE + i * THREADS + threadIdx.x;
        if (at < n) atomicAdd(&seen[key[at] >> shift & (DIGITS - 1)], 1u);
    }
    __syncthreads();
    counts[blockIdx.x * DIGITS + threadIdx.x] = seen[threadIdx.x];
}

// Puts every pair where its digit says, behind those of the same digit that come before it.
KERNEL scatter(u32* to_key, u32* to_value, const u32* key, const u32* value, const u32* counts, u32 shift, u32 n) {
    __shared__ u32 places[WARPS][DIGITS];
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    u32 all = 0, earlier = 0;
    for (u32 tile = 0; tile < gridDim.x; tile++) {
        const u32 count = counts[tile * DIGITS + threadIdx.x];
        all += count;
        earlier += tile < blockIdx.x ? count : 0u;
    }
    u32 total;
    u32 place = sum_before(all, &total) + earlier;
#pragma unroll
    for (u32 w = 0; w < WARPS; w++) places[w][threadIdx.x] = 0;
    __syncthreads();
    // A warp takes 32 * EACH pairs that lie together, so that earlier pairs are those of earlier warps,
    // earlier rounds and lower lanes.
    u32 digits[EACH], ranks[EACH];
    const u32 first = blockIdx.x * TILE + warp * 32 * EACH + lane;
#pragma unroll
    for (u32 i = 0; i < EACH; i++) {
        const bool used = first + i * 32 < n;
        const u32 digit = used ? key[first + i * 32] >> shift & (DIGITS - 1) : 0u;
        u32 peers = __ballot_sync(0xffffffffu, used);
#pragma unroll
        for (u32 bit = 0; bit < 8; bit++) {
            const u32 votes = __ballot_sync(0xffffffffu, digit >> bit & 1u);
            peers &= digit >> bit & 1u ? votes : ~votes;
        }
        const u32 before = (u32)__popc(peers & ((1u << lane) - 1));
        digits[i] = digit;
        ranks[i] = places[warp][digit] + before;
        __syncwarp();
        if (used && before == 0) places[warp][digit] += (u32)__popc(peers);
        __syncwarp();
    }
    __syncthreads();
#pragma unroll
    for (u32 w = 0; w < WARPS; w++) {
        const u32 count = places[w][threadIdx.x];
        places[w][threadIdx.x] = place;
        place += count;
    }
    __syncthreads();
#pragma unroll
    for (u32 i = 0; i < EACH; i++) {
        const u32 from = first + i * 32;
        if (from < n) {
            const u32 to = places[warp][digits[i]] + ranks[i];
            to_key[to] = key[from];
            to_value[to] = value[from];
        }
    }
}
