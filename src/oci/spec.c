/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "base/str.h"
#include "oci/spec_read.h"

/* Arrays of the parsed form, freed together. */
struct spec_block {
	struct spec_block *next;
	max_align_t bytes[];
};

#define ITEMS_MAX 16384

/* "linux.mounts[3].options" */
static void spell_way(const struct spec_reader *reader, char *to, size_t size)
{
	size_t used = 0;

	to[0] = '\0';
	for (size_t i = 0; i < reader->depth && used < size; i++) {
		const struct spec_step *step = &reader->way[i];

		used += (size_t)(step->name ? snprintf(to + used, size - used, "%s%.100s", i ? "." : "", step->name)
					    : snprintf(to + used, size - used, "[%zu]", step->index));
	}
}

int spec_read_fail(struct spec_reader *reader, int code, const char *format, ...)
{
	char text[400], way[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	spell_way(reader, way, sizeof(way));
	return err_set(reader->err, code, "%s: %s%s%s", reader->file, way, way[0] ? ": " : "", text);
}

static const char *type_word(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a number";
	case JSON_REAL:
		return "a number with a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		return "null";
	}
	return "nothing";
}

static int wrong_type(struct spec_reader *reader, const json_t *value, const char *wanted)
{
	return spec_read_fail(reader, ERR_INVALID, "must be %s, not %s", wanted, type_word(value));
}

void *spec_read_alloc(struct spec_reader *reader, size_t bytes)
{
	struct spec_block *block = calloc(1, sizeof(*block) + bytes);

	if (!block)
		return NULL;
	block->next = reader->spec->heap;
	reader->spec->heap = block;
	return block->bytes;
}

static int read_step(struct spec_reader *reader, struct spec_step step, const json_t *value, spec_read_fn read,
		     void *to)
{
	int r;

	if (reader->depth == ARRAY_SIZE(reader->way))
		return spec_read_fail(reader, ERR_INVALID, "is nested too deeply");
	reader->way[reader->depth++] = step;
	r = read(reader, value, to);
	reader->depth--;
	return r;
}

int spec_read_member(struct spec_reader *reader, const char *name, const json_t *value, spec_read_fn read, void *to)
{
	return read_step(reader, (struct spec_step){.name = name}, value, read, to);
}

