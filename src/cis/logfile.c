/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/logfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

#define LINE_MAX_BYTES ((size_t)256 * 1024)
#define CHUNK 65536

struct logfile {
	struct logfile_options options;
	char *path; /* of the current file; the older one has ".1" behind it */
	uint64_t attempt;
	int fd;
	bool older;       /* fd is the rotated file */
	bool last_look;   /* the run was over before the file was last read to its end */
	int64_t skip;     /* matching lines to pass over */
	int64_t left;     /* bytes that may still be given out; -1: any */
	struct buf raw;   /* bytes of the file that are no whole line yet */
	struct buf ready; /* text for the reader */
	size_t given;     /* of ready */
};

/* A line "TIME stdout F text": where its text begins, and whether it goes on in the next line. */
struct line {
	const char *time, *text;
	size_t time_len, text_len;
	bool partial;
};

static bool split(const char *bytes, size_t len, struct line *line)
{
	const char *stream = memchr(bytes, ' ', len), *tag, *text;

	if (!stream)
		return false;
	tag = memchr(stream + 1, ' ', len - (size_t)(stream + 1 - bytes));
	if (!tag || (size_t)(tag - bytes) + 2 > len)
		return false;
	text = memchr(tag + 1, ' ', len - (size_t)(tag + 1 - bytes));
	if (!text)
		return false;
	*line = (struct line){.time = bytes,
			      .time_len = (size_t)(stream - bytes),
			      .text = text + 1,
			      .text_len = len - (size_t)(text + 1 - bytes),
			      .partial = tag[1] == 'P'};
	return true;
}

static bool matches(const struct logfile_options *options, const struct line *line)
{
	char time[64];
	int64_t wall_ms;

	if (!options->since_ms)
		return true;
	if (line->time_len >= sizeof(time))
		return false;
	memcpy(time, line->time, line->time_len);
	time[line->time_len] = '\0';
	return clock_parse(time, &wall_ms) == 0 && wall_ms >= options->since_ms;
}

static int give(struct logfile *log, const char *bytes, size_t len)
{
	if (log->left >= 0 && (uint64_t)len > (uint64_t)log->left)
		len = (size_t)log->left;
	if (log->left >= 0)
		log->left -= (int64_t)len;
	return buf_append(&log->ready, bytes, len);
}

static int take_line(struct logfile *log, const char *bytes, size_t len)
{
	struct line line;
	int r = 0;

	if (!split(bytes, len, &line) || !matches(&log->options, &line))
		return 0;
	if (log->skip > 0) {
		log->skip--;
		return 0;
	}
	if (log->options.timestamps) {
		r = give(log, line.time, line.time_len);
		if (r == 0)
			r = give(log, " ", 1);
	}
	if (r == 0)
		r = give(log, line.text, line.text_len);
	if (r == 0 && (!line.partial || log->options.timestamps))
		r = give(log, "\n", 1);
	return r;
}

/* Cuts what was read into lines; the rest waits for more. */
static int take_lines(struct logfile *log)
{
	size_t done = 0;
	int r = 0;

	while (r == 0 && done < log->raw.len) {
		const char *at = log->raw.data + done, *end = memchr(at, '\n', log->raw.len - done);

		if (!end)
			break;
		r = take_line(log, at, (size_t)(end - at));
		done += (size_t)(end - at) + 1;
	}
	if (done)
		buf_consume(&log->raw, done);
	return r;
}

static int open_part(struct logfile *log, bool older)
{
	CLEANUP_FREE char *aside = older ? str_format("%s.1", log->path) : NULL;
	const char *path = older ? aside : log->path;
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

	if (fd < 0)
		return path ? -errno : -ENOMEM;
	if (log->fd >= 0)
		(void)close(log->fd);
	log->fd = fd;
	log->older = older;
	buf_clear(&log->raw);
	return 0;
}

/* Back to the oldest line that is left. */
static int rewind_log(struct logfile *log)
{
	int r = open_part(log, true);

	return r == -ENOENT ? open_part(log, false) : r;
}

/* Reads one piece of the file: how many bytes, 0 at its end. */
static ssize_t fill(struct logfile *log)
{
	ssize_t n;
	char *at;
	int r = buf_reserve(&log->raw, CHUNK, &at);

	if (r < 0)
		return r;
	n = read(log->fd, at, CHUNK);
	if (n > 0)
		log->raw.len += (size_t)n;
	return n < 0 ? -errno : n;
}

