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

#endif
