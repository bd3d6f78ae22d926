// The order of a lane's pairs in an epoch, computed a position at a time: batch/shuffle.rs.
#include "crossrx.cuh"

enum { ROUNDS = 10, LEAST_BITS = 6 };

// A permutation of 0..rows; its keys lie where all threads of the block see them.
struct Shuffle {
    const u32* words;
    u32 rows, left_bits, right_bits;
};

// Draws the keys of a shuffle; every thread of the block comes here.
__device__ inline Shuffle shuffle(u64 seed, u32 epoch, u32 lane, u32 rows) {
    __shared__ u32 words[12];
    if (threadIdx.x < 3) {
        const uint4 c = make_uint4(threadIdx.x, epoch, lane, STREAM_SHUFFLE << 24);
        const uint4 w = philox(c, (u32)seed, (u32)(seed >> 32));
        words[4 * threadIdx.x] = w.x;
        words[4 * threadIdx.x + 1] = w.y;
        words[4 * threadIdx.x + 2] = w.z;
        words[4 * threadIdx.x + 3] = w.w;
    }
    __syncthreads();
    const u32 needed = rows > 1 ? 32u - (u32)__clz((int)(rows - 1)) : 0u;
    const u32 bits = max(needed, (u32)LEAST_BITS);
    Shuffle s;
    s.words = words;
    s.rows = rows;
    s.left_bits = bits / 2;
    s.right_bits = bits - bits / 2;
    return s;
}

// Sixteen bits that each depend on all of `word`.
__device__ inline u32 mix(u32 word) {
    const u32 product = word * 0xD2511F53u;
    return (product ^ product >> 15) * 0xCD9E8D57u >> 16;
}

// The row at a position, which is below the number of rows.
__device__ inline u32 shuffled(const Shuffle& s, u32 position) {
    const u32 left_mask = (1u << s.left_bits) - 1, right_mask = (1u << s.right_bits) - 1;
    u32 number = position;
    do {
        u32 left = number >> s.right_bits, right = number & right_mask;
#pragma unroll
        for (int round = 0; round < ROUNDS; round += 2) {
            left ^= mix(right ^ s.words[round]) & left_mask;
            right ^= mix(left ^ s.words[round + 1]) & right_mask;
        }
        number = left << s.right_bits | right;
        // A Feistel network makes even permutations only.
        if (number < 2) number ^= s.words[ROUNDS] & 1u;
    } while (number >= s.rows);
    return number;
}

// The pairs of a batch, by their places among all pairs, each with the table row of its drug as key.
// Padding has the largest key there is.
KERNEL draw(u32* key, u32* value, const u32* drug, u32 n, const Pass* pass) {
    const Shuffle s = shuffle(pass->seed, pass->epoch, pass->lane, pass->lane_rows);
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const bool used = i < pass->pairs;
    const u32 pair = used ? pass->lane_start + shuffled(s, pass->first + i) : 0u;
    key[i] = used ? drug[pair] : 0xffffffffu;
    value[i] = pair;
}

// Marks the drug and the sample of each of `positions` positions of a lane as met in its step; steps from
// `first_step` on have `words` words each, those of drugs first.
KERNEL meet(u32* met, const u32* drug, const u32* sample, u64 seed, u32 epoch, u32 lane, u32 lane_rows,
            u32 lane_start, u32 steps, u32 begin, u32 positions, u32 first_step, u32 drug_words, u32 words) {
    const Shuffle s = shuffle(seed, epoch, lane, lane_rows);
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= positions) return;
    const u32 position = begin + i;
    // The last step that begins at or before: step k does at lane_rows * k / steps.
    const u32 step = (u32)((((u64)position + 1) * steps - 1) / lane_rows);
    const u32 pair = lane_start + shuffled(s, position);
    u32* own = met + (u64)(step - first_step) * words;
    const u32 entities[2] = {drug[pair], sample[pair]};
#pragma unroll
    for (int side = 0; side < 2; side++) {
        u32* word = own + (side ? drug_words : 0u) + entities[side] / 32;
        const u32 bit = 1u << entities[side] % 32;
        // Most have been met before, and atomics on one word wait for each other.
        if (!(*(volatile u32*)word & bit)) atomicOr(word, bit);
    }
}

// How many drugs, and samples, each step has met, a block a step.
KERNEL tell(u32* counts, const u32* met, u32 drug_words, u32 words) {
    const u32* own = met + (u64)blockIdx.x * words;
    u32 drugs = 0, samples = 0;
    for (u32 word = threadIdx.x; word < words; word += blockDim.x) {
        const u32 bits = (u32)__popc(own[word]);
        if (word < drug_words) drugs += bits;
        else samples += bits;
    }
    u32 totals[2];
    sum_before(drugs, &totals[0]);
    sum_before(samples, &totals[1]);
    if (threadIdx.x < 2) counts[2 * blockIdx.x + threadIdx.x] = threadIdx.x ? totals[1] : totals[0];
}
