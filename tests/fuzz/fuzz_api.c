/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request bodies. The first byte says what the rest is: j JSON, y YAML, p protobuf, J JSON patch, M merge patch, S strategic merge
 * patch, A apply, l and f selectors, q a quantity. The second one is the kind: 'a' and on, in the order of discovery, then
 * DeleteOptions. A patch stands behind the object it is for and a NUL.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	char letter;
	const char *type;
} forms[] = {
	{'j', "application/json"},
	{'y', "application/yaml; charset=utf-8"},
	{'p', "application/vnd.kubernetes.protobuf"},
	{'J', "application/json-patch+json"},
	{'M', "application/merge-patch+json"},
	{'S', "application/strategic-merge-patch+json"},
	{'A', "application/apply-patch+yaml"},
};

static const char *type_of(char letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (forms[i].letter == letter)
			return forms[i].type;
	return NULL;
}

static const struct api_kind *kind_of(uint8_t letter)
{
	const struct api_kind *const *all = api_kinds();
	size_t count = 0;

	while (all[count])
		count++;
	letter = (uint8_t)(letter - 'a') % (uint8_t)(count + 1);
	return letter < count ? all[letter] : api_kind_by_name("", "v1", "DeleteOptions");
}

/* An object that was accepted must be written and read back as it is. */
static void read_again(const struct api_kind *kind, const json_t *object)
{
	CLEANUP_FREE char *text = api_format(object);
	CLEANUP_JSON json_t *again = NULL;
	struct err err;

	if (!text || strlen(text) > API_BODY_MAX)
		return;
	if (api_decode(kind, NULL, text, strlen(text), API_STRICT, &again, NULL, &err) < 0 ||
	    !json_equal(object, again))
		abort();
}

/* What a server does with an object that it took. */
static void use(const struct api_kind *kind, json_t *object, const json_t *old)
{
	CLEANUP_JSON json_t *table = NULL, *status = NULL;
	struct err err = {0};

	read_again(kind, object);
	if (api_default(kind, object, &err) < 0)
		return;
	read_again(kind, object);
	if (api_validate(kind, object, old, &err) < 0) {
		status = api_status(err_http_status(err.code), &err, kind, api_string(object, "metadata.name"));
		if (!status || !json_array_size(api_value(status, "details.causes")))
			abort();
	}
	if (kind->resource && api_table(kind, &object, 1, "Metadata", true, &table, &err) < 0)
		abort();
	if (kind->resource && api_manage(kind, old, object, "fuzz", NULL, &err) < 0)
		abort();
}

static void try_body(const struct api_kind *kind, const char *type, const char *bytes, size_t len)
{
	static const enum api_strictness strictness[] = {API_STRICT, API_WARN, API_IGNORE};

	for (size_t i = 0; i < ARRAY_SIZE(strictness); i++) {
		CLEANUP_BUF struct buf warnings = buf_of(65536);
		CLEANUP_JSON json_t *object = NULL;
		struct err err = {0};

		if (api_decode(kind, type, bytes, len, strictness[i], &object, &warnings, &err) == 0)
			use(kind, object, NULL);
		else if (!err.msg[0])
			abort();
	}
}

static void try_patch(const struct api_kind *kind, const char *type, const char *bytes, size_t len)
{
	const char *middle = memchr(bytes, 0, len);
	size_t before = middle ? (size_t)(middle - bytes) : 0;
	CLEANUP_JSON json_t *object = NULL;

	if (middle && api_decode(kind, NULL, bytes, before, API_STRICT, &object, NULL, NULL) < 0)
		return;
	bytes = middle ? middle + 1 : bytes;
	len -= middle ? before + 1 : 0;
	for (int force = 0; force <= 1; force++) {
		struct api_patch_options options = {.content_type = type,
						    .field_manager = force ? "b" : "a",
						    .force = force};
		CLEANUP_JSON json_t *result = NULL;
		struct err err = {0};

		if (api_patch(kind, object, &options, bytes, len, &result, NULL, &err) == 0)
			use(kind, result, object);
		else if (!err.msg[0])
			abort();
	}
}

static void try_selector(const struct api_kind *kind, bool labels, const char *text)
{
	CLEANUP_JSON json_t *object = json_pack("{s:{s:s, s:{s:s, s:s}}}", "metadata", "name", "a", "labels", "app",
						"x", "n", "5");
	struct api_selector *selector = NULL;

	if ((labels ? api_selector_parse_labels(text, &selector, NULL)
		    : api_selector_parse_fields(kind, text, &selector, NULL)) == 0)
		(void)api_selector_matches(selector, object);
	api_selector_free(selector);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct api_kind *kind;
	const char *bytes, *type;
	CLEANUP_FREE char *text = NULL;
	int64_t milli;

	if (size < 2)
		return 0;
	type = type_of((char)data[0]);
	kind = kind_of(data[1]);
	bytes = (const char *)data + 2;
	text = strndup(bytes, size - 2);
	if (!text)
		return 0;
	if (type && strchr("jyp", data[0]))
		try_body(kind, type, bytes, size - 2);
	else if (type)
		try_patch(kind, type, bytes, size - 2);
	else if (data[0] == 'l' || data[0] == 'f')
		try_selector(kind, data[0] == 'l', text);
	else if (data[0] == 'q' && api_quantity(text, &milli, NULL) < 0)
		return 0;
	return 0;
}
