/* SPDX-License-Identifier: Apache-2.0 */
#include "http/target.h"

#include <stdbool.h>
#include <string.h>

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

/* Decodes in place; plus_is_space in queries. */
static bool decode(char *text, bool plus_is_space)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		unsigned char c = (unsigned char)*from;

		if (c == '%') {
			int high = hex_value(from[1]);
			int low = high < 0 ? -1 : hex_value(from[2]);

			if (low < 0)
				return false;
			c = (unsigned char)(high << 4 | low);
			from += 2;
		} else if (c == '#' || c == ' ') {
			return false;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		/* A decoded newline may be part of a query value (a selector, a command), never of a path. */
		if (c == '\0' || (is_control(c) && !(plus_is_space && (c == '\n' || c == '\t'))))
			return false;
		*to++ = (char)c;
	}
	*to = '\0';
	return true;
}

static bool path_is_plain(const char *path)
{
	if (path[0] != '/')
		return false;
	while (*path == '/') {
		size_t len = strcspn(path + 1, "/");
		const char *segment = path + 1;

		if (len == 0 && segment[0])
			return false;
		if ((len == 1 && segment[0] == '.') || (len == 2 && segment[0] == '.' && segment[1] == '.'))
			return false;
		path = segment + len;
	}
	return true;
}

static int add_parameter(struct target *target, char *text, const char *repeatable, struct err *err)
{
	char *value = strchr(text, '=');

	if (value)
		*value++ = '\0';
	else
		value = text + strlen(text);
	if (!*text || !decode(text, true) || !decode(value, true))
		return err_set(err, ERR_SYNTAX, "the query has a malformed parameter");
	if (target_parameter(target, text) && (!repeatable || strcmp(text, repeatable) != 0))
		return err_set(err, ERR_SYNTAX, "the query has '%s' twice", text);
	if (target->parameter_count == TARGET_PARAMETERS_MAX)
		return err_set(err, ERR_TOO_LARGE, "the query has over %d parameters", TARGET_PARAMETERS_MAX);
	target->parameters[target->parameter_count++] = (struct target_parameter){text, value};
	return 0;
}

static int add_parameters(struct target *target, char *query, const char *repeatable, struct err *err)
{
	int r = 0;

	while (r == 0 && query) {
		char *next = strchr(query, '&');

		if (next)
			*next++ = '\0';
		if (*query)
			r = add_parameter(target, query, repeatable, err);
		query = next;
	}
	return r;
}

int target_parse(char *text, struct target *ret_target, struct err *err)
{
	return target_parse_repeated(text, NULL, ret_target, err);
}

int target_parse_repeated(char *text, const char *repeatable, struct target *ret_target, struct err *err)
{
	char *query;

	ret_target->parameter_count = 0;
	ret_target->path = text;
	if (strnlen(text, TARGET_BYTES_MAX + 1) > TARGET_BYTES_MAX)
		return err_set(err, ERR_TOO_LARGE, "the target is over %d bytes", TARGET_BYTES_MAX);
	query = strchr(text, '?');
	if (query)
		*query++ = '\0';
	if (!decode(text, false) || !path_is_plain(text))
		return err_set(err, ERR_SYNTAX, "the path is not absolute and plain");
	return add_parameters(ret_target, query, repeatable, err);
}

const char *target_repeated(const struct target *target, const char *name, size_t index)
{
	for (size_t i = 0; i < target->parameter_count; i++)
		if (strcmp(target->parameters[i].name, name) == 0 && index-- == 0)
			return target->parameters[i].value;
	return NULL;
}

const char *target_parameter(const struct target *target, const char *name)
{
	return target_repeated(target, name, 0);
}
