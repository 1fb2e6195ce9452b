/* SPDX-License-Identifier: Apache-2.0 */
#include "nn.h"

void nn_resize_nearest(const nn_nearest *n) {
    int8_t *out = n->output;
    for (uint32_t y = 0; y < n->out_height; ++y)
        for (uint32_t x = 0; x < n->out_width; ++x) {
            const int8_t *in = n->input + ((uint32_t)n->rows[y] * n->in_width + n->columns[x]) * n->channels;
            for (uint32_t c = 0; c < n->channels; ++c) *out++ = in[c];
        }
}
