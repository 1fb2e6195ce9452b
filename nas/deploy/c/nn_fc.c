/* A linear layer with a scale per output: CMSIS-NN 4.0.0 has one for all. SPDX-License-Identifier: Apache-2.0 */
#include "nn.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && !defined(__ARM_FEATURE_MVE)
#include <arm_acle.h>

/* The bytes of a word turned round by one, so that __sxtb16 takes the others: one instruction with it. */
static inline int32_t turned(int32_t word) { return (int32_t)((uint32_t)word >> 8 | (uint32_t)word << 24); }

static inline int32_t four(const int8_t *at) {
    int32_t word;
    __builtin_memcpy(&word, at, 4); /* one load; it need not be aligned */
    return word;
}

/* Two rows of weights at once, so that each input is unpacked once for both. */
static const int8_t *two_rows(const int8_t *row, const int8_t *in, int32_t count, int32_t *first, int32_t *second) {
    const int8_t *next = row + count;
    int32_t a = *first, b = *second;
    for (int32_t blocks = count >> 2; blocks; --blocks, in += 4, row += 4, next += 4) {
        const int32_t x = four(in), u = four(row), v = four(next);
        const int32_t even = __sxtb16(x), odd = __sxtb16(turned(x));
        a = __smlad(__sxtb16(turned(u)), odd, __smlad(__sxtb16(u), even, a));
        b = __smlad(__sxtb16(turned(v)), odd, __smlad(__sxtb16(v), even, b));
    }
    for (int32_t rest = count & 3; rest; --rest, ++in) a += *in * *row++, b += *in * *next++;
    *first = a, *second = b;
    return next;
}
#else
static const int8_t *two_rows(const int8_t *row, const int8_t *in, int32_t count, int32_t *first, int32_t *second) {
    const int8_t *next = row + count;
    int32_t a = *first, b = *second;
    for (int32_t k = 0; k < count; ++k) a += in[k] * row[k], b += in[k] * next[k];
    *first = a, *second = b;
    return next + count;
}
#endif

void nn_fc(const nn_linear *l) {
    const int8_t *row = l->weights;
    int32_t o = 0;
    for (; o + 1 < l->out_features; o += 2) {
        int32_t sums[2] = {l->bias[o], l->bias[o + 1]};
        row = two_rows(row, l->input, l->in_features, &sums[0], &sums[1]);
        for (int32_t k = 0; k < 2; ++k) {
            const int32_t value = nn_scaled(sums[k], l->multiplier[o + k], l->shift[o + k]) + l->out_offset;
            l->output[o + k] = nn_clamped(value, l->low, l->high);
        }
    }
    if (o < l->out_features) {
        int32_t sum = l->bias[o];
        for (int32_t k = 0; k < l->in_features; ++k) sum += l->input[k] * row[k];
        l->output[o] = nn_clamped(nn_scaled(sum, l->multiplier[o], l->shift[o]) + l->out_offset, l->low, l->high);
    }
}
