/* SPDX-License-Identifier: Apache-2.0 */
/* Which folders are the machine's own and no container's root, by identity: a mount may show them elsewhere too. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "runtime/bounds_facts.h"

static const struct {
	const char *path;
	bool below; /* what lies in it as well: containers' roots lie in the others */
} folders[] = {
	{"/proc", true},         {"/sys", true},           {"/dev", true},
	{"/etc/bulkhead", true}, {"/run/bulkhead", false}, {"/var/lib/bulkhead", false},
};

static bool is_same(const struct bounds_identity *root, const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_dev == root->dev && st.st_ino == root->ino;
}

/* Whether it is the folder or one above it. */
static bool holds(const struct bounds_identity *root, const char *folder)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s", folder);
	for (char *slash = path + strlen(path); slash != path; slash = strrchr(path, '/')) {
		*slash = '\0';
		if (is_same(root, path))
			return true;
	}
	return is_same(root, "/");
}

bool bounds_root_is_system(const struct bounds_identity *root, const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		size_t len = strlen(folders[i].path);

		if (holds(root, folders[i].path))
			return true;
		if (folders[i].below && path && str_starts(path, folders[i].path) && path[len] == '/')
			return true;
	}
	return !path;
}
