/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cgroup_file_read(int group, const char *file, char *to, size_t size)
{
	CLEANUP_CLOSE int fd = openat(group, file, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (len < size && (n = read(fd, to + len, size - len)) != 0) {
		if (n < 0)
			return -errno;
		len += (size_t)n;
	}
	if (len == size)
		return -EFBIG;
	if (len && to[len - 1] == '\n')
		len--;
	to[len] = '\0';
	return 0;
}

int cgroup_file_write(int group, const char *file, const char *value)
{
	CLEANUP_CLOSE int fd = openat(group, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

bool cgroup_file_has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, word, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
	}
	return false;
}

uint64_t cgroup_file_counter(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, name, len) == 0 && at[len] == ' ')
			return strtoull(at + len + 1, NULL, 10);
	}
	return 0;
}
