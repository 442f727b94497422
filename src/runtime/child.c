/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fdio.h"
#include "runtime/channel.h"

/* All of a container's processes are killed at once; they need processor time to end. */
#define CONTAINER_ENDS_MS 2000

static bool is_over(int pidfd, int patience_ms)
{
	struct pollfd ready = {.fd = pidfd, .events = POLLIN};

	return poll(&ready, 1, patience_ms) > 0;
}

/* The spawner is gone, with its container or alone. A container is at its end when the last of its processes is. */
static int look(const struct child *child, bool *ret_ended, int *ret_status, struct err *err)
{
	*ret_ended = is_over(child->pidfd, 0);
	if (!*ret_ended)
		return 0;
	if (!is_over(child->first, CONTAINER_ENDS_MS))
		return err_set(err, -EOWNERDEAD,
			       "the container's spawner was killed: how process %d ends cannot be known",
			       (int)child->pid);
	*ret_status = SIGKILL;
	return 0;
}

static int hear(struct child *child, bool *ret_ended, int *ret_status, struct err *err)
{
	int32_t status;
	char byte;
	int r;

	if (recv(child->session, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) < 0 &&
	    (errno == EAGAIN || errno == EINTR)) {
		*ret_ended = false;
		return 0;
	}
	r = channel_expect(child->session, CHANNEL_END, &status, err);
	if (r == -ECONNRESET) {
		(void)close(take_fd(&child->session));
		return look(child, ret_ended, ret_status, err);
	}
	if (r < 0)
		return r;
	*ret_ended = true;
	*ret_status = status;
	return 0;
}

int child_ended(struct child *child, bool *ret_ended, int *ret_status, struct err *err)
{
	pid_t pid;

	if (child->session >= 0)
		return hear(child, ret_ended, ret_status, err);
	if (child->pidfd >= 0)
		return look(child, ret_ended, ret_status, err);
	pid = waitpid(child->pid, ret_status, WNOHANG);
	if (pid < 0)
		return err_sys(err, -errno, "cannot wait for process %d", (int)child->pid);
	*ret_ended = pid == child->pid;
	return 0;
}

int child_event(const struct child *child)
{
	return child->session >= 0 ? child->session : child->pidfd;
}

void child_signal(const struct child *child, int number)
{
	if (child->pidfd >= 0)
		(void)pidfd_send_signal(child->pidfd, number, NULL, 0);
	else
		(void)kill(child->pid, number);
}

int child_exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void child_done(struct child *child)
{
	if (child->pidfd >= 0)
		(void)close(take_fd(&child->pidfd));
	if (child->session >= 0)
		(void)close(take_fd(&child->session));
	if (child->first >= 0)
		(void)close(take_fd(&child->first));
}

int child_write_pid(const char *path, pid_t pid, struct err *err)
{
	char text[16];

	if (!path)
		return 0;
	(void)snprintf(text, sizeof(text), "%d", (int)pid);
	return fdio_publish_file(AT_FDCWD, path, text, strlen(text), 0644, err);
}

void child_forget_pid(const char *path)
{
	if (path)
		(void)unlink(path);
}
