/* SPDX-License-Identifier: Apache-2.0 */
#include "nn_cmsis.h"

void nn_dw_any(const nn_window *w) {
    const cmsis_nn_context context = NN_SCRATCH(w);
    const cmsis_nn_dw_conv_params params = {
        w->in_offset,  w->out_offset, w->out_channels / w->in_channels, NN_STRIDE(w), NN_PADDING(w),
        NN_DILATION(w), NN_RANGE(w)};
    const cmsis_nn_per_channel_quant_params scales = NN_SCALES(w);
    const cmsis_nn_dims input = NN_INPUT(w), filter = NN_FILTER(w, 1, w->out_channels), bias = NN_BIAS(w),
                        output = NN_OUTPUT(w);
    (void)arm_depthwise_conv_s8(&context, &params, &scales, &input, w->input, &filter, w->weights, &bias, w->bias, &output,
        w->output);
}
