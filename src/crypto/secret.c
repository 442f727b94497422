/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

static enum secret_kind kind;

static size_t round_up(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

/* NULL where the kernel has none, or gives no more: what is locked counts in both ways. */
static void *map_secret(size_t size)
{
	CLEANUP_CLOSE int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
	void *memory;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return NULL;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

static void *map_locked(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (mlock(memory, size) == 0 && madvise(memory, size, MADV_DONTDUMP) == 0)
		return memory;
	(void)munmap(memory, size);
	return NULL;
}

static void find_kind(void)
{
	size_t size = round_up(1);
	void *memory = map_secret(size);

	kind = memory ? SECRET_MEMFD : SECRET_LOCKED;
	if (memory)
		(void)munmap(memory, size);
}

enum secret_kind secret_kind(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, find_kind);
	return kind;
}

const char *secret_kind_name(enum secret_kind of)
{
	return of == SECRET_MEMFD ? "memfd_secret" : "mlock";
}

int secret_new(size_t size, void **ret_memory, struct err *err)
{
	void *memory;

	size = round_up(size);
	memory = secret_kind() == SECRET_MEMFD ? map_secret(size) : map_locked(size);
	if (!memory || madvise(memory, size, MADV_DONTFORK) < 0) {
		if (memory)
			(void)munmap(memory, size);
		(void)err_set(err, -ENOMEM, "cannot lock %zu bytes of memory for keys", size);
		return err_hint(err, "raise RLIMIT_MEMLOCK ('ulimit -l', LimitMEMLOCK= of systemd)");
	}
	*ret_memory = memory;
	return 0;
}

void secret_free(void *memory, size_t size)
{
	if (!memory)
		return;
	explicit_bzero(memory, size);
	(void)munmap(memory, round_up(size));
}

int secret_guard_process(struct err *err)
{
	const struct rlimit none = {0, 0};

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return err_sys(err, -errno, "cannot keep the process from being dumped");
	return 0;
}
