/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/keygrant.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

#define BASE64_MAX POLICY_KEYREQUEST_MAX

static int out_of_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

static const char *text_of(const json_t *object, const char *field)
{
	return json_string_value(json_object_get(object, field));
}

static int check_kind(const json_t *object, const char *what, const char *kind, struct err *err)
{
	if (!str_eq(text_of(object, "kind"), kind))
		return err_set(err, ERR_INVALID, "field '%s.kind' is '%.32s', not '%s'", what, text_of(object, "kind"),
			       kind);
	if (json_integer_value(json_object_get(object, "version")) != 1)
		return err_set(err, ERR_INVALID, "field '%s.version' is not 1", what);
	return 0;
}

struct copy {
	const char *field;
	char **to;
};

/* Copies texts; those that are there are not empty. */
static int copy_texts(const json_t *object, const char *what, const struct copy *copies, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		const char *text = text_of(object, copies[i].field);

		if (!text)
			continue;
		if (!*text)
			return err_set(err, ERR_INVALID, "field '%s.%s' is empty", what, copies[i].field);
		*copies[i].to = strdup(text);
		if (!*copies[i].to)
			return out_of_memory(err);
	}
	return 0;
}

/* Appends the text of an object (stolen). */
static int dump(json_t *object, size_t most, struct buf *to, struct err *err)
{
	CLEANUP_FREE char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	if (!text)
		return out_of_memory(err);
	if (strlen(text) > most)
		return err_set(err, ERR_TOO_LARGE, "payload has %zu bytes, at most %zu are allowed", strlen(text),
			       most);
	return buf_puts(to, text) < 0 ? out_of_memory(err) : 0;
}

/* --- the request --- */

static int parse_request(const json_t *object, struct policy_keyrequest *to, struct err *err)
{
	static const struct policy_field fields[] = {
		{"kind", POLICY_FIELD_STRING, true, 0},
		{"version", POLICY_FIELD_INTEGER, true, 0},
		{"image", POLICY_FIELD_STRING, true, 1024},
		{"recipient", POLICY_FIELD_STRING, true, 256},
		{"index", POLICY_FIELD_STRING, false, BASE64_MAX},
		{"manifest", POLICY_FIELD_STRING, true, BASE64_MAX},
	};
	const struct copy copies[] = {
		{"image", &to->image},
		{"recipient", &to->recipient},
		{"index", &to->index},
		{"manifest", &to->manifest},
	};
	int r = policy_fields_check(object, "keyRequest", fields, ARRAY_SIZE(fields), err);

	if (r == 0)
		r = check_kind(object, "keyRequest", "KeyRequest", err);
	return r < 0 ? r : copy_texts(object, "keyRequest", copies, ARRAY_SIZE(copies), err);
}

int policy_keyrequest_parse(const char *bytes, size_t len, struct policy_keyrequest *ret_request, struct err *err)
{
	struct policy_keyrequest request = {0};
	json_t *object;
	int r;

	if (len > POLICY_KEYREQUEST_MAX)
		return err_set(err, ERR_TOO_LARGE, "key request has %zu bytes, at most %zu are allowed", len,
			       POLICY_KEYREQUEST_MAX);
	r = policy_fields_load("keyRequest", bytes, len, &object, err);
	if (r < 0)
		return r;
	r = parse_request(object, &request, err);
	json_decref(object);
	if (r < 0) {
		policy_keyrequest_done(&request);
		return r;
	}
	*ret_request = request;
	return 0;
}

int policy_keyrequest_format(const struct policy_keyrequest *request, struct buf *to, struct err *err)
{
	return dump(json_pack("{s:s, s:i, s:s, s:s, s:s*, s:s}", "kind", "KeyRequest", "version", 1, "image",
			      request->image, "recipient", request->recipient, "index", request->index, "manifest",
			      request->manifest),
		    POLICY_KEYREQUEST_MAX, to, err);
}

void policy_keyrequest_done(struct policy_keyrequest *request)
{
	free(request->image);
	free(request->recipient);
	free(request->index);
	free(request->manifest);
	*request = (struct policy_keyrequest){0};
}

/* --- the answer --- */

static int parse_layers(const json_t *array, struct policy_keygrant *to, struct err *err)
{
	const json_t *item;
	size_t i;

	json_array_foreach(array, i, item) {
		if (!json_is_string(item))
			return err_set(err, ERR_INVALID, "field 'keyGrant.layers[%zu]' is not a string", i);
		to->layers[i] = strdup(json_string_value(item));
		if (!to->layers[i])
			return out_of_memory(err);
		to->layer_count = i + 1;
	}
	return 0;
}

