/* SPDX-License-Identifier: Apache-2.0 */
#include "base/paths.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

int paths_init(struct paths *paths, const char *root, struct err *err)
{
	char here[PATH_MAX] = "";
	char base[PATH_MAX + PATHS_MAX];
	size_t len;

	if (!root || str_eq(root, "/"))
		root = "";
	if (*root && *root != '/' && !getcwd(here, sizeof(here)))
		return err_sys(err, -errno, "cannot tell the current folder");
	len = (size_t)snprintf(base, sizeof(base), "%s%s%s", here, *here ? "/" : "", root);
	while (len > 0 && len < sizeof(base) && base[len - 1] == '/')
		base[--len] = '\0';
	/* Sockets below run/ must fit sun_path, so the root is kept short of it. */
	if (len > 64)
		return err_set(err, -ENAMETOOLONG, "root '%s' is longer than 64 bytes", root);
	(void)snprintf(paths->etc, sizeof(paths->etc), "%.64s/etc/bulkhead", base);
	(void)snprintf(paths->state, sizeof(paths->state), "%.64s/var/lib/bulkhead", base);
	(void)snprintf(paths->run, sizeof(paths->run), "%.64s/run/bulkhead", base);
	return 0;
}
