/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema.h"

#include <errno.h>
#include <strings.h>

#include "base/str.h"

enum media { MEDIA_JSON, MEDIA_YAML, MEDIA_PROTOBUF, MEDIA_OTHER };

static enum media media_of(const char *content_type)
{
	static const struct {
		const char *name;
		enum media media;
	} rows[] = {
		{"application/json", MEDIA_JSON},
		{"application/yaml", MEDIA_YAML},
		{"application/vnd.kubernetes.protobuf", MEDIA_PROTOBUF},
	};
	size_t len;

	if (!content_type || !*content_type)
		return MEDIA_JSON;
	len = strcspn(content_type, "; \t");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (len == strlen(rows[i].name) && strncasecmp(content_type, rows[i].name, len) == 0)
			return rows[i].media;
	return MEDIA_OTHER;
}

typedef int (*text_parser)(const char *bytes, size_t len, bool allow_duplicates, json_t **ret_value, struct err *err);

/* With API_WARN a duplicate is reported and the last one counts. */
static int parse_text(text_parser parse, const char *bytes, size_t len, enum api_strictness strictness,
		      json_t **ret_value, struct buf *warnings, struct err *err)
{
	struct err first = {0};
	int r;

	if (strictness == API_IGNORE)
		return parse(bytes, len, true, ret_value, err);
	r = parse(bytes, len, false, ret_value, &first);
	if (r < 0 && strictness == API_WARN && str_starts(first.msg, "duplicate field")) {
		if (warnings && buf_printf(warnings, "%s\n", first.msg) < 0)
			return err_set(err, -ENOMEM, "out of memory");
		return parse(bytes, len, true, ret_value, err);
	}
	if (r < 0 && err)
		*err = first;
	return r;
}

/* The kind and version an object names must be the kind's; absent ones are filled in. */
static int check_type(const struct api_kind *kind, json_t *object, struct err *err)
{
	const json_t *version_value = json_object_get(object, "apiVersion"),
		     *kind_value = json_object_get(object, "kind");
	char version[API_VERSION_MAX];

	api_version_format(kind, version);
	if ((version_value && !json_is_string(version_value)) || (kind_value && !json_is_string(kind_value)))
		return err_set(err, ERR_SYNTAX, "apiVersion and kind must be strings");
	if (kind_value && !str_eq(json_string_value(kind_value), kind->kind))
		return err_set(err, ERR_SYNTAX, "the kind in the data (%.100s) does not match the expected kind (%s)",
			       json_string_value(kind_value), kind->kind);
	if (version_value && !kind->any_version && !str_eq(json_string_value(version_value), version))
		return err_set(err, ERR_SYNTAX,
			       "the API version in the data (%.100s) does not match the expected API version (%s)",
			       json_string_value(version_value), version);
	if ((!version_value && api_set(object, "apiVersion", json_string(version)) < 0) ||
	    (!kind_value && api_set(object, "kind", json_string(kind->kind)) < 0))
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

static int decode_media(const struct api_kind *kind, enum media media, const char *bytes, size_t len,
			enum api_strictness strictness, json_t **ret_object, struct buf *warnings, struct err *err)
{
	switch (media) {
	case MEDIA_JSON:
		return parse_text(api_json_parse, bytes, len, strictness, ret_object, warnings, err);
	case MEDIA_YAML:
		return parse_text(api_yaml_parse, bytes, len, strictness, ret_object, warnings, err);
	case MEDIA_PROTOBUF:
		return api_wire_parse(kind, bytes, len, ret_object, err);
	case MEDIA_OTHER:
		break;
	}
	return -EMEDIUMTYPE;
}

int api_decode(const struct api_kind *kind, const char *content_type, const char *bytes, size_t len,
	       enum api_strictness strictness, json_t **ret_object, struct buf *warnings, struct err *err)
{
	enum media media = media_of(content_type);
	CLEANUP_JSON json_t *object = NULL;
	int r;

	if (media == MEDIA_OTHER)
		return err_set(err, -EMEDIUMTYPE,
			       "the body of the request was in an unknown format - accepted media types include: "
			       "application/json, application/yaml, application/vnd.kubernetes.protobuf");
	r = decode_media(kind, media, bytes, len, strictness, &object, warnings, err);
	if (r == 0 && !json_is_object(object))
		r = err_set(err, ERR_SYNTAX, "an object is expected");
	if (r == 0)
		r = check_type(kind, object, err);
	if (r == 0)
		r = api_conform(kind, object, strictness, warnings, err);
	if (r == ERR_SYNTAX)
		(void)err_prefix(err, "%s in version \"%s\" cannot be handled as a %s", kind->kind, kind->version,
				 kind->kind);
	if (r < 0)
		return r;
	*ret_object = take_ptr(object);
	return 0;
}
