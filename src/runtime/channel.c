/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/channel.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/fdpass.h"
#include "base/str.h"

int channel_pair(int ret_ends[2], struct err *err)
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) < 0
		       ? err_sys(err, -errno, "cannot make a socket")
		       : 0;
}

static int send_packet(int fd, const struct channel_packet *packet, const void *bytes, size_t len)
{
	struct iovec parts[] = {{(void *)(uintptr_t)packet, sizeof(*packet)}, {(void *)(uintptr_t)bytes, len}};
	const struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};
	ssize_t n;

	do
		n = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int channel_send_bytes(int fd, enum channel_kind kind, int32_t value, const void *bytes, size_t len)
{
	struct channel_packet packet = {.kind = kind, .value = value};

	return send_packet(fd, &packet, bytes, len);
}

int channel_send(int fd, enum channel_kind kind, int32_t value)
{
	return channel_send_bytes(fd, kind, value, NULL, 0);
}

int channel_send_error(int fd, const struct err *err)
{
	struct channel_packet packet = {.kind = CHANNEL_ERROR, .err = *err};

	return send_packet(fd, &packet, NULL, 0);
}

int channel_send_fd(int fd, enum channel_kind kind, int passed)
{
	struct channel_packet packet = {.kind = kind};
	ssize_t n = fdpass_send(fd, &packet, sizeof(packet), &passed, 1);

	return n < 0 ? (int)n : 0;
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
static ssize_t hear(int fd, int flags, struct fdpass *message)
{
	size_t room = message->count;
	ssize_t n = fdpass_receive(fd, message, flags);

	if (n != -ECONNRESET)
		return n;
	message->count = room;
	return fdpass_receive(fd, message, flags);
}

static int receive(int fd, int flags, enum channel_kind kind, int32_t *ret_value, struct err *err)
{
	struct channel_packet packet;
	struct fdpass message = {.bytes = &packet, .len = sizeof(packet)};
	int r = check(&packet, hear(fd, flags, &message), kind, err);

	if (r == 0 && ret_value)
		*ret_value = packet.value;
	return r;
}

/* The same for what comes without descriptors. */
static bool comes_again(ssize_t n, bool *reset)
{
	bool first = n < 0 && errno == ECONNRESET && !*reset;

	*reset = *reset || first;
	return first || (n < 0 && errno == EINTR);
}

int channel_expect_bytes(int fd, enum channel_kind kind, int32_t *ret_value, void *bytes, size_t size, size_t *ret_len,
			 struct err *err)
{
	struct channel_packet packet;
	struct iovec parts[] = {{&packet, sizeof(packet)}, {bytes, size}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};
	bool reset = false;
	ssize_t n;
	int r;

	do
		n = recvmsg(fd, &message, 0);
	while (comes_again(n, &reset));
	*ret_len = n > (ssize_t)sizeof(packet) ? (size_t)n - sizeof(packet) : 0;
	if (n >= 0 && (message.msg_flags & MSG_TRUNC))
		return err_set(err, -EPROTO, "the container's process sent something else than expected");
	r = check(&packet, n < 0 ? -errno : n - (ssize_t)*ret_len, kind, err);
	if (r == 0)
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
	struct channel_packet packet;
	int passed = -1;
	struct fdpass message = {.bytes = &packet, .len = sizeof(packet), .fds = &passed, .count = 1};
	ssize_t n = hear(fd, 0, &message);
	int r = check(&packet, n, message.count ? CHANNEL_LISTENER : kind, err);

	*ret_passed = -1;
	if (r == 0 && message.count)
		*ret_passed = passed;
	else if (message.count)
		(void)close(passed);
	return r;
}
