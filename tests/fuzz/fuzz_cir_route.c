/* SPDX-License-Identifier: Apache-2.0 */
/* Request targets and the registry's paths and ranges: what is accepted is well-formed. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "cir/cir_bearer.h"
#include "cir/cir_route.h"
#include "http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_range(const char *header)
{
	uint64_t offset, len, first, last;

	for (uint64_t total = 0; total < 20; total += 7)
		if (cir_route_range(header, total, &offset, &len) > 0)
			assert(len > 0 && offset + len <= total);
	if (cir_route_content_range(header, &first, &last) == 0)
		assert(first <= last);
}

/* What scopes say survives the token; what is no token is none. */
static void check_bearer(const char *text)
{
	static const uint8_t secret[CIR_BEARER_SECRET_SIZE] = {1};
	CLEANUP_BUF struct buf token = buf_of(1 << 16);
	struct cir_bearer bearer = {.expires_ms = 2000, .user = "user"}, read;

	assert(cir_bearer_parse(text, secret, 0, &read, NULL) < 0);
	cir_bearer_add_scopes(&bearer, text);
	if (cir_bearer_format(&bearer, secret, &token) < 0)
		return;
	assert(cir_bearer_parse(token.data, secret, 1999, &read, NULL) == 0);
	assert(cir_bearer_parse(token.data, secret, 2000, &read, NULL) < 0);
	assert(read.count == bearer.count && strcmp(read.user, "user") == 0);
	for (size_t i = 0; i < read.count; i++)
		assert(strcmp(read.scopes[i].repository, bearer.scopes[i].repository) == 0 &&
		       read.scopes[i].rights == bearer.scopes[i].rights);
	token.data[token.len - 2] ^= 1;
	assert(cir_bearer_parse(token.data, secret, 0, &read, NULL) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FREE char *text = malloc(size + 1);
	struct cir_route route;
	struct target target;
	const char *code;
	struct err err;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	check_range(text);
	check_bearer(text);
	if (target_parse(text, &target, &err) < 0)
		return 0;
	assert(target.path[0] == '/' && !strstr(target.path, "//") && !strstr(target.path, "/../"));
	if (cir_route_parse(target.path, &route, &code, &err) == 0)
		assert(!route.repository[0] || reference_is_repository(route.repository));
	return 0;
}
