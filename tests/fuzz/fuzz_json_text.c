/* SPDX-License-Identifier: Apache-2.0 */
/* What both readers take, they take for the same value; what the library refuses, we refuse. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/json_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Fractions are approximated here, so only what has none is compared. */
static int has_real(const json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)value, i, item)
		if (has_real(item))
			return 1;
	json_object_foreach((json_t *)value, key, item)
		if (has_real(item))
			return 1;
	return json_is_real(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	json_error_t problem;
	json_t *ours = json_text_read((const char *)data, size, &err);
	json_t *theirs = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &problem);

	if (!ours && (err.code >= 0 || !err.msg[0]))
		abort();
	if (ours && !has_real(ours) && (!theirs || !json_equal(ours, theirs)))
		abort();
	json_decref(ours);
	json_decref(theirs);
	return 0;
}
