/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/supervise_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"

static int open_file(struct supervise_log *log)
{
	struct stat st;

	log->fd = open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (log->fd < 0)
		return -errno;
	log->size = fstat(log->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	return 0;
}

/* Which attempt a file belongs to: "3.log", "3.log.1". */
static bool read_attempt(const char *name, uint64_t *ret_attempt)
{
	size_t digits = strspn(name, "0123456789");
	char number[24];

	return digits && digits < sizeof(number) &&
	       (str_eq(name + digits, ".log") || str_eq(name + digits, ".log.1")) &&
	       snprintf(number, sizeof(number), "%.*s", (int)digits, name) > 0 &&
	       str_parse_u64(number, UINT64_MAX, ret_attempt) == 0;
}

/* Calls for each attempt's file that is there: notes the last one before `attempt`, or removes those before `first`. */
static uint64_t walk(const char *folder, uint64_t attempt, bool remove, uint64_t first)
{
	DIR *entries = opendir(folder);
	struct dirent *entry;
	uint64_t last = 0, at;

	while (entries && (entry = readdir(entries))) {
		if (!read_attempt(entry->d_name, &at) || at >= attempt)
			continue;
		if (at > last)
			last = at;
		if (remove && at < first)
			(void)unlinkat(dirfd(entries), entry->d_name, 0);
	}
	if (entries)
		(void)closedir(entries);
	return last;
}

int supervise_log_open(struct supervise_log *log, const char *folder, const char *name, uint64_t attempt,
		       struct err *err)
{
	CLEANUP_FREE char *below = str_format("%s/%s", folder, name);
	int r;

	*log = (struct supervise_log){.fd = -1};
	if (!below)
		return err_sys(err, -ENOMEM, "log of '%s'", name);
	r = fdio_mkdir_all(AT_FDCWD, below, 0750, err);
	if (r < 0)
		return r;
	log->path = str_format("%s/%llu.log", below, (unsigned long long)attempt);
	r = log->path ? open_file(log) : -ENOMEM;
	if (r < 0)
		return err_sys(err, r, "log '%s/%llu.log'", below, (unsigned long long)attempt);
	/* This one and the one before it can be asked for. */
	(void)walk(below, attempt, true, walk(below, attempt, false, 0));
	return 0;
}

void supervise_log_close(struct supervise_log *log)
{
	if (log->fd >= 0)
		(void)close(take_fd(&log->fd));
	free(take_ptr(log->path));
}

static void rotate(struct supervise_log *log)
{
	CLEANUP_FREE char *aside = str_format("%s.1", log->path);

	/*
	 * Without a descriptor the file was set aside before and a new one could not be made: that is tried again. What
	 * cannot be set aside is lost, for it must not grow.
	 */
	if (log->fd >= 0 && (!aside || rename(log->path, aside) < 0)) {
		if (ftruncate(log->fd, 0) == 0)
			log->size = 0;
		return;
	}
	if (log->fd >= 0)
		(void)close(take_fd(&log->fd));
	/* Without a file what follows is dropped: the container must not stand still for its log. */
	(void)open_file(log);
}

/* "2026-11-21T20:21:00.123456789Z" */
static int stamp(char *to, size_t size)
{
	struct timespec now;
	char seconds[CLOCK_STAMP_SIZE];

	(void)clock_gettime(CLOCK_REALTIME, &now);
	clock_format(seconds, (int64_t)now.tv_sec * 1000);
	seconds[CLOCK_STAMP_SIZE - 2] = '\0';
	return snprintf(to, size, "%s.%09ldZ", seconds, now.tv_nsec);
}

/* One write a line, so that readers never see half of one; a full disk costs the line. */
static void write_line(struct supervise_stream *stream, char tag)
{
	struct supervise_log *log = stream->log;
	char head[80], time[48];
	struct iovec parts[3];
	ssize_t written;

	(void)stamp(time, sizeof(time));
	parts[0] = (struct iovec){head, (size_t)snprintf(head, sizeof(head), "%s %s %c ", time, stream->name, tag)};
	parts[1] = (struct iovec){stream->line, stream->len};
	parts[2] = (struct iovec){(char *)"\n", 1};
	if (log->size + parts[0].iov_len + stream->len + 1 > SUPERVISE_LOG_MAX)
		rotate(log);
	stream->len = 0;
	written = log->fd < 0 ? -1 : writev(log->fd, parts, 3);
	if (written > 0)
		log->size += (uint64_t)written;
}

static void take_bytes(struct supervise_stream *stream, const char *bytes, size_t count)
{
	while (count) {
		const char *end = memchr(bytes, '\n', count);
		size_t part = end ? (size_t)(end - bytes) : count;

		if (part > sizeof(stream->line) - stream->len) {
			part = sizeof(stream->line) - stream->len;
			end = NULL;
		}
		memcpy(stream->line + stream->len, bytes, part);
		stream->len += part;
		if (end)
			write_line(stream, 'F');
		else if (stream->len == sizeof(stream->line))
			write_line(stream, 'P');
		part += end != NULL;
		bytes += part;
		count -= part;
	}
}

bool supervise_log_pump(struct supervise_stream *stream)
{
	char bytes[4096];

	for (int i = 0; i < 16; i++) {
		ssize_t n = read(stream->fd, bytes, sizeof(bytes));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n <= 0) {
			if (stream->len)
				write_line(stream, 'F');
			(void)close(take_fd(&stream->fd));
			return false;
		}
		take_bytes(stream, bytes, (size_t)n);
	}
	return true;
}
