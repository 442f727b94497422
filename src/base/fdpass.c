/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdpass.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

ssize_t fdpass_send(int socket, const void *bytes, size_t len, const int *fds, size_t count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(FDPASS_MAX * sizeof(int))];
	} control;
	struct iovec part = {(void *)bytes, len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	if (count > FDPASS_MAX)
		return -E2BIG;
	if (count) {
		memset(&control, 0, CMSG_SPACE(count * sizeof(int)));
		control.header = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	do
		n = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Keeps what there is room for and closes the rest. */
static bool take_fds(const struct cmsghdr *header, struct fdpass *to, size_t room)
{
	size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	bool fits = true;

	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
		if (to->count < room) {
			to->fds[to->count++] = fd;
			continue;
		}
		(void)close(fd);
		fits = false;
	}
	return fits;
}

static bool take_control(struct msghdr *message, struct fdpass *to, size_t room)
{
	bool fits = true;

	for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at)) {
		struct ucred sender;

		if (at->cmsg_level != SOL_SOCKET)
			continue;
		if (at->cmsg_type == SCM_RIGHTS)
			fits = take_fds(at, to, room) && fits;
		if (at->cmsg_type == SCM_CREDENTIALS && at->cmsg_len == CMSG_LEN(sizeof(sender))) {
			memcpy(&sender, CMSG_DATA(at), sizeof(sender));
			to->sender = sender.pid;
		}
	}
	return fits;
}

static void drop(struct fdpass *message)
{
	while (message->count)
		(void)close(take_fd(&message->fds[--message->count]));
}

ssize_t fdpass_receive(int socket, struct fdpass *message, int flags)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(FDPASS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec part = {message->bytes, message->len};
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	size_t room = message->count;
	bool fits;
	ssize_t n;

	message->count = 0;
	message->sender = 0;
	do
		n = recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	fits = take_control(&header, message, room);
	if (fits && !(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return n;
	drop(message);
	return -EMSGSIZE;
}
