/* SPDX-License-Identifier: Apache-2.0 */
/* Files of control groups: a value read and written through the file, words of a list, counters by name. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sandbox/cgroup_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is written is what is read again, but for one line end. */
static void round_trip(const char *text)
{
	int fd = memfd_create("group", MFD_CLOEXEC), folder = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t len = strlen(text);
	char name[16], back[256];
	int r;

	(void)snprintf(name, sizeof(name), "%d", fd);
	if (fd < 0 || folder < 0 || cgroup_file_write(folder, name, text) < 0)
		abort();
	r = cgroup_file_read(folder, name, back, sizeof(back));
	if ((r < 0) != (len >= sizeof(back)) || (r == 0 && strncmp(back, text, strlen(back)) != 0))
		abort();
	if (cgroup_file_read(folder, "none", back, sizeof(back)) == 0 || cgroup_file_write(folder, "none", text) == 0)
		abort();
	(void)close(fd);
	(void)close(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	if (!text)
		return 0;
	(void)cgroup_file_has_word(text, "memory");
	(void)cgroup_file_has_word(text, "");
	(void)cgroup_file_counter(text, "oom_kill");
	(void)cgroup_file_counter(text, "");
	round_trip(text);
	free(text);
	return 0;
}
