/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/attend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>

#include "base/buf.h"
#include "base/fdio.h"

/* How often a process is looked at that says nothing, and how often in a row it may be found stopped. */
#define LOOK_MS 500
#define STOPPED_MOST 4

/* By a signal: one of a paused container sleeps, and one that is traced goes on. */
static bool is_stopped(pid_t pid)
{
	CLEANUP_BUF struct buf text = buf_of(4096);
	char path[64];
	const char *at;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (fdio_read_file(AT_FDCWD, path, &text, NULL) < 0)
		return false;
	at = strrchr(text.data, ')');
	return at && strncmp(at, ") T", 3) == 0;
}

static bool ends_programs(uint32_t number)
{
	return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
}

static void give_up(const struct attend *attend)
{
	(void)pidfd_send_signal(attend->pidfd, SIGKILL, NULL, 0);
}

static int take_signal(const struct attend *attend, struct err *err)
{
	struct signalfd_siginfo info;

	if (read(attend->signals, &info, sizeof(info)) != sizeof(info) || info.ssi_signo == SIGCHLD)
		return 0;
	if (!ends_programs(info.ssi_signo)) {
		(void)pidfd_send_signal(attend->pidfd, (int)info.ssi_signo, NULL, 0);
		return 0;
	}
	give_up(attend);
	return err_set(err, -EINTR, "signal %u came before the program ran", info.ssi_signo);
}

int attend_channel(const struct attend *attend, int channel, struct err *err)
{
	struct pollfd ready[] = {{.fd = channel, .events = POLLIN},
				 {.fd = attend->pidfd, .events = POLLIN},
				 {.fd = attend->signals, .events = POLLIN}};
	int stopped = 0;

	while (true) {
		int r = poll(ready, ARRAY_SIZE(ready), LOOK_MS);

		if (r < 0 && errno != EINTR)
			return err_sys(err, -errno, "cannot wait for the process");
		if (r > 0 && (ready[0].revents || ready[1].revents))
			return 0;
		if (r != 0) {
			r = ready[2].revents ? take_signal(attend, err) : 0;
			if (r < 0)
				return r;
			continue;
		}
		stopped = is_stopped(attend->pid) ? stopped + 1 : 0;
		if (stopped < STOPPED_MOST)
			continue;
		give_up(attend);
		return err_set(err, -ETIMEDOUT, "process %d was stopped before the program ran", (int)attend->pid);
	}
}