static int parse_grant(const json_t *object, struct policy_keygrant *to, struct err *err)
{
	static const struct policy_field fields[] = {
		{"kind", POLICY_FIELD_STRING, true, 0},
		{"version", POLICY_FIELD_INTEGER, true, 0},
		{"uid", POLICY_FIELD_STRING, true, POLICY_NAME_MAX},
		{"instance", POLICY_FIELD_STRING, true, POLICY_NAME_MAX},
		{"domain", POLICY_FIELD_STRING, true, POLICY_NAME_MAX},
		{"image", POLICY_FIELD_STRING, true, 1024},
		{"manifest", POLICY_FIELD_STRING, true, 160},
		{"layers", POLICY_FIELD_ARRAY, true, POLICY_KEYGRANT_LAYERS_MAX},
		{"expires", POLICY_FIELD_STRING, true, 64},
		{"keys", POLICY_FIELD_STRING, true, 0},
	};
	const struct copy copies[] = {
		{"uid", &to->uid},     {"instance", &to->instance}, {"domain", &to->domain},
		{"image", &to->image}, {"manifest", &to->manifest}, {"keys", &to->keys},
	};
	int r = policy_fields_check(object, "keyGrant", fields, ARRAY_SIZE(fields), err);

	if (r == 0)
		r = check_kind(object, "keyGrant", "KeyGrant", err);
	if (r == 0)
		r = copy_texts(object, "keyGrant", copies, ARRAY_SIZE(copies), err);
	if (r == 0)
		r = parse_layers(json_object_get(object, "layers"), to, err);
	if (r == 0 && clock_parse(text_of(object, "expires"), &to->expires_ms) < 0)
		r = err_set(err, ERR_INVALID, "field 'keyGrant.expires' is not a time of RFC 3339");
	return r;
}

int policy_keygrant_parse(const char *bytes, size_t len, struct policy_keygrant *ret_grant, struct err *err)
{
	struct policy_keygrant grant = {0};
	json_t *object;
	int r;

	if (len > POLICY_KEYGRANT_MAX)
		return err_set(err, ERR_TOO_LARGE, "key grant has %zu bytes, at most %zu are allowed", len,
			       POLICY_KEYGRANT_MAX);
	r = policy_fields_load("keyGrant", bytes, len, &object, err);
	if (r < 0)
		return r;
	r = parse_grant(object, &grant, err);
	json_decref(object);
	if (r < 0) {
		policy_keygrant_done(&grant);
		return r;
	}
	*ret_grant = grant;
	return 0;
}

int policy_keygrant_format(const struct policy_keygrant *grant, struct buf *to, struct err *err)
{
	char expires[CLOCK_STAMP_SIZE];
	json_t *layers = json_array();

	clock_format(expires, grant->expires_ms);
	for (size_t i = 0; i < grant->layer_count; i++)
		if (json_array_append_new(layers, json_string(grant->layers[i])) < 0) {
			json_decref(layers);
			return out_of_memory(err);
		}
	return dump(json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:s}", "kind", "KeyGrant", "version", 1,
			      "uid", grant->uid, "instance", grant->instance, "domain", grant->domain, "image",
			      grant->image, "manifest", grant->manifest, "layers", layers, "expires", expires, "keys",
			      grant->keys),
		    POLICY_KEYGRANT_MAX, to, err);
}

void policy_keygrant_done(struct policy_keygrant *grant)
{
	free(grant->uid);
	free(grant->instance);
	free(grant->domain);
	free(grant->image);
	free(grant->manifest);
	free(grant->keys);
	for (size_t i = 0; i < grant->layer_count; i++)
		free(grant->layers[i]);
	*grant = (struct policy_keygrant){0};
}

/* --- the decision --- */

bool policy_keygrant_needed(enum policy_cache class, size_t encrypted_layers)
{
	return class != POLICY_CACHE_SHARED || encrypted_layers > 0;
}

static int refuse(const struct policy_keygrant_facts *facts, const char *why, struct err *err)
{
	return err_set(err, ERR_DENIED, "image '%.300s': no keys of TrustDomain '%s' were handed over for it%s",
		       facts->image, facts->domain, why);
}

int policy_keygrant_check(const struct policy_keygrant *grant, const struct policy_keygrant_facts *facts,
			  struct err *err)
{
	if (!grant)
		return refuse(facts, "", err);
	if (!str_eq(grant->domain, facts->domain) || !str_eq(grant->uid, facts->uid) ||
	    !str_eq(grant->instance, facts->instance))
		return refuse(facts, " and this pod here", err);
	if (!str_eq(grant->image, facts->image))
		return refuse(facts, "", err);
	if (!str_eq(grant->manifest, facts->manifest))
		return refuse(facts, " and this platform", err);
	for (size_t i = 0; i < facts->layer_count; i++)
		if (i >= grant->layer_count || !str_eq(grant->layers[i], facts->layers[i]))
			return err_set(err, ERR_DENIED,
				       "image '%.300s': layer %.140s is encrypted and no key of TrustDomain '%s' was "
				       "handed over for it",
				       facts->image, facts->layers[i], facts->domain);
	return grant->layer_count == facts->layer_count ? 0 : refuse(facts, " as it is", err);
}
