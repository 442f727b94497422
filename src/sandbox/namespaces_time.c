/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fdio.h"
#include "sandbox/namespaces.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static int write_offset(int fd, const char *clock, const struct spec_time_offset *offset)
{
	char line[64];

	if (!offset->present)
		return 0;
	(void)snprintf(line, sizeof(line), "%s %lld %u\n", clock, (long long)offset->seconds, offset->nanoseconds);
	return fdio_write_all(fd, line, strlen(line));
}

/* The clocks of a namespace can be set until a process lives in it. */
static int make(const struct spec_time_offset *monotonic, const struct spec_time_offset *boottime)
{
	CLEANUP_CLOSE int fd = -1;
	int r;

	if (unshare(CLONE_NEWTIME) < 0)
		return -errno;
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_offset(fd, "monotonic", monotonic);
	return r == 0 ? write_offset(fd, "boottime", boottime) : r;
}

/* The helper's word: 0 or an error. Then it stays until it is killed. */
static _Noreturn void help(int fd, const struct spec_time_offset *monotonic, const struct spec_time_offset *boottime)
{
	int r = make(monotonic, boottime);

	if (write(fd, &r, sizeof(r)) != sizeof(r))
		_exit(1);
	while (true)
		(void)pause();
}

static int open_made(pid_t pid, int from, int *ret_fd)
{
	char path[64];
	int r, made;

	r = fdio_read_exact(from, &made, sizeof(made));
	if (r < 0 || made < 0)
		return r < 0 ? r : made;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/time_for_children", (int)pid);
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

int namespaces_make_time(const struct spec_time_offset *monotonic, const struct spec_time_offset *boottime, int *ret_fd,
			 struct err *err)
{
	int ends[2], r;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, -errno, "cannot make a pipe");
	pid = namespaces_clone(0, -1);
	if (pid == 0)
		help(ends[1], monotonic, boottime);
	(void)close(ends[1]);
	r = pid < 0 ? pid : open_made(pid, ends[0], ret_fd);
	(void)close(ends[0]);
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return r < 0 ? err_sys(err, r, "config.json: linux.timeOffsets") : 0;
}
