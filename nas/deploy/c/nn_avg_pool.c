/* SPDX-License-Identifier: Apache-2.0 */
#include "nn_cmsis.h"

NN_POOL(nn_avg_pool, arm_avgpool_s8)
