/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/superlink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/str.h"

#define PACKET_MAX (256 * 1024)

struct waiting {
	superlink_reply_fn fn;
	void *user;
};

struct superlink {
	struct loop_source *source;
	struct superlink_handler handler;
	int fd;
	struct waiting waiting[SUPERLINK_WAITING_MAX];
	size_t first, count;
};

static void answer(struct superlink *link, const json_t *reply)
{
	struct waiting waiting;

	if (!link->count)
		return;
	waiting = link->waiting[link->first];
	link->first = (link->first + 1) % SUPERLINK_WAITING_MAX;
	link->count--;
	if (waiting.fn)
		waiting.fn(waiting.user, reply);
}

static void on_readable(void *user, int fd, uint32_t events)
{
	static char packet[PACKET_MAX]; /* the loop is one thread, and what is parsed is copied */
	struct superlink *link = user;
	ssize_t n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
	json_t *message;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		loop_remove(link->source);
		link->source = NULL;
		link->handler.closed(link->handler.user);
		return;
	}
	message = json_loadb(packet, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	if (json_object_get(message, "event"))
		link->handler.event(link->handler.user, message);
	else
		answer(link, message);
	json_decref(message);
}

static int connect_control(const char *dir, int *ret_fd, struct err *err)
{
	CLEANUP_CLOSE int folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	if (folder < 0 || fd < 0)
		return err_sys(err, folder < 0 && errno == ENOENT ? ERR_UNAVAILABLE : -errno, "cannot open '%s'", dir);
	/* The folder's own path may be longer than a socket address. */
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/control", folder);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		int code = errno == ENOENT || errno == ECONNREFUSED ? ERR_UNAVAILABLE : -errno;

		return err_sys(err, code, "cannot reach the supervisor in '%s'", dir);
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

bool superlink_probe(const char *dir)
{
	CLEANUP_CLOSE int fd = -1;
	struct err ignored = {0};

	return connect_control(dir, &fd, &ignored) == 0;
}

int superlink_open(struct loop *loop, const char *dir, const struct superlink_handler *handler,
		   struct superlink **ret_link, struct err *err)
{
	struct superlink *link = calloc(1, sizeof(*link));
	int r;

	if (!link)
		return err_sys(err, -ENOMEM, "cannot reach the supervisor in '%s'", dir);
	link->fd = -1;
	link->handler = *handler;
	r = connect_control(dir, &link->fd, err);
	if (r == 0) {
		r = loop_add_fd(loop, link->fd, EPOLLIN, on_readable, link, &link->source);
		if (r < 0)
			(void)err_sys(err, r, "cannot reach the supervisor in '%s'", dir);
	}
	if (r < 0)
		superlink_free(link);
	else
		*ret_link = link;
	return r;
}

void superlink_free(struct superlink *link)
{
	if (!link)
		return;
	loop_remove(link->source);
	if (link->fd >= 0)
		(void)close(link->fd);
	while (link->count)
		answer(link, NULL);
	free(link);
}

int superlink_send(struct superlink *link, json_t *request, superlink_reply_fn fn, void *user, struct err *err)
{
	CLEANUP_FREE char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;

	json_decref(request);
	if (!text)
		return err_sys(err, -ENOMEM, "cannot speak to the supervisor");
	if (link->count >= SUPERLINK_WAITING_MAX)
		return err_set(err, ERR_BUSY, "the supervisor has too many requests waiting");
	if (send(link->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
		return err_sys(err, -errno, "cannot speak to the supervisor");
	link->waiting[(link->first + link->count++) % SUPERLINK_WAITING_MAX] = (struct waiting){.fn = fn, .user = user};
	return 0;
}
