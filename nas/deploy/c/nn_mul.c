/* Products, requantized. SPDX-License-Identifier: Apache-2.0 */
#include "nn.h"

void nn_mul(const nn_pair *p) {
    int8_t *out = p->output;
    for (uint32_t y = 0; y < p->rows; ++y) {
        const int8_t *i = p->left + y * p->left_row, *j = p->right + y * p->right_row;
        for (uint32_t x = 0; x < p->columns; ++x, i += p->left_step, j += p->right_step) {
            const int32_t product = (*i + p->left_offset) * (*j + p->right_offset);
            *out++ = nn_clamped(nn_scaled(product, p->multiplier, p->shift) + p->out_offset, p->low, p->high);
        }
    }
}
