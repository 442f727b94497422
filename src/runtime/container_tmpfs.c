/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/mount.h>

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

int container_make_tmpfs(const struct container *container, const char *source, const struct mountfd_options *options,
			 uint64_t attributes, int target, int *ret_fd, struct err *err)
{
	const char *const *data = options->data;
	const char *words[ARRAY_SIZE(options->data) + 2];
	size_t count = options->data_count;
	int64_t bytes = most_bytes(container);
	int64_t inodes = bytes / PAGE > LEAST_INODES ? bytes / PAGE : LEAST_INODES;
	char size[40], number[40];
	int r;

	for (size_t i = 0; i < count; i++)
		words[i] = data[i];
	(void)snprintf(size, sizeof(size), "size=%" PRId64, bytes > PAGE ? bytes : PAGE);
	(void)snprintf(number, sizeof(number), "nr_inodes=%" PRId64, inodes);
	if (bytes && !has_word(data, options->data_count, "size=") &&
	    !has_word(data, options->data_count, "nr_blocks="))
		words[count++] = size;
	if (bytes && !has_word(data, options->data_count, "nr_inodes="))
		words[count++] = number;
	if (options->copy_up)
		attributes &= ~(uint64_t)MOUNT_ATTR_RDONLY;
	r = mountfd_new("tmpfs", source, words, count, attributes, ret_fd, err);
	return r == 0 && options->copy_up ? container_copy_up(options, target, *ret_fd, err) : r;
}
