/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_build.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct builder {
	const char *at;
	va_list arguments;
	bool failed; /* the pattern is gone through to its end all the same, for what is given away */
};

static char next(struct builder *builder)
{
	while (*builder->at == ' ' || *builder->at == ',' || *builder->at == ':')
		builder->at++;
	return *builder->at;
}

/* A value, or NULL: failed unless a star follows. */
static json_t *perhaps(struct builder *builder, const void *given, json_t *value)
{
	bool star = *builder->at == '*';

	builder->at += star;
	builder->failed = builder->failed || (!value && (given || !star));
	return value;
}

static json_t *build(struct builder *builder);

/* What lies between the braces of an object or the brackets of a list. */
static json_t *fill(struct builder *builder, json_t *whole, char end)
{
	while (next(builder) != end) {
		const char *name = NULL;
		json_t *value;

		if (end == '}') {
			builder->at++;
			name = va_arg(builder->arguments, const char *);
		}
		value = build(builder);
		if (value && (name ? json_object_set_new(whole, name, value) : json_array_append_new(whole, value)) < 0)
			builder->failed = true;
	}
	builder->at++;
	return whole;
}

static json_t *build(struct builder *builder)
{
	char kind = next(builder);
	const void *given = NULL;
	json_t *value = NULL;

	builder->at++;
	switch (kind) {
	case '{':
		value = fill(builder, json_object(), '}');
		break;
	case '[':
		value = fill(builder, json_array(), ']');
		break;
	case 's':
		given = va_arg(builder->arguments, const char *);
		value = given ? json_string(given) : NULL;
		break;
	case 'i':
		value = json_integer(va_arg(builder->arguments, int));
		break;
	case 'I':
		value = json_integer(va_arg(builder->arguments, json_int_t));
		break;
	case 'b':
		value = json_boolean(va_arg(builder->arguments, int));
		break;
	case 'o':
		value = va_arg(builder->arguments, json_t *);
		break;
	case 'O':
		value = json_incref(va_arg(builder->arguments, json_t *));
		break;
	}
	return perhaps(builder, given, value);
}

json_t *json_build(const char *pattern, ...)
{
	struct builder builder = {.at = pattern};
	json_t *value;

	va_start(builder.arguments, pattern);
	value = build(&builder);
	va_end(builder.arguments);
	if (!builder.failed)
		return value;
	json_decref(value);
	return NULL;
}