int spec_read_object(struct spec_reader *reader, const json_t *value, const struct spec_field *fields, size_t count,
		     void *to)
{
	int r;

	if (!json_is_object(value))
		return wrong_type(reader, value, "an object");
	for (size_t i = 0; i < count; i++) {
		const json_t *member = json_object_get(value, fields[i].name);

		/* Encoders of the field write null for what they leave out. */
		if (!member || json_is_null(member)) {
			if (fields[i].required)
				return spec_read_fail(reader, ERR_INVALID, "'%s' is missing", fields[i].name);
			continue;
		}
		r = spec_read_member(reader, fields[i].name, member, fields[i].read, (char *)to + fields[i].offset);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The shape all lists of the parsed form share. */
struct list {
	void *items;
	size_t count;
};

int spec_read_array(struct spec_reader *reader, const json_t *value, size_t size, size_t most, spec_read_fn read,
		    void *to)
{
	struct list *list = to;
	size_t count = json_array_size(value);
	int r;

	if (!json_is_array(value))
		return wrong_type(reader, value, "an array");
	if (count > most)
		return spec_read_fail(reader, ERR_INVALID, "%zu items are more than the %zu allowed", count, most);
	list->items = spec_read_alloc(reader, (count + 1) * size);
	if (!list->items)
		return spec_read_fail(reader, -ENOMEM, "no memory");
	for (size_t i = 0; i < count; i++) {
		r = read_step(reader, (struct spec_step){.index = i}, json_array_get(value, i), read,
			      (char *)list->items + i * size);
		if (r < 0)
			return r;
		list->count = i + 1;
	}
	return 0;
}

int spec_read_integer(struct spec_reader *reader, const json_t *value, int64_t least, int64_t most, int64_t *ret)
{
	int64_t number;

	if (!json_is_integer(value))
		return wrong_type(reader, value, "a whole number");
	number = json_integer_value(value);
	if (number < least || number > most)
		return spec_read_fail(reader, ERR_INVALID, "%lld is not within %lld to %lld", (long long)number,
				      (long long)least, (long long)most);
	*ret = number;
	return 0;
}

int spec_read_word(struct spec_reader *reader, const json_t *value, const char *const *words, size_t count,
		   const char *what, size_t *ret)
{
	if (!json_is_string(value))
		return wrong_type(reader, value, "a string");
	for (size_t i = 0; i < count; i++) {
		if (words[i] && str_eq(words[i], json_string_value(value))) {
			*ret = i;
			return 0;
		}
	}
	return spec_read_fail(reader, ERR_INVALID, "unknown %s '%.64s'", what, json_string_value(value));
}

int spec_read_bool(struct spec_reader *reader, const json_t *value, void *to_bool)
{
	if (!json_is_boolean(value))
		return wrong_type(reader, value, "a boolean");
	*(bool *)to_bool = json_is_true(value);
	return 0;
}

int spec_read_string(struct spec_reader *reader, const json_t *value, void *to_string)
{
	if (!json_is_string(value))
		return wrong_type(reader, value, "a string");
	*(const char **)to_string = json_string_value(value);
	return 0;
}

int spec_read_path(struct spec_reader *reader, const json_t *value, void *to_string)
{
	int r = spec_read_string(reader, value, to_string);

	if (r < 0)
		return r;
	if (json_string_value(value)[0] != '/')
		return spec_read_fail(reader, ERR_INVALID, "must be an absolute path, not '%.64s'",
				      json_string_value(value));
	if (json_string_length(value) >= 4096)
		return spec_read_fail(reader, ERR_INVALID, "is longer than 4095 bytes");
	return 0;
}

int spec_read_u32(struct spec_reader *reader, const json_t *value, void *to_u32)
{
	int64_t number;
	int r = spec_read_integer(reader, value, 0, UINT32_MAX, &number);

	if (r == 0)
		*(uint32_t *)to_u32 = (uint32_t)number;
	return r;
}

int spec_read_number(struct spec_reader *reader, const json_t *value, void *to_number)
{
	struct spec_number *to = to_number;
	int r = spec_read_integer(reader, value, -1, INT64_MAX, &to->value);

	to->present = r == 0;
	return r;
}

int spec_read_strings(struct spec_reader *reader, const json_t *value, void *to_strings)
{
	return spec_read_array(reader, value, sizeof(const char *), ITEMS_MAX, spec_read_string, to_strings);
}

int spec_read_paths(struct spec_reader *reader, const json_t *value, void *to_strings)
{
	return spec_read_array(reader, value, sizeof(const char *), ITEMS_MAX, spec_read_path, to_strings);
}

int spec_read_pairs(struct spec_reader *reader, const json_t *value, void *to_pairs)
{
	struct spec_pairs *pairs = to_pairs;
	const char *key;
	json_t *member;
	int r;

	if (!json_is_object(value))
		return wrong_type(reader, value, "an object");
	pairs->items = spec_read_alloc(reader, (json_object_size(value) + 1) * sizeof(*pairs->items));
	if (!pairs->items)
		return spec_read_fail(reader, -ENOMEM, "no memory");
	json_object_foreach((json_t *)value, key, member) {
		struct spec_pair *pair = &pairs->items[pairs->count];

		r = spec_read_member(reader, key, member, spec_read_string, &pair->value);
		if (r < 0)
			return r;
		pair->key = key;
		pairs->count++;
	}
	return 0;
}

int spec_read_refuse(struct spec_reader *reader, const json_t *value, void *unused)
{
	bool empty = json_is_null(value) || json_is_false(value) ||
		     (json_is_string(value) && json_string_length(value) == 0) ||
		     (json_is_integer(value) && json_integer_value(value) == 0) ||
		     (json_is_array(value) && json_array_size(value) == 0) ||
		     (json_is_object(value) && json_object_size(value) == 0);

	(void)unused;
	return empty ? 0 : spec_read_fail(reader, ERR_INVALID, "is not supported by this runtime");
}

static int read_env(struct spec_reader *reader, const json_t *value, void *to)
{
	int r = spec_read_string(reader, value, to);

	if (r < 0)
		return r;
	if (!strchr(json_string_value(value), '=') || json_string_value(value)[0] == '=')
		return spec_read_fail(reader, ERR_INVALID, "must be NAME=VALUE, not '%.64s'", json_string_value(value));
	return 0;
}

int spec_read_envs(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_array(reader, value, sizeof(const char *), ITEMS_MAX, read_env, to);
}

static int read_idmap(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"containerID", spec_read_u32, offsetof(struct spec_idmap, container), true},
		{"hostID", spec_read_u32, offsetof(struct spec_idmap, host), true},
		{"size", spec_read_u32, offsetof(struct spec_idmap, size), true},
	};
	const struct spec_idmap *map = to;
	int r = spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);

	if (r < 0)
		return r;
	if (map->size == 0 || map->size > UINT32_MAX - map->container || map->size > UINT32_MAX - map->host)
		return spec_read_fail(reader, ERR_INVALID, "size %u does not fit the ids", map->size);
	return 0;
}

