/* SPDX-License-Identifier: Apache-2.0 */
/* The continue token of a list: the revision it is of and the key behind which it goes on. Opaque to clients, believed by nobody. */
#ifndef CISM_CONTINUATION_H
#define CISM_CONTINUATION_H

#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

#define CONTINUATION_SIZE (2 * (STORE_KEY_MAX + 24) + 1)

int continuation_format(uint64_t revision, const char *key, char to[static CONTINUATION_SIZE],
			struct err *err) MUST_CHECK;

/* Reads a token for the collection with this prefix. ERR_SYNTAX for anything continuation_format did not make for it. */
int continuation_parse(const char *token, const char *prefix, uint64_t *ret_revision,
		       char key[static STORE_KEY_MAX + 1], struct err *err) MUST_CHECK;

#endif
