/* Both operands in steps 2^20 finer than the wider scale's twice. SPDX-License-Identifier: Apache-2.0 */
#include "nn.h"

void nn_sub(const nn_pair *p) {
    int8_t *out = p->output;
    for (uint32_t y = 0; y < p->rows; ++y) {
        const int8_t *i = p->left + y * p->left_row, *j = p->right + y * p->right_row;
        for (uint32_t x = 0; x < p->columns; ++x, i += p->left_step, j += p->right_step) {
            const int32_t left = nn_scaled_down((*i + p->left_offset) * (1 << 20), p->left_multiplier, p->left_shift);
            const int32_t right = nn_scaled_down((*j + p->right_offset) * (1 << 20), p->right_multiplier, p->right_shift);
            const int32_t made = nn_scaled_down(left - right, p->multiplier, p->shift) + p->out_offset;
            *out++ = nn_clamped(made, p->low, p->high);
        }
    }
}
