/* A transposed convolution, each output gathered from the inputs that reach it. SPDX-License-Identifier: Apache-2.0 */
#include "nn.h"

void nn_transpose_conv(const nn_window *w) {
    int8_t *out = w->output;
    for (int32_t y = 0; y < w->out_height; ++y)
        for (int32_t x = 0; x < w->out_width; ++x)
            for (int32_t o = 0; o < w->out_channels; ++o) {
                const int8_t *taps = w->weights + o * w->kernel_height * w->kernel_width * w->in_channels;
                int32_t sum = 0;
                for (int32_t i = 0; i < w->kernel_height; ++i) {
                    const int32_t down = y + w->pad_top - i, row = down / w->stride_height;
                    for (int32_t j = 0; j < w->kernel_width; ++j, taps += w->in_channels) {
                        const int32_t across = x + w->pad_left - j, column = across / w->stride_width;
                        if (down < 0 || across < 0 || row >= w->in_height || column >= w->in_width) continue;
                        if (down % w->stride_height || across % w->stride_width) continue;
                        const int8_t *in = w->input + (row * w->in_width + column) * w->in_channels;
                        for (int32_t c = 0; c < w->in_channels; ++c) sum += (in[c] + w->in_offset) * taps[c];
                    }
                }
                sum += w->bias[o];
                *out++ = nn_clamped(nn_scaled(sum, w->multiplier[o], w->shift[o]) + w->out_offset, w->low, w->high);
            }
}
