/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fdio.h"

static const char *part_name = "bulkhead";
static enum log_level least_level = LOG_LEVEL_INFO;

struct line {
	char text[LOG_LINE_MAX];
	size_t len;
};

/* The end of the line is always kept free: quote, brace, newline. */
#define LINE_TAIL 4

static void put(struct line *line, char c)
{
	if (line->len < sizeof(line->text) - LINE_TAIL)
		line->text[line->len++] = c;
}

static void put_text(struct line *line, const char *text)
{
	while (*text)
		put(line, *text++);
}

static void put_string(struct line *line, const char *value)
{
	char escape[8];

	put(line, '"');
	for (; *value && line->len < sizeof(line->text) - LINE_TAIL - 8; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '"' || c == '\\') {
			put(line, '\\');
			put(line, (char)c);
		} else if (c < 0x20 || c == 0x7f) {
			(void)snprintf(escape, sizeof(escape), "\\u%04x", c);
			put_text(line, escape);
		} else {
			put(line, (char)c);
		}
	}
	line->text[line->len++] = '"';
}

static void put_pair(struct line *line, const char *key, const char *value)
{
	/* A pair that would not fit at all is left out rather than cut in its key. */
	if (line->len + strlen(key) + 16 + LINE_TAIL > sizeof(line->text))
		return;
	put(line, line->len > 1 ? ',' : ' ');
	put_string(line, key);
	put(line, ':');
	if (value)
		put_string(line, value);
	else
		put_text(line, "null");
}

void log_init(const char *part, enum log_level least)
{
	part_name = part;
	least_level = least;
}

static void log_pairs(enum log_level level, const char *msg, va_list args)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	char stamp[CLOCK_STAMP_SIZE];
	struct line line = {.len = 0};
	const char *key;

	put(&line, '{');
	clock_format(stamp, clock_wall_ms());
	put_pair(&line, "time", stamp);
	put_pair(&line, "level", names[level]);
	put_pair(&line, "part", part_name);
	put_pair(&line, "msg", msg);
	while ((key = va_arg(args, const char *)))
		put_pair(&line, key, va_arg(args, const char *));
	line.text[line.len++] = '}';
	line.text[line.len++] = '\n';
	/* Nobody is left to tell when the log itself cannot be written. */
	if (fdio_write_all(STDERR_FILENO, line.text, line.len) < 0)
		return;
}

void log_event(enum log_level level, const char *msg, ...)
{
	va_list args;

	if (level < least_level)
		return;
	va_start(args, msg);
	log_pairs(level, msg, args);
	va_end(args);
}

void log_failure(const char *msg, const struct err *err)
{
	if (err->hint[0])
		log_error(msg, "error", err->msg, "hint", err->hint);
	else
		log_error(msg, "error", err->msg);
}
