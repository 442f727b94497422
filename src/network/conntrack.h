/* SPDX-License-Identifier: Apache-2.0 */
/* Connection tracking state: what a removed pod must not leave to the next owner of its address. ISO-10. */
#ifndef NETWORK_CONNTRACK_H
#define NETWORK_CONNTRACK_H

#include <stdint.h>

#include "base/err.h"

/* Removes every tracked connection that has the address (host byte order) at either end, in the calling thread's namespace. */
int conntrack_forget(uint32_t address, struct err *err) MUST_CHECK;

#endif
