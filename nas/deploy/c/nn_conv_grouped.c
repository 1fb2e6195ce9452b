/* A convolution whose filters read a part of the channels each. SPDX-License-Identifier: Apache-2.0 */
#include "nn.h"

void nn_conv_grouped(const nn_window *w) {
    const int32_t depth = w->in_channels / w->groups, filters = w->out_channels / w->groups;
    int8_t *out = w->output;
    for (int32_t y = 0; y < w->out_height; ++y)
        for (int32_t x = 0; x < w->out_width; ++x)
            for (int32_t o = 0; o < w->out_channels; ++o) {
                const int8_t *taps = w->weights + o * w->kernel_height * w->kernel_width * depth;
                int32_t sum = w->bias[o];
                for (int32_t i = 0; i < w->kernel_height; ++i) {
                    const int32_t row = y * w->stride_height - w->pad_top + i * w->dilation_height;
                    for (int32_t j = 0; j < w->kernel_width; ++j, taps += depth) {
                        const int32_t column = x * w->stride_width - w->pad_left + j * w->dilation_width;
                        if (row < 0 || row >= w->in_height || column < 0 || column >= w->in_width) continue;
                        const int8_t *in =
                            w->input + (row * w->in_width + column) * w->in_channels + o / filters * depth;
                        for (int32_t c = 0; c < depth; ++c) sum += (in[c] + w->in_offset) * taps[c];
                    }
                }
                *out++ = nn_clamped(nn_scaled(sum, w->multiplier[o], w->shift[o]) + w->out_offset, w->low, w->high);
            }
}
