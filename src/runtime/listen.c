/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/listen.h"

#include <errno.h>
#include <stdio.h>

#include "base/str.h"

#define LISTEN_MOST 256

int listen_count(void)
{
	const char *fds = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	uint64_t count, owner;

	if (!fds || str_parse_u64(fds, LISTEN_MOST, &count) < 0)
		return 0;
	if (pid && (str_parse_u64(pid, INT32_MAX, &owner) < 0 || (pid_t)owner != getpid()))
		return 0;
	return (int)count;
}

int listen_tell(struct spec_strings *env, const char ***ret_items, struct err *err)
{
	static char text[32];
	const char **items;

	if (listen_count() == 0)
		return 0;
	items = calloc(env->count + 3, sizeof(*items));
	if (!items)
		return err_set(err, -ENOMEM, "no memory");
	(void)snprintf(text, sizeof(text), "LISTEN_FDS=%d", listen_count());
	if (env->count)
		memcpy(items, env->items, env->count * sizeof(*items));
	items[env->count] = text;
	items[env->count + 1] = "LISTEN_PID=1";
	*env = (struct spec_strings){items, env->count + 2};
	*ret_items = items;
	return 0;
}
