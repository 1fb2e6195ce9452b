/* SPDX-License-Identifier: Apache-2.0 */
#include "nn_cmsis.h"

NN_DEPTHWISE(nn_dw_any, arm_depthwise_conv_s8)
