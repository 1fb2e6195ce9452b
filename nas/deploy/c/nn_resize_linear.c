/* Four neighbours, weighed in 1024ths along each axis. SPDX-License-Identifier: Apache-2.0 */
#include "nn.h"

void nn_resize_linear(const nn_bilinear *b) {
    int8_t *out = b->output;
    for (uint32_t y = 0; y < b->out_height; ++y) {
        const uint16_t *row = b->rows + 3 * y;
        const int8_t *above = b->input + (uint32_t)row[0] * b->in_width * b->channels;
        const int8_t *below = b->input + (uint32_t)row[1] * b->in_width * b->channels;
        for (uint32_t x = 0; x < b->out_width; ++x) {
            const uint16_t *column = b->columns + 3 * x;
            const uint32_t left = (uint32_t)column[0] * b->channels, right = (uint32_t)column[1] * b->channels;
            const int32_t down = row[2], across = column[2];
            for (uint32_t c = 0; c < b->channels; ++c) {
                const int32_t top = above[left + c] * (1024 - across) + above[right + c] * across;
                const int32_t bottom = below[left + c] * (1024 - across) + below[right + c] * across;
                const int32_t sum = top * (1024 - down) + bottom * down;
                *out++ = (int8_t)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
            }
        }
    }
}
