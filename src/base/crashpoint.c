/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crashpoint.h"

#if BULKHEAD_CRASHPOINTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>

void crashpoint(const char *name)
{
	static int passes;
	const char *asked = getenv("BULKHEAD_CRASH_AT");
	size_t len = strlen(name);

	if (!asked || strncmp(asked, name, len) != 0 || (asked[len] != '\0' && asked[len] != ','))
		return;
	passes++;
	if (passes >= (asked[len] ? atoi(asked + len + 1) : 1))
		(void)raise(SIGKILL);
}
#else
/* An object file with nothing in it is not C. */
typedef int crashpoint_unused;
#endif
