/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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

static int list_names(int dir, const char *path, struct cir_list *list)
{
	const struct dirent *entry;
	DIR *folder;
	int r = open_folder(dir, path, &folder);

	if (r < 0)
		return r;
	while (r == 0 && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			r = add(list, entry->d_name);
	(void)closedir(folder);
	sort(list);
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

/* Repositories nest: each folder may hold "_manifests" and further repositories. path is a buffer of its first len bytes. */
static int walk(int top, char path[static CIR_PATH_SIZE], size_t len, struct cir_list *list)
{
	const struct dirent *entry;
	DIR *folder;
	int r = open_folder(top, len ? path : ".", &folder);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	while (r == 0 && (entry = readdir(folder))) {
		size_t name_len = strlen(entry->d_name);

		if (str_eq(entry->d_name, "_manifests") && len)
			r = add(list, path);
		if (entry->d_name[0] == '_' || entry->d_name[0] == '.' ||
		    len + 1 + name_len >= REFERENCE_REPOSITORY_SIZE)
			continue;
		memcpy(path + len, "/", len > 0);
		memcpy(path + len + (len > 0), entry->d_name, name_len + 1);
		r = walk(top, path, len + (len > 0) + name_len, list);
		path[len] = '\0';
	}
	(void)closedir(folder);
	return r;
}

int cir_files_list_repositories(const struct cir_files *files, struct cir_list *list, struct err *err)
{
	char path[CIR_PATH_SIZE] = "";
	int r = walk(files->repositories, path, 0, list);

	sort(list);
	return r < 0 ? err_sys(err, r, "cannot list the repositories") : 0;
}
