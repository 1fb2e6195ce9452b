/* SPDX-License-Identifier: Apache-2.0 */
#include "nn_cmsis.h"

NN_CONVOLUTION(nn_conv, arm_convolve_s8)
