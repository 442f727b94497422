/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/logtail.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"

#define TAIL_MAX 16384

/* The end of the file behind from. */
static int read_tail(const char *path, off_t from, struct buf *to)
{
	int fd CLEANUP_CLOSE = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	if (size < 0 || from < 0)
		return -1;
	if (size - from > TAIL_MAX)
		from = size - TAIL_MAX;
	if (lseek(fd, from, SEEK_SET) < 0)
		return -1;
	return fdio_read_all(fd, to);
}

/* One line in words; false when it is a structured line that reports no failure. */
static bool words_of(const char *line, char *to, size_t size)
{
	json_t *object = json_loads(line, 0, NULL);
	const char *level = json_string_value(json_object_get(object, "level"));
	const char *msg = json_string_value(json_object_get(object, "msg"));
	const char *error = json_string_value(json_object_get(object, "error"));
	const char *hint = json_string_value(json_object_get(object, "hint"));
	bool is_failure = !object || error || (level && str_eq(level, "error"));

	if (is_failure && msg)
		(void)snprintf(to, size, "%s%s%s%s%s%s", msg, error ? ": " : "", error ? error : "", hint ? " (" : "",
			       hint ? hint : "", hint ? ")" : "");
	else if (is_failure)
		(void)snprintf(to, size, "%s", line);
	json_decref(object);
	return is_failure;
}

void logtail_append(const char *path, off_t from, struct err *err)
{
	struct buf text CLEANUP(buf_done) = buf_of(2 * TAIL_MAX);
	char words[512] = "", *save = NULL, *line;
	size_t len = strlen(err->msg);

	if (read_tail(path, from, &text) < 0 || !text.len)
		return;
	for (line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char these[sizeof(words)];

		if (words_of(line, these, sizeof(these)))
			memcpy(words, these, sizeof(words));
	}
	if (words[0])
		(void)snprintf(err->msg + len, sizeof(err->msg) - len, "; its log says: %s", words);
}