/* At the end of a file: whether there is a newer one to go on with. */
static bool next_part(struct logfile *log)
{
	struct stat own, now;

	if (log->older)
		return open_part(log, false) == 0;
	/* The current file was rotated away under the reader; all of it has been read. */
	return fstat(log->fd, &own) == 0 && stat(log->path, &now) == 0 && own.st_ino != now.st_ino &&
	       open_part(log, false) == 0;
}

/* Counts the matching lines, so that all but the last of them can be passed over. */
static int count_lines(struct logfile *log, int64_t *ret_count)
{
	int64_t count = 0;

	while (true) {
		ssize_t n = fill(log);
		size_t done = 0;

		if (n < 0)
			return (int)n;
		if (n == 0 && !next_part(log))
			break;
		while (done < log->raw.len) {
			const char *at = log->raw.data + done, *end = memchr(at, '\n', log->raw.len - done);
			struct line line;

			if (!end)
				break;
			count += split(at, (size_t)(end - at), &line) && matches(&log->options, &line);
			done += (size_t)(end - at) + 1;
		}
		if (done)
			buf_consume(&log->raw, done);
	}
	*ret_count = count;
	return 0;
}

static int find_attempt(const char *folder, bool previous, uint64_t *ret_attempt, struct err *err)
{
	uint64_t newest = 0, before = 0;
	size_t found = 0;
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char number[24];
		size_t len = strlen(entry->d_name);
		uint64_t attempt;

		if (!str_ends(entry->d_name, ".log") || len - 4 >= sizeof(number))
			continue;
		memcpy(number, entry->d_name, len - 4);
		number[len - 4] = '\0';
		if (str_parse_u64(number, UINT32_MAX, &attempt) < 0)
			continue;
		if (!found || attempt > newest) {
			before = newest;
			newest = attempt;
		} else if (attempt > before) {
			before = attempt;
		}
		found++;
	}
	if (dir)
		(void)closedir(dir);
	if (found < (previous ? 2 : 1))
		return err_set(err, ERR_NOT_FOUND,
			       previous ? "the container has no previous run" : "the container has not started yet");
	*ret_attempt = previous ? before : newest;
	return 0;
}

int logfile_open(const char *folder, const struct logfile_options *options, struct logfile **ret_log, struct err *err)
{
	CLEANUP(cleanup_logfile) struct logfile *log = calloc(1, sizeof(*log));
	int64_t count = 0;
	int r;

	if (!log)
		return err_sys(err, -ENOMEM, "cannot read the log");
	log->fd = -1;
	log->options = *options;
	log->left = options->limit;
	log->raw = buf_of(LINE_MAX_BYTES);
	log->ready = buf_of(4 * LINE_MAX_BYTES);
	r = find_attempt(folder, options->previous, &log->attempt, err);
	if (r < 0)
		return r;
	log->path = str_format("%s/%llu.log", folder, (unsigned long long)log->attempt);
	r = log->path ? rewind_log(log) : -ENOMEM;
	if (r == 0 && options->tail >= 0)
		r = count_lines(log, &count);
	if (r == 0 && options->tail >= 0) {
		log->skip = count > options->tail ? count - options->tail : 0;
		r = rewind_log(log);
	}
	if (r < 0)
		return err_sys(err, r, "cannot read the log");
	*ret_log = take_ptr(log);
	return 0;
}

void logfile_close(struct logfile *log)
{
	if (!log)
		return;
	if (log->fd >= 0)
		(void)close(log->fd);
	buf_done(&log->raw);
	buf_done(&log->ready);
	free(log->path);
	free(log);
}

uint64_t logfile_attempt(const struct logfile *log)
{
	return log->attempt;
}

ssize_t logfile_read(struct logfile *log, char *to, size_t size, bool ended)
{
	size_t part;

	while (log->given == log->ready.len) {
		ssize_t n;
		int r;

		buf_clear(&log->ready);
		log->given = 0;
		if (log->left == 0)
			return 0;
		n = fill(log);
		if (n < 0)
			return n;
		r = take_lines(log);
		if (r < 0)
			return r;
		if (n > 0 || next_part(log))
			continue;
		/* The end counts only when it is found after the run was known to be over. */
		if (!log->options.follow || log->last_look)
			return 0;
		if (!ended)
			return -EAGAIN;
		log->last_look = true;
	}
	part = log->ready.len - log->given;
	if (part > size)
		part = size;
	memcpy(to, log->ready.data + log->given, part);
	log->given += part;
	return (ssize_t)part;
}
