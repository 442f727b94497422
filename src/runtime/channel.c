/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int channel_pair(int ret_ends[2], struct err *err)
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) < 0
		       ? err_sys(err, -errno, "cannot make a socket")
		       : 0;
}

static int send_packet(int fd, const struct channel_packet *packet)
{
	ssize_t n;

	do
		n = send(fd, packet, sizeof(*packet), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int channel_send(int fd, enum channel_kind kind, int32_t value)
{
	struct channel_packet packet = {.kind = kind, .value = value};

	return send_packet(fd, &packet);
}

int channel_send_error(int fd, const struct err *err)
{
	struct channel_packet packet = {.kind = CHANNEL_ERROR, .err = *err};

	return send_packet(fd, &packet);
}

/* A packet with up to one descriptor. */
struct envelope {
	struct channel_packet packet;
	struct iovec part;
	struct msghdr message;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
};

static void envelope_init(struct envelope *envelope)
{
	*envelope = (struct envelope){0};
	envelope->part = (struct iovec){&envelope->packet, sizeof(envelope->packet)};
	envelope->message = (struct msghdr){
		.msg_iov = &envelope->part,
		.msg_iovlen = 1,
		.msg_control = &envelope->control,
		.msg_controllen = sizeof(envelope->control),
	};
}

int channel_send_fd(int fd, enum channel_kind kind, int passed)
{
	struct envelope envelope;
	struct cmsghdr *header;
	ssize_t n;

	envelope_init(&envelope);
	envelope.packet.kind = kind;
	header = CMSG_FIRSTHDR(&envelope.message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &passed, sizeof(passed));
	do
		n = sendmsg(fd, &envelope.message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int check(struct channel_packet *packet, ssize_t n, enum channel_kind kind, struct err *err)
{
	if (n == -EAGAIN || n == 0)
		return err_set(err, -ECONNRESET, "the container's process ended before it was ready");
	if (n < 0)
		return err_sys(err, (int)n, "cannot hear from the container's process");
	if ((size_t)n != sizeof(*packet))
		return err_set(err, -EPROTO, "the container's process sent something else than expected");
	if (packet->kind == CHANNEL_ERROR && packet->err.code < 0) {
		packet->err.msg[sizeof(packet->err.msg) - 1] = '\0';
		packet->err.hint[sizeof(packet->err.hint) - 1] = '\0';
		*err = packet->err;
		return packet->err.code;
	}
	if (packet->kind != kind)
		return err_set(err, -EPROTO, "the container's process sent something else than expected");
	return 0;
}

/* A peer that ended before it read all we sent says so once, ahead of the last it had to say. */
static bool comes_again(ssize_t n, bool *reset)
{
	bool first = n < 0 && errno == ECONNRESET && !*reset;

	*reset = *reset || first;
	return first || (n < 0 && errno == EINTR);
}

static int receive(int fd, int flags, enum channel_kind kind, int32_t *ret_value, struct err *err)
{
	struct channel_packet packet;
	bool reset = false;
	ssize_t n;
	int r;

	do
		n = recv(fd, &packet, sizeof(packet), flags);
	while (comes_again(n, &reset));
	r = check(&packet, n < 0 ? -errno : n, kind, err);
	if (r == 0 && ret_value)
		*ret_value = packet.value;
	return r;
}

int channel_expect(int fd, enum channel_kind kind, int32_t *ret_value, struct err *err)
{
	return receive(fd, 0, kind, ret_value, err);
}

int channel_collect(int fd, enum channel_kind kind, int32_t *ret_value, struct err *err)
{
	return receive(fd, MSG_DONTWAIT, kind, ret_value, err);
}

int channel_expect_fd(int fd, enum channel_kind kind, int *ret_passed, struct err *err)
{
	struct envelope envelope;
	const struct cmsghdr *header;
	bool reset = false;
	ssize_t n;
	int r;

	envelope_init(&envelope);
	*ret_passed = -1;
	do
		n = recvmsg(fd, &envelope.message, MSG_CMSG_CLOEXEC);
	while (comes_again(n, &reset));
	header = n > 0 ? CMSG_FIRSTHDR(&envelope.message) : NULL;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_passed, CMSG_DATA(header), sizeof(int));
	r = check(&envelope.packet, n < 0 ? -errno : n, *ret_passed < 0 ? kind : CHANNEL_LISTENER, err);
	if (r < 0 && *ret_passed >= 0)
		(void)close(take_fd(ret_passed));
	return r;
}
