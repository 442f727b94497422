/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_build.h"

#include <assert.h>
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

static json_t *build_object(struct builder *builder)
{
	json_t *object = json_object();

	while (next(builder) != '}') {
		const char *name = va_arg(builder->arguments, const char *);
		json_t *value;

		assert(*builder->at == 's');
		builder->at++;
		value = build(builder);
		if (value && json_object_set_new(object, name, value) < 0)
			builder->failed = true;
	}
	builder->at++;
	return perhaps(builder, NULL, object);
}

static json_t *build_list(struct builder *builder)
{
	json_t *list = json_array();

	while (next(builder) != ']') {
		json_t *value = build(builder);

		if (value && json_array_append_new(list, value) < 0)
			builder->failed = true;
	}
	builder->at++;
	return perhaps(builder, NULL, list);
}

static json_t *build(struct builder *builder)
{
	const char *text;
	json_t *value;

	switch (next(builder)) {
	case '{':
		builder->at++;
		return build_object(builder);
	case '[':
		builder->at++;
		return build_list(builder);
	case 's':
		builder->at++;
		text = va_arg(builder->arguments, const char *);
		return perhaps(builder, text, text ? json_string(text) : NULL);
	case 'i':
		builder->at++;
		return perhaps(builder, NULL, json_integer(va_arg(builder->arguments, int)));
	case 'I':
		builder->at++;
		return perhaps(builder, NULL, json_integer(va_arg(builder->arguments, json_int_t)));
	case 'b':
		builder->at++;
		return json_boolean(va_arg(builder->arguments, int));
	case 'o':
		builder->at++;
		return perhaps(builder, NULL, va_arg(builder->arguments, json_t *));
	case 'O':
		builder->at++;
		value = va_arg(builder->arguments, json_t *);
		return perhaps(builder, value, json_incref(value));
	}
	assert(!"a pattern");
	return NULL;
}

json_t *json_build(const char *pattern, ...)
{
	struct builder builder = {.at = pattern};
	json_t *value;

	va_start(builder.arguments, pattern);
	value = build(&builder);
	va_end(builder.arguments);
	assert(*builder.at == '\0');
	if (!builder.failed)
		return value;
	json_decref(value);
	return NULL;
}
