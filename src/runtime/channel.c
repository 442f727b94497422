/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

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

static int receive(int fd, int flags, enum channel_kind kind, int32_t *ret_value, struct err *err)
{
	struct channel_packet packet;
	bool reset = false;
	ssize_t n;

	/* A peer that ended before it read all we sent says so once, ahead of the last it had to say. */
	while ((n = recv(fd, &packet, sizeof(packet), flags)) < 0 &&
	       (errno == EINTR || (errno == ECONNRESET && !reset)))
		reset = errno == ECONNRESET;
	if (n < 0 && errno != EAGAIN)
		return err_sys(err, -errno, "cannot hear from the container's process");
	if (n <= 0)
		return err_set(err, -ECONNRESET, "the container's process ended before it was ready");
	if ((size_t)n != sizeof(packet))
		return err_set(err, -EPROTO, "the container's process sent something else than expected");
	if (packet.kind == CHANNEL_ERROR && packet.err.code < 0) {
		packet.err.msg[sizeof(packet.err.msg) - 1] = '\0';
		packet.err.hint[sizeof(packet.err.hint) - 1] = '\0';
		*err = packet.err;
		return packet.err.code;
	}
	if (packet.kind != kind)
		return err_set(err, -EPROTO, "the container's process sent something else than expected");
	if (ret_value)
		*ret_value = packet.value;
	return 0;
}

int channel_expect(int fd, enum channel_kind kind, int32_t *ret_value, struct err *err)
{
	return receive(fd, 0, kind, ret_value, err);
}

int channel_collect(int fd, enum channel_kind kind, int32_t *ret_value, struct err *err)
{
	return receive(fd, MSG_DONTWAIT, kind, ret_value, err);
}
