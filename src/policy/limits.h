/* SPDX-License-Identifier: Apache-2.0 */
/* What a container may use when it does not say (ISO-2): a limit always holds. */
#ifndef POLICY_LIMITS_H
#define POLICY_LIMITS_H

#include <stdint.h>

#include "base/err.h"

#define POLICY_LIMIT_CPU_MILLI 500 /* thousandths of a processor */
#define POLICY_LIMIT_MEMORY_BYTES (INT64_C(128) << 20)
#define POLICY_LIMIT_MEMORY_LEAST (INT64_C(4) << 20) /* below it nothing can start */
#define POLICY_LIMIT_PIDS 256
#define POLICY_LIMIT_PIDS_MOST 4096
#define POLICY_LIMIT_CPU_TEXT "500m"
#define POLICY_LIMIT_MEMORY_TEXT "128Mi"

/* Most processes of a pod, from its annotation (NULL: the default). ERR_INVALID names value and range. */
int policy_limits_pids(const char *annotation, uint32_t *ret_pids, struct err *err) MUST_CHECK;

#endif
