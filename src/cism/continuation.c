/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/continuation.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"

int continuation_format(uint64_t revision, const char *key, char to[static CONTINUATION_SIZE], struct err *err)
{
	char text[STORE_KEY_MAX + 24];
	int len = snprintf(text, sizeof(text), "%" PRIu64 ":%s", revision, key);

	if (len < 0 || (size_t)len >= sizeof(text))
		return err_set(err, ERR_TOO_LARGE, "key '%.100s' is too long for a continue token", key);
	str_hex(to, (const uint8_t *)text, (size_t)len);
	return 0;
}

int continuation_parse(const char *token, const char *prefix, uint64_t *ret_revision,
		       char key[static STORE_KEY_MAX + 1], struct err *err)
{
	char text[STORE_KEY_MAX + 24];
	size_t len = strlen(token) / 2;
	char *colon;

	if (len >= sizeof(text) || str_unhex((uint8_t *)text, len, token) < 0)
		return err_set(err, ERR_SYNTAX, "continue token is not valid");
	text[len] = '\0';
	colon = strchr(text, ':');
	if (!colon || strlen(text) != len)
		return err_set(err, ERR_SYNTAX, "continue token is not valid");
	*colon = '\0';
	if (str_parse_u64(text, UINT64_MAX, ret_revision) < 0 || *ret_revision == 0 || !str_starts(colon + 1, prefix) ||
	    str_copy(key, STORE_KEY_MAX + 1, colon + 1) < 0)
		return err_set(err, ERR_SYNTAX, "continue token is not valid for this list");
	return 0;
}
