/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crashpoint.h"

#if BULKHEAD_CRASHPOINTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

void crashpoint(const char *name)
{
	static uint64_t passes;
	uint64_t wanted = 1;
	const char *asked = getenv("BULKHEAD_CRASH_AT");
	size_t len = strlen(name);

	if (!asked || strncmp(asked, name, len) != 0 || (asked[len] != '\0' && asked[len] != ','))
		return;
	if (asked[len] && str_parse_u64(asked + len + 1, UINT64_MAX, &wanted) < 0)
		return;
	if (++passes >= wanted)
		(void)raise(SIGKILL);
}
#else
/* An object file with nothing in it is not C. */
typedef int crashpoint_unused;
#endif
