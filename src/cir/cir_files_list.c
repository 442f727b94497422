/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cir/cir_files.h"
#include "cir/cir_files_internal.h"
#include "oci/reference.h"

void cir_list_done(struct cir_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->names[i]);
	free(list->names);
	*list = (struct cir_list){0};
}

static int add(struct cir_list *list, const char *name)
{
	char **names, *copy;
	size_t size;

	if (list->count == CIR_LIST_MAX)
		return -EFBIG;
	if (list->count == list->size) {
		size = list->size ? list->size * 2 : 16;
		names = realloc(list->names, size * sizeof(*names));
		if (!names)
			return -ENOMEM;
		list->names = names;
		list->size = size;
	}
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	list->names[list->count++] = copy;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort(struct cir_list *list)
{
	if (list->count)
		qsort(list->names, list->count, sizeof(*list->names), compare);
}

static int open_folder(int dir, const char *path, DIR **ret_folder)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);

	if (folder) {
		*ret_folder = folder;
		return 0;
	}
	if (fd >= 0)
		(void)close(fd);
	return -errno;
}

static int each_name(int dir, const char *path, int (*each)(const char *name, void *user), void *user)
{
	const struct dirent *entry;
	DIR *folder;
	int r = open_folder(dir, path, &folder);

	if (r < 0)
		return r;
	for (errno = 0; r == 0 && (entry = readdir(folder)); errno = 0)
		if (entry->d_name[0] != '.')
			r = each(entry->d_name, user);
	if (r == 0)
		r = -errno;
	(void)closedir(folder);
	return r;
}

static int add_name(const char *name, void *list)
{
	return add(list, name);
}

static int list_names(int dir, const char *path, struct cir_list *list)
{
	int r = each_name(dir, path, add_name, list);

	sort(list);
	return r;
}

int cir_files_each_name(const struct cir_files *files, const char *repository, const char *folder,
			int (*each)(const char *name, void *user), void *user)
{
	char path[CIR_PATH_SIZE];
	int r;

	cir_files_path(path, repository, folder, NULL, NULL);
	r = each_name(files->repositories, path, each, user);
	return r == -ENOENT ? 0 : r;
}

int cir_files_list_quarantine(const struct cir_files *files, struct cir_list *list, struct err *err)
{
	int r = list_names(files->quarantine, ".", list);

	return r < 0 ? err_sys(err, r, "cannot list what lies in quarantine") : 0;
}

struct contents_walk {
	const struct cir_files *files;
	const char *algorithm;
	char folder[32];
	int (*each)(const struct digest *digest, void *user);
	void *user;
};

static int each_contents_file(const char *name, void *user)
{
	const struct contents_walk *walk = user;
	char text[DIGEST_TEXT_SIZE + 8];
	struct digest digest;
	int len = snprintf(text, sizeof(text), "%s:%s", walk->algorithm, name);

	/* What is not ours lies there by nobody's will but root's. */
	if (len < 0 || (size_t)len >= sizeof(text) || digest_parse(text, &digest, NULL) < 0)
		return 0;
	return walk->each(&digest, walk->user);
}

static int each_contents_folder(const char *name, void *user)
{
	struct contents_walk *walk = user;
	int r;

	if (strlen(name) != 2)
		return 0;
	(void)snprintf(walk->folder, sizeof(walk->folder), "%s/%.2s", walk->algorithm, name);
	r = each_name(walk->files->blobs, walk->folder, each_contents_file, walk);
	return r == -ENOENT ? 0 : r;
}

int cir_files_each_contents(const struct cir_files *files, int (*each)(const struct digest *digest, void *user),
			    void *user)
{
	static const enum digest_algorithm algorithms[] = {DIGEST_SHA256, DIGEST_SHA512};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(algorithms); i++) {
		struct contents_walk walk = {files, digest_algorithm_name(algorithms[i]), "", each, user};

		r = each_name(files->blobs, walk.algorithm, each_contents_folder, &walk);
		r = r == -ENOENT ? 0 : r;
	}
	return r;
}

int cir_files_list_tags(const struct cir_files *files, const char *repository, struct cir_list *list, struct err *err)
{
	char path[CIR_PATH_SIZE];
	int r;

	cir_files_path(path, repository, "_tags", NULL, NULL);
	r = list_names(files->repositories, path, list);
	if (r == -ENOENT) {
		cir_files_path(path, repository, "_manifests", NULL, NULL);
		if (faccessat(files->repositories, path, F_OK, 0) < 0)
			return err_set(err, ERR_NOT_FOUND, "there is no repository '%s'", repository);
		r = 0; /* manifests without tags */
	}
	return r < 0 ? err_sys(err, r, "cannot list the tags of repository '%s'", repository) : 0;
}

int cir_files_list_referrers(const struct cir_files *files, const char *repository, const struct digest *subject,
			     struct cir_list *list, struct err *err)
{
	char path[CIR_PATH_SIZE], text[DIGEST_TEXT_SIZE];
	int r;

	digest_format(subject, text);
	cir_files_path(path, repository, "_referrers", text, NULL);
	r = list_names(files->repositories, path, list);
	return r < 0 && r != -ENOENT ? err_sys(err, r, "cannot list the referrers of '%s'", text) : 0;
}

struct repository_walk {
	int top;
	const char *mark; /* the folder that makes a folder a repository; NULL: any */
	int (*each)(const char *repository, void *user);
	void *user;
};

static int visit(const struct repository_walk *walk, char path[static CIR_PATH_SIZE], size_t len, bool *ret_is);

/* Repositories nest: each folder may hold "_manifests" and further repositories. path is a buffer of its first len bytes. */
static int walk_repositories(const struct repository_walk *walk, char path[static CIR_PATH_SIZE], size_t len)
{
	bool is = false;
	int r = visit(walk, path, len, &is);

	path[len] = '\0';
	if (r == 0 && is && len)
		r = walk->each(path, walk->user);
	return r;
}

static int visit(const struct repository_walk *walk, char path[static CIR_PATH_SIZE], size_t len, bool *ret_is)
{
	const struct dirent *entry;
	DIR *folder;
	int r = open_folder(walk->top, len ? path : ".", &folder);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (errno = 0; r == 0 && (entry = readdir(folder)); errno = 0) {
		size_t name_len = strlen(entry->d_name);

		*ret_is |= walk->mark ? str_eq(entry->d_name, walk->mark) : entry->d_name[0] == '_';
		if (entry->d_name[0] == '_' || entry->d_name[0] == '.' ||
		    len + 1 + name_len >= REFERENCE_REPOSITORY_SIZE)
			continue;
		memcpy(path + len, "/", len > 0);
		memcpy(path + len + (len > 0), entry->d_name, name_len + 1);
		r = walk_repositories(walk, path, len + (len > 0) + name_len);
		path[len] = '\0';
	}
	if (r == 0)
		r = -errno;
	(void)closedir(folder);
	return r;
}

int cir_files_each_repository(const struct cir_files *files, int (*each)(const char *repository, void *user),
			      void *user)
{
	const struct repository_walk walk = {files->repositories, NULL, each, user};
	char path[CIR_PATH_SIZE] = "";

	return walk_repositories(&walk, path, 0);
}

int cir_files_list_repositories(const struct cir_files *files, struct cir_list *list, struct err *err)
{
	const struct repository_walk walk = {files->repositories, "_manifests", add_name, list};
	char path[CIR_PATH_SIZE] = "";
	int r = walk_repositories(&walk, path, 0);

	sort(list);
	return r < 0 ? err_sys(err, r, "cannot list the repositories") : 0;
}
