/* CMSIS-NN's argument structures from a layer's. SPDX-License-Identifier: Apache-2.0 */
#ifndef NN_CMSIS_H
#define NN_CMSIS_H

#include "arm_nnfunctions.h"
#include "nn.h"

#define NN_INPUT(w) {1, (w)->in_height, (w)->in_width, (w)->in_channels}
#define NN_OUTPUT(w) {1, (w)->out_height, (w)->out_width, (w)->out_channels}
#define NN_FILTER(w, count, depth) {(count), (w)->kernel_height, (w)->kernel_width, (depth)}
#define NN_BIAS(w) {1, 1, 1, (w)->out_channels}
#define NN_STRIDE(w) {(w)->stride_width, (w)->stride_height}
#define NN_PADDING(w) {(w)->pad_left, (w)->pad_top}
#define NN_DILATION(w) {(w)->dilation_width, (w)->dilation_height}
#define NN_RANGE(w) {(w)->low, (w)->high}
#define NN_SCRATCH(w) {(w)->scratch, 0}
#define NN_SCALES(w) {(int32_t *)(w)->multiplier, (int32_t *)(w)->shift}

/* Entries that differ in the kernel they call alone. Each is a file of its own, so that firmware takes those in use. */
#define NN_CONVOLUTION(entry, kernel) \
    void entry(const nn_window *w) { \
        const cmsis_nn_context context = NN_SCRATCH(w); \
        const cmsis_nn_conv_params params = { \
            w->in_offset, w->out_offset, NN_STRIDE(w), NN_PADDING(w), NN_DILATION(w), NN_RANGE(w)}; \
        NN_CALL(w, kernel, w->out_channels, w->in_channels); \
    }
#define NN_DEPTHWISE(entry, kernel) \
    void entry(const nn_window *w) { \
        const cmsis_nn_context context = NN_SCRATCH(w); \
        const cmsis_nn_dw_conv_params params = { \
            w->in_offset,  w->out_offset, w->out_channels / w->in_channels, NN_STRIDE(w), NN_PADDING(w), \
            NN_DILATION(w), NN_RANGE(w)}; \
        NN_CALL(w, kernel, 1, w->out_channels); \
    }
#define NN_CALL(w, kernel, count, depth) \
    const cmsis_nn_per_channel_quant_params scales = NN_SCALES(w); \
    const cmsis_nn_dims input = NN_INPUT(w), filter = NN_FILTER(w, count, depth), bias = NN_BIAS(w), \
                        output = NN_OUTPUT(w); \
    (void)kernel(&context, &params, &scales, &input, w->input, &filter, w->weights, &bias, w->bias, &output, w->output)
#define NN_POOL(entry, kernel) \
    void entry(const nn_window *w) { \
        const cmsis_nn_context context = NN_SCRATCH(w); \
        const cmsis_nn_pool_params params = {NN_STRIDE(w), NN_PADDING(w), NN_RANGE(w)}; \
        const cmsis_nn_dims input = NN_INPUT(w), filter = NN_FILTER(w, 1, 1), output = NN_OUTPUT(w); \
        (void)kernel(&context, &params, &input, w->input, &filter, &output, w->output); \
    }

#endif
