/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"
#include "runtime/container.h"

#define PAGE 4096
#define LEAST_INODES 1024

static bool has_word(const char *const *data, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (str_starts(data[i], key))
			return true;
	return false;
}

/* Half of the memory the container may have, as the kernel takes half of the machine's; 0 when it has no limit. */
static int64_t most_bytes(const struct container *container)
{
	const struct spec_number *limit = &container->spec->linux_.resources.memory_limit;

	return limit->present && limit->value > 0 ? limit->value / 2 : 0;
}

int container_make_tmpfs(const struct container *container, const char *source, const char *const *data, size_t count,
			 uint64_t attributes, int *ret_fd, struct err *err)
{
	const char *words[CONTAINER_TMPFS_WORDS + 2];
	int64_t bytes = most_bytes(container);
	int64_t inodes = bytes / PAGE > LEAST_INODES ? bytes / PAGE : LEAST_INODES;
	char size[40], number[40];

	if (count > CONTAINER_TMPFS_WORDS)
		return err_set(err, ERR_INVALID, "more than %d options for the file system", CONTAINER_TMPFS_WORDS);
	for (size_t i = 0; i < count; i++)
		words[i] = data[i];
	(void)snprintf(size, sizeof(size), "size=%" PRId64, bytes > PAGE ? bytes : PAGE);
	(void)snprintf(number, sizeof(number), "nr_inodes=%" PRId64, inodes);
	if (bytes && !has_word(words, count, "size=") && !has_word(data, count, "nr_blocks="))
		words[count++] = size;
	if (bytes && !has_word(words, count, "nr_inodes="))
		words[count++] = number;
	return mountfd_new("tmpfs", source, words, count, attributes, ret_fd, err);
}
