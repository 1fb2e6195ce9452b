/* Exponentials come from a table of the exporter's; their sum is divided by as gemmlowp's fixed point does.
 * SPDX-License-Identifier: Apache-2.0 */
#include "nn.h"

static int32_t saturated(int64_t value) {
    return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

/* 1 / (1 + x) for x in [0, 1), both in 31 bits: three steps of Newton's from 48/17 - 32/17 d, in 29 bits. */
static int32_t reciprocal(int32_t x) {
    const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
    int32_t guess = 1515870810 + nn_high(half, -1010580540);
    for (int k = 0; k < 3; ++k) {
        const int32_t error = (1 << 29) - nn_high(half, guess);
        guess += saturated((int64_t)nn_high(guess, error) * 4);
    }
    return saturated((int64_t)guess * 2);
}

void nn_softmax(const nn_normalize *n) {
    const int8_t *in = n->input;
    int8_t *out = n->output;
    for (uint32_t row = 0; row < n->rows; ++row, in += n->columns, out += n->columns) {
        int32_t greatest = -128, sum = 0, headroom = 0;
        for (uint32_t k = 0; k < n->columns; ++k) greatest = in[k] > greatest ? in[k] : greatest;
        for (uint32_t k = 0; k < n->columns; ++k) sum += nn_round_shift(n->exponentials[greatest - in[k]], 12);
        while (!((uint32_t)sum << headroom & 0x80000000u)) ++headroom;
        const int32_t scale = reciprocal((int32_t)(((uint32_t)sum << headroom) - 0x80000000u));
        for (uint32_t k = 0; k < n->columns; ++k) {
            const int32_t share = nn_high(scale, n->exponentials[greatest - in[k]]), shift = 12 - headroom + 31 - 8;
            out[k] = nn_clamped((shift > 31 ? 0 : nn_round_shift(share, shift)) - 128, -128, 127);
        }
    }
}
