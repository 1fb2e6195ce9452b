/* SPDX-License-Identifier: Apache-2.0 */
#include "nn_cmsis.h"

NN_DEPTHWISE(nn_dw_3x3, arm_depthwise_conv_3x3_s8)
