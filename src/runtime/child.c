/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/child.h"

#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "runtime/channel.h"

static int hear(const struct child *child, bool *ret_ended, int *ret_status, struct err *err)
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
	if (r == -ECONNRESET)
		return err_set(err, -EOWNERDEAD,
			       "the container's spawner was killed: how process %d ends cannot be known",
			       (int)child->pid);
	if (r < 0)
		return r;
	*ret_ended = true;
	*ret_status = status;
	return 0;
}

int child_ended(const struct child *child, bool *ret_ended, int *ret_status, struct err *err)
{
	pid_t pid;

	if (child->session >= 0)
		return hear(child, ret_ended, ret_status, err);
	pid = waitpid(child->pid, ret_status, WNOHANG);
	if (pid < 0)
		return err_sys(err, -errno, "cannot wait for process %d", (int)child->pid);
	*ret_ended = pid == child->pid;
	return 0;
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
}
