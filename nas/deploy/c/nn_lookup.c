/* Any function of one int8. SPDX-License-Identifier: Apache-2.0 */
#include "nn.h"

void nn_lookup(const nn_table *t) {
    const int8_t *zero = t->table + 128;
    for (uint32_t k = 0; k < t->count; ++k) t->output[k] = zero[t->input[k]];
}