int spec_read_idmaps(struct spec_reader *reader, const json_t *value, void *to_idmaps)
{
	/* The kernel takes 340 lines. */
	return spec_read_array(reader, value, sizeof(struct spec_idmap), 340, read_idmap, to_idmaps);
}

static int read_mount(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"destination", spec_read_path, offsetof(struct spec_mount, destination), true},
		SPEC_FIELD(struct spec_mount, type, spec_read_string),
		SPEC_FIELD(struct spec_mount, source, spec_read_string),
		SPEC_FIELD(struct spec_mount, options, spec_read_strings),
		{"uidMappings", spec_read_idmaps, offsetof(struct spec_mount, uid_maps), false},
		{"gidMappings", spec_read_idmaps, offsetof(struct spec_mount, gid_maps), false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_mounts(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_array(reader, value, sizeof(struct spec_mount), 1024, read_mount, to);
}

static int read_timeout(struct spec_reader *reader, const json_t *value, void *to)
{
	int64_t number;
	int r = spec_read_integer(reader, value, 1, 86400, &number);

	if (r == 0)
		*(int32_t *)to = (int32_t)number;
	return r;
}

static int read_hook(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"path", spec_read_path, offsetof(struct spec_hook, path), true},
		SPEC_FIELD(struct spec_hook, args, spec_read_strings),
		SPEC_FIELD(struct spec_hook, env, spec_read_envs),
		{"timeout", read_timeout, offsetof(struct spec_hook, timeout_s), false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_hook_list(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_array(reader, value, sizeof(struct spec_hook), 64, read_hook, to);
}

static int read_hooks(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"prestart", read_hook_list, SPEC_PRESTART * sizeof(struct spec_hook_list), false},
		{"createRuntime", read_hook_list, SPEC_CREATE_RUNTIME * sizeof(struct spec_hook_list), false},
		{"createContainer", read_hook_list, SPEC_CREATE_CONTAINER * sizeof(struct spec_hook_list), false},
		{"startContainer", read_hook_list, SPEC_START_CONTAINER * sizeof(struct spec_hook_list), false},
		{"poststart", read_hook_list, SPEC_POSTSTART * sizeof(struct spec_hook_list), false},
		{"poststop", read_hook_list, SPEC_POSTSTOP * sizeof(struct spec_hook_list), false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_root(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"path", spec_read_string, offsetof(struct spec, root_path), true},
		{"readonly", spec_read_bool, offsetof(struct spec, root_readonly), false},
	};
	const struct spec *spec = to;
	int r = spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);

	if (r < 0)
		return r;
	if (spec->root_path[0] == '\0')
		return spec_read_fail(reader, ERR_INVALID, "path is empty");
	return 0;
}

