/* A box of one tensor to a box of another: concatenations, slices, crops and pads. SPDX-License-Identifier: Apache-2.0 */
#include "nn.h"

void nn_copy(const nn_box *b) {
    for (uint32_t y = 0; y < b->rows; ++y) {
        const int8_t *from = b->input + y * b->in_row;
        int8_t *to = b->output + y * b->out_row;
        for (uint32_t x = 0; x < b->columns; ++x, from += b->in_column, to += b->out_column)
            for (uint32_t k = 0; k < b->bytes; ++k) to[k] = from[k];
    }
}
