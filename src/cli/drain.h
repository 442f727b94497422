/* SPDX-License-Identifier: Apache-2.0 */
/* The instance's control socket run/bulkhead/cis.sock. */
#ifndef CLI_DRAIN_H
#define CLI_DRAIN_H

#include "base/paths.h"

/* Has the instance stop its pods for now; they start again with it. Waits; ret_pods is how many were stopped. */
int drain_pods(const struct paths *paths, unsigned *ret_pods, struct err *err) MUST_CHECK;

#endif
