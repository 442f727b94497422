/* SPDX-License-Identifier: Apache-2.0 */
/* What parent, child and `start` tell each other: whole packets of one shape over SOCK_SEQPACKET. */
#ifndef RUNTIME_CHANNEL_H
#define RUNTIME_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum channel_kind {
	CHANNEL_PID,        /* stage to parent: the container's process is `value` */
	CHANNEL_NAMESPACES, /* child to parent: alive in its namespaces */
	CHANNEL_GROUPS,     /* parent to child: which version 1 control groups there are, as cgroup_made has it */
	CHANNEL_GO,         /* parent to child: on */
	CHANNEL_READY,      /* child to parent: all but the start is done */
	CHANNEL_LISTENER,   /* child to whoever starts it: a descriptor comes along, see notify.h */
	CHANNEL_END,        /* spawner to `exec`: the process ended with the status `value` */
	CHANNEL_ERROR,      /* child to parent, or to `start`: err */
	CHANNEL_FILTER,     /* parent to child: the filter's instructions come along, its flags are `value` */
};

struct channel_packet {
	enum channel_kind kind;
	int32_t value;
	struct err err;
};

/* A connected pair, close-on-exec. */
int channel_pair(int ret_ends[2], struct err *err) MUST_CHECK;

/* Sends; errors are negative errno. */
int channel_send(int fd, enum channel_kind kind, int32_t value);
int channel_send_error(int fd, const struct err *err);

/* Sends a packet with bytes behind it; receives one, with at most `size` of them. */
int channel_send_bytes(int fd, enum channel_kind kind, int32_t value, const void *bytes, size_t len) MUST_CHECK;
int channel_expect_bytes(int fd, enum channel_kind kind, int32_t *ret_value, void *bytes, size_t size, size_t *ret_len,
			 struct err *err) MUST_CHECK;

/* Sends a packet with a descriptor. */
int channel_send_fd(int fd, enum channel_kind kind, int passed) MUST_CHECK;

/*
 * Receives a packet as channel_expect does, but takes CHANNEL_LISTENER beside the kind wanted: with that *ret_passed is
 * its descriptor, which the caller closes, else -1.
 */
int channel_expect_fd(int fd, enum channel_kind kind, int *ret_passed, struct err *err) MUST_CHECK;

/*
 * Receives a packet of the kind wanted. A packet with an error fills err and returns its code; the peer's end of life is
 * -ECONNRESET.
 */
int channel_expect(int fd, enum channel_kind kind, int32_t *ret_value, struct err *err) MUST_CHECK;

/*
 * The same for a packet from a process that has been waited for: it is there already, or -ECONNRESET. Where a child of
 * that process holds the other end too, waiting for the packet would have no end.
 */
int channel_collect(int fd, enum channel_kind kind, int32_t *ret_value, struct err *err) MUST_CHECK;

#endif