static int read_version(struct spec_reader *reader, const json_t *value, void *to)
{
	int r = spec_read_string(reader, value, to);

	if (r < 0)
		return r;
	if (!str_starts(json_string_value(value), "1."))
		return spec_read_fail(reader, ERR_INVALID, "version '%.32s' is not 1.x", json_string_value(value));
	return 0;
}

/* The kernel's __NEW_UTS_LEN. */
static int read_uts_name(struct spec_reader *reader, const json_t *value, void *to)
{
	int r = spec_read_string(reader, value, to);

	if (r == 0 && json_string_length(value) > 64)
		return spec_read_fail(reader, ERR_INVALID, "is longer than 64 bytes");
	return r;
}

static const struct spec_field top_fields[] = {
	{"ociVersion", read_version, offsetof(struct spec, version), true},
	{"process", spec_process_read, offsetof(struct spec, process), false},
	{"root", read_root, 0, false},
	{"hostname", read_uts_name, offsetof(struct spec, hostname), false},
	{"domainname", read_uts_name, offsetof(struct spec, domainname), false},
	{"mounts", read_mounts, offsetof(struct spec, mounts), false},
	{"hooks", read_hooks, offsetof(struct spec, hooks), false},
	{"annotations", spec_read_pairs, offsetof(struct spec, annotations), false},
	{"linux", spec_linux_read, offsetof(struct spec, linux_), false},
	{"vm", spec_read_refuse, 0, false},
	{"windows", spec_read_refuse, 0, false},
	{"solaris", spec_read_refuse, 0, false},
	{"zos", spec_read_refuse, 0, false},
};

static int read_top(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_object(reader, value, top_fields, ARRAY_SIZE(top_fields), to);
}

static int parse(struct spec *spec, const char *file, const char *bytes, size_t len, spec_read_fn read, void *to,
		 struct err *err)
{
	struct spec_reader reader = {.spec = spec, .err = err, .file = file};

	if (len > SPEC_BYTES_MAX)
		return err_set(err, ERR_TOO_LARGE, "%s: %zu bytes are more than the %u allowed", file, len,
			       SPEC_BYTES_MAX);
	spec->json = json_text_read(bytes, len, err);
	if (!spec->json)
		return err_prefix(err, "%s", file);
	return read(&reader, spec->json, to);
}

int spec_parse(struct spec *spec, const char *bytes, size_t len, struct err *err)
{
	memset(spec, 0, sizeof(*spec));
	return parse(spec, "config.json", bytes, len, read_top, spec, err);
}

int spec_parse_process(struct spec *spec, const char *bytes, size_t len, struct err *err)
{
	memset(spec, 0, sizeof(*spec));
	return parse(spec, "process", bytes, len, spec_process_read, &spec->process, err);
}

int spec_parse_resources(struct spec *spec, const char *bytes, size_t len, struct err *err)
{
	memset(spec, 0, sizeof(*spec));
	return parse(spec, "resources", bytes, len, spec_linux_read_resources, &spec->linux_.resources, err);
}

void spec_done(struct spec *spec)
{
	while (spec->heap) {
		struct spec_block *block = spec->heap;

		spec->heap = block->next;
		free(block);
	}
	json_decref(spec->json);
	memset(spec, 0, sizeof(*spec));
}

const char *spec_annotation(const struct spec *spec, const char *key)
{
	for (size_t i = 0; i < spec->annotations.count; i++)
		if (str_eq(spec->annotations.items[i].key, key))
			return spec->annotations.items[i].value;
	return NULL;
}
