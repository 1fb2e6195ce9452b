/* SPDX-License-Identifier: Apache-2.0 */
#include "nn_cmsis.h"

void nn_max_pool(const nn_window *w) {
    const cmsis_nn_context context = NN_SCRATCH(w);
    const cmsis_nn_pool_params params = {NN_STRIDE(w), NN_PADDING(w), NN_RANGE(w)};
    const cmsis_nn_dims input = NN_INPUT(w), filter = NN_FILTER(w, 1, 1), output = NN_OUTPUT(w);
    (void)arm_max_pool_s8(&context, &params, &input, w->input, &filter, &output, w->output);
}
