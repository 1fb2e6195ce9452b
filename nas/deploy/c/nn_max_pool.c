/* SPDX-License-Identifier: Apache-2.0 */
#include "nn_cmsis.h"

NN_POOL(nn_max_pool, arm_max_pool_s8)
