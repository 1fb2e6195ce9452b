/* SPDX-License-Identifier: Apache-2.0 */
#include "nn_cmsis.h"

NN_CONVOLUTION(nn_conv_1x1_strided, arm_convolve_1x1_s8)
