/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends connections that hold a place without need: a header that does not come, a body or answer that moves too slowly;
 * and finds peers that left while their connection rests. It only shuts sockets down: the connection's own thread cleans up.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "http/server_internal.h"

#define TICK_NS 500000000LL
#define SECOND_NS 1000000000ULL
/* What a peer must move, on average over config.rate_seconds. */
#define BYTES_PER_SECOND 1024u
#define LEFT_MAX 64
/* What a connection without a request may take when three quarters of all are in use. */
#define CROWDED_NS (2 * SECOND_NS)

void connection_set_phase(struct connection *connection, enum connection_phase phase)
{
	atomic_store(&connection->phase, phase);
	atomic_fetch_add(&connection->phase_changes, 1);
}

/* Bytes that arrived from the peer and bytes that it confirmed, over the connection's life. */
static uint64_t bytes_moved(const struct connection *connection)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0;
	return info.tcpi_bytes_acked + info.tcpi_bytes_received;
}

static bool is_too_slow(struct connection *connection, uint64_t now)
{
	unsigned changes = atomic_load(&connection->phase_changes);
	unsigned seconds = connection->server->config.rate_seconds;
	uint64_t moved;
	int waiting = 0;
	bool slow;

	if (changes == connection->window_changes && now < connection->window_ns + seconds * SECOND_NS)
		return false;
	moved = bytes_moved(connection);
	/* Bytes that wait to be read are the server's delay and not the peer's. */
	if (atomic_load(&connection->phase) == PHASE_BODY)
		(void)ioctl(connection->fd, FIONREAD, &waiting);
	slow = changes == connection->window_changes && waiting == 0 &&
	       moved - connection->window_bytes < (uint64_t)seconds * BYTES_PER_SECOND;
	connection->window_changes = changes;
	connection->window_ns = now;
	connection->window_bytes = moved;
	return slow;
}

/* The end of an answer may wait in the kernel, megabytes of it, when libmicrohttpd is done with it. */
static bool has_unsent(const struct connection *connection)
{
	int waiting = 0;

	return ioctl(connection->fd, SIOCOUTQ, &waiting) == 0 && waiting > 0;
}

static bool has_left(const struct connection *connection)
{
	struct pollfd poll_fd = {.fd = connection->fd, .events = POLLRDHUP};

	return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static bool has_no_request(struct connection *connection, uint64_t now, bool crowded)
{
	if (crowded && now > atomic_load(&connection->since_ns) + CROWDED_NS)
		return true;
	return now > atomic_load(&connection->deadline_ns) || (has_unsent(connection) && is_too_slow(connection, now));
}

static bool is_overdue(struct connection *connection, uint64_t now, bool crowded)
{
	switch (atomic_load(&connection->phase)) {
	case PHASE_HEADER:
		return has_no_request(connection, now, crowded);
	case PHASE_BODY:
	case PHASE_REPLY:
		return is_too_slow(connection, now);
	case PHASE_HANDLER:
	case PHASE_PAUSED:
		return false;
	}
	return false;
}

/* With a reset: a peer that takes nothing would leave what is queued with the kernel for minutes. */
static void cut(const struct connection *connection)
{
	const struct linger reset = {.l_onoff = 1};

	(void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)shutdown(connection->fd, SHUT_RDWR);
}

/* Looks at all connections once; returns the streams whose peers left, at most LEFT_MAX a tick. */
static size_t look(struct http_server *server, struct http_stream *left[static LEFT_MAX])
{
	uint64_t now = clock_monotonic_ns();
	bool crowded = server->connection_count > server->config.connections_max / 4 * 3;
	size_t count = 0;

	for (struct connection *at = server->connections; at; at = at->next) {
		if (is_overdue(at, now, crowded))
			cut(at);
		if (at->stream && count < LEFT_MAX && (has_left(at) || atomic_load(&server->stopping)))
			left[count++] = stream_ref(at->stream);
	}
	return count;
}

void *watchdog_run(void *user)
{
	struct http_server *server = user;
	struct http_stream *left[LEFT_MAX];
	struct timespec until;
	size_t count;

	(void)pthread_mutex_lock(&server->lock);
	while (!server->watchdog_ends) {
		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += atomic_load(&server->stopping) ? TICK_NS / 25 : TICK_NS;
		until.tv_sec += until.tv_nsec / (long)SECOND_NS;
		until.tv_nsec %= (long)SECOND_NS;
		(void)pthread_cond_timedwait(&server->wake, &server->lock, &until);
		count = look(server, left);
		if (!count)
			continue;
		(void)pthread_mutex_unlock(&server->lock);
		for (size_t i = 0; i < count; i++)
			stream_peer_left(left[i]);
		(void)pthread_mutex_lock(&server->lock);
	}
	(void)pthread_mutex_unlock(&server->lock);
	return NULL;
}
