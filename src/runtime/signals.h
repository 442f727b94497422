/* SPDX-License-Identifier: Apache-2.0 */
/* Signals as people write them. */
#ifndef RUNTIME_SIGNALS_H
#define RUNTIME_SIGNALS_H

#include "base/err.h"

/* Reads "15", "TERM", "SIGTERM" or "SIGRTMIN+3"; case does not matter. */
int signals_parse(const char *word, int *ret_number, struct err *err) MUST_CHECK;

#endif
