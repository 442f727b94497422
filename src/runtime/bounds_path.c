/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/bounds_path.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "runtime/rootless.h"

#define LINKS_MAX 40
#define NOBODY 65534

bool bounds_path_is_trusted(const struct stat *st)
{
	return st->st_uid == 0 || (st->st_uid == NOBODY && !rootless_knows_superuser());
}

/* A path on its way: what is resolved, the folder it is, and what is still to come. */
struct walk {
	char done[PATH_MAX];
	char rest[2 * PATH_MAX];
	int folder;
	unsigned int links;
};

/* Whether nobody else can put something else under a name. In a folder like /tmp others may not touch what is not theirs. */
static bool is_firm(const struct walk *walk, const struct stat *entry)
{
	struct stat st;

	if (fstat(walk->folder, &st) < 0 || !bounds_path_is_trusted(&st))
		return false;
	if (!(st.st_mode & (S_IWGRP | S_IWOTH)))
		return true;
	return (st.st_mode & S_ISVTX) && bounds_path_is_trusted(entry);
}

/* The next name, cut off the rest; empty at the end. */
static void take_name(struct walk *walk, char name[NAME_MAX + 1])
{
	const char *at = walk->rest + strspn(walk->rest, "/");
	size_t len = strcspn(at, "/");

	(void)snprintf(name, NAME_MAX + 1, "%.*s", (int)(len <= NAME_MAX ? len : NAME_MAX), at);
	memmove(walk->rest, at + len, strlen(at + len) + 1);
}

static bool enter(struct walk *walk, int fd)
{
	if (fd < 0)
		return false;
	(void)close(walk->folder);
	walk->folder = fd;
	return true;
}

static bool go_up(struct walk *walk)
{
	char *slash = strrchr(walk->done, '/');

	if (slash)
		*slash = '\0';
	return enter(walk, openat(walk->folder, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static bool follow(struct walk *walk, const char *name)
{
	char target[PATH_MAX], rest[2 * PATH_MAX];
	ssize_t len = readlinkat(walk->folder, name, target, sizeof(target) - 1);

	if (len <= 0 || ++walk->links > LINKS_MAX)
		return false;
	target[len] = '\0';
	if (snprintf(rest, sizeof(rest), "%s/%s", target, walk->rest) >= (int)sizeof(rest))
		return false;
	memcpy(walk->rest, rest, sizeof(rest));
	if (target[0] != '/')
		return true;
	walk->done[0] = '\0';
	return enter(walk, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static bool add_name(struct walk *walk, const char *name)
{
	size_t len = strlen(walk->done);

	return snprintf(walk->done + len, sizeof(walk->done) - len, "/%s", name) < (int)(sizeof(walk->done) - len);
}

/* One name further; false where the rest stays as it is written. */
static bool step(struct walk *walk, const char *name)
{
	struct stat st;

	if (str_eq(name, ".."))
		return go_up(walk);
	if (fstatat(walk->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !is_firm(walk, &st))
		return false;
	if (S_ISLNK(st.st_mode))
		return follow(walk, name);
	if (!add_name(walk, name))
		return false;
	return !S_ISDIR(st.st_mode) ||
	       enter(walk, openat(walk->folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

static char *join(const char *first, const char *name, const char *rest)
{
	char *path = NULL;

	if (asprintf(&path, "%s%s%s%s", first, name[0] ? "/" : "", name, rest) < 0)
		return NULL;
	if (!path[0]) {
		free(path);
		path = strdup("/");
	}
	return path;
}

char *bounds_path_resolve(const char *path)
{
	struct walk walk = {.folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
	char name[NAME_MAX + 1], *result = NULL;
	bool firm = walk.folder >= 0 && str_copy(walk.rest, sizeof(walk.rest), path) == 0;

	while (firm) {
		take_name(&walk, name);
		if (!name[0])
			break;
		if (!str_eq(name, "."))
			firm = step(&walk, name);
	}
	if (firm)
		result = join(walk.done, "", "");
	else
		result = walk.folder < 0 ? strdup(path) : join(walk.done, name, walk.rest);
	if (walk.folder >= 0)
		(void)close(walk.folder);
	return result;
}
