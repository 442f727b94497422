/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text to values. The parser is jansson's; what it does not bound or name is found by one linear scan of the bytes. */
#include "api/schema.h"

#include <errno.h>
#include <stdio.h>

struct level {
	bool array;
	size_t index;    /* of an array */
	const char *key; /* the last one of an object, between its quotes */
	size_t key_len;
	bool expects_key; /* of an object: the next string is a key */
};

struct scan {
	struct level levels[API_DEPTH_MAX];
	int depth;
	size_t values;
};

/* Steps over a string whose opening quote is at bytes[at]; returns the position of the closing one, or the end. */
static size_t string_end(const char *bytes, size_t at, size_t end)
{
	for (at++; at < end && bytes[at] != '"'; at++)
		if (bytes[at] == '\\')
			at++;
	return at < end ? at : end;
}

static void scan_string(struct scan *scan, const char *bytes, size_t from, size_t to)
{
	struct level *level = scan->depth ? &scan->levels[scan->depth - 1] : NULL;

	if (!level || !level->expects_key)
		return;
	level->key = bytes + from + 1;
	level->key_len = to - from - 1;
	level->expects_key = false;
}

static void scan_comma(struct scan *scan)
{
	struct level *level = scan->depth ? &scan->levels[scan->depth - 1] : NULL;

	if (!level)
		return;
	if (level->array)
		level->index++;
	else
		level->expects_key = true;
}

/* Follows the structure up to end; false when it nests too deeply or holds too much. */
static bool scan_bytes(struct scan *scan, const char *bytes, size_t end)
{
	for (size_t at = 0; at < end; at++) {
		size_t from = at;

		switch (bytes[at]) {
		case '"':
			at = string_end(bytes, at, end);
			scan_string(scan, bytes, from, at);
			break;
		case '{':
		case '[':
			if (scan->depth == API_DEPTH_MAX || ++scan->values > API_VALUES_MAX)
				return false;
			scan->levels[scan->depth++] = (struct level){.array = bytes[at] == '[',
								     .expects_key = bytes[at] == '{'};
			break;
		case '}':
		case ']':
			scan->depth -= scan->depth > 0;
			break;
		case ',':
			if (++scan->values > API_VALUES_MAX)
				return false;
			scan_comma(scan);
			break;
		}
	}
	return true;
}

/* Names the key at which the scan stopped: duplicate field "a.b[0].c". */
static int duplicate_error(const struct scan *scan, struct err *err)
{
	char path[512];
	size_t len = 0;

	path[0] = '\0';
	for (int i = 0; i < scan->depth && len < sizeof(path); i++) {
		const struct level *level = &scan->levels[i];
		int add;

		if (level->array)
			add = snprintf(path + len, sizeof(path) - len, "[%zu]", level->index);
		else
			add = snprintf(path + len, sizeof(path) - len, "%s%.*s", len ? "." : "",
				       (int)(level->key_len < 128 ? level->key_len : 128),
				       level->key ? level->key : "");
		len += add > 0 ? (size_t)add : 0;
	}
	return err_set(err, ERR_SYNTAX, "duplicate field \"%s\"", path);
}

int api_json_parse(const char *bytes, size_t len, bool allow_duplicates, json_t **ret_value, struct err *err)
{
	size_t flags = JSON_DECODE_ANY | (allow_duplicates ? 0 : JSON_REJECT_DUPLICATES);
	struct scan scan = {0};
	json_error_t error;
	json_t *value;

	if (len > API_BODY_MAX)
		return err_set(err, ERR_TOO_LARGE, "body is larger than %zu bytes", API_BODY_MAX);
	if (!scan_bytes(&scan, bytes, len))
		return err_set(err, ERR_SYNTAX, "json: nested deeper than %d levels or more than %d values",
			       API_DEPTH_MAX, API_VALUES_MAX);
	value = json_loadb(bytes, len, flags, &error);
	if (value) {
		*ret_value = value;
		return 0;
	}
	if (json_error_code(&error) == json_error_out_of_memory)
		return err_set(err, -ENOMEM, "out of memory");
	if (json_error_code(&error) == json_error_duplicate_key && error.position > 0 &&
	    (size_t)error.position <= len) {
		scan = (struct scan){0};
		(void)scan_bytes(&scan, bytes, (size_t)error.position);
		return duplicate_error(&scan, err);
	}
	return err_set(err, ERR_SYNTAX, "json: line %d: %s", error.line, error.text);
}
