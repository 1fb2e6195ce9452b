/* At each place, groups x members to members x groups. SPDX-License-Identifier: Apache-2.0 */
#include "nn.h"

void nn_transpose(const nn_swap *s) {
    const int8_t *in = s->input;
    int8_t *out = s->output;
    for (uint32_t place = 0; place < s->places; ++place, in += (uint32_t)s->groups * s->members)
        for (uint32_t m = 0; m < s->members; ++m)
            for (uint32_t g = 0; g < s->groups; ++g) *out++ = in[g * s->members + m];
}
