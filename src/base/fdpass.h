/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors over Unix sockets, beside bytes. Nothing is allocated, and the stack needed is below 4 KiB: processes on
 * their way into a container send too.
 */
#ifndef BASE_FDPASS_H
#define BASE_FDPASS_H

#include <sys/types.h>

#include "base/cleanup.h"

/* How many descriptors the kernel takes at once. */
#define FDPASS_MAX 253

/*
 * Sends bytes with descriptors in one call of sendmsg(2): all of a packet, of a stream as many bytes as fit, which the
 * descriptors come with. Yields how many bytes went, or negative errno; -E2BIG for more than FDPASS_MAX descriptors.
 */
ssize_t fdpass_send(int socket, const void *bytes, size_t len, const int *fds, size_t count) MUST_CHECK;

/* What comes, and room for it. */
struct fdpass {
	void *bytes;
	size_t len;   /* of the room */
	int *fds;     /* the caller's to close */
	size_t count; /* of the room; then how many came */
	pid_t sender; /* as the kernel says on a socket with SO_PASSCRED; else 0 */
};

/*
 * Receives with flags of recvmsg(2); descriptors are close-on-exec. Yields how many bytes came, 0 at the peer's end, or
 * negative errno; -EMSGSIZE when there is no room for all that came, which is lost then. On an error no descriptor is
 * left, count is 0, and places that were used are -1.
 */
ssize_t fdpass_receive(int socket, struct fdpass *message, int flags) MUST_CHECK;

#endif
