/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/podsource.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/str.h"
#include "crypto/key.h"

#define NAME_SIZE 300

int podsource_name(char *to, size_t size, const char *list, const char *name)
{
	int n = snprintf(to, size, "%s/%s", list, name);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Notes one use. An object is optional only as long as nobody needs it. */
static void want(json_t *wanted, const char *list, const char *name, bool optional)
{
	char key[NAME_SIZE];
	json_t *before;

	if (!name || podsource_name(key, sizeof(key), list, name) < 0)
		return;
	before = json_object_get(wanted, key);
	(void)json_object_set_new(wanted, key, json_boolean(optional && (!before || json_is_true(before))));
}

static bool is_optional(const json_t *reference)
{
	return json_is_true(json_object_get(reference, "optional"));
}

static const char *text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static void want_environment(json_t *wanted, const json_t *container)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(container, "env"), i, item) {
		const json_t *from = json_object_get(item, "valueFrom");
		const json_t *map = json_object_get(from, "configMapKeyRef"),
			     *secret = json_object_get(from, "secretKeyRef");

		want(wanted, "configmaps", text(map, "name"), is_optional(map));
		want(wanted, "secrets", text(secret, "name"), is_optional(secret));
	}
	json_array_foreach(json_object_get(container, "envFrom"), i, item) {
		const json_t *map = json_object_get(item, "configMapRef"), *secret = json_object_get(item, "secretRef");

		want(wanted, "configmaps", text(map, "name"), is_optional(map));
		want(wanted, "secrets", text(secret, "name"), is_optional(secret));
	}
}

json_t *podsource_wanted(const struct podspec *spec)
{
	json_t *wanted = json_object();
	const json_t *volume;
	size_t i;

	for (i = 0; wanted && i < spec->count; i++)
		want_environment(wanted, spec->containers[i].object);
	json_array_foreach(api_value(spec->pod, "spec.volumes"), i, volume) {
		const json_t *map = json_object_get(volume, "configMap"), *secret = json_object_get(volume, "secret");

		want(wanted, "configmaps", text(map, "name"), is_optional(map));
		want(wanted, "secrets", text(secret, "secretName"), is_optional(secret));
	}
	return wanted;
}

int podsource_value(const json_t *objects, const char *object, const char *key, struct buf *to, struct err *err)
{
	const json_t *found = json_object_get(objects, object);
	const json_t *plain = json_object_get(json_object_get(found, "data"), key);
	const json_t *binary = json_object_get(json_object_get(found, "binaryData"), key);
	int r;

	if (!json_is_object(found))
		return err_set(err, ERR_NOT_FOUND, "'%s' is not there", object);
	if (str_starts(object, "secrets/")) {
		binary = plain;
		plain = NULL;
	}
	if (json_is_string(plain))
		r = buf_append(to, json_string_value(plain), json_string_length(plain));
	else if (json_is_string(binary))
		r = crypto_unbase64(to, json_string_value(binary), json_string_length(binary));
	else
		return err_set(err, ERR_NOT_FOUND, "'%s' has no key '%s'", object, key);
	return r < 0 ? err_sys(err, r, "cannot read key '%s' of '%s'", key, object) : 0;
}

int podsource_keys(const json_t *objects, const char *object, int (*each)(void *user, const char *key, struct err *err),
		   void *user, struct err *err)
{
	static const char *const members[] = {"data", "binaryData"};
	json_t *found = json_object_get(objects, object);

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const char *key;
		json_t *value;

		json_object_foreach(json_object_get(found, members[i]), key, value) {
			int r = each(user, key, err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* metadata.labels and metadata.annotations as a whole: one NAME="VALUE" a line, as the downward API writes them. */
static int put_map(const json_t *map, struct buf *to)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)map, key, value) {
		CLEANUP_FREE char *quoted = json_dumps(value, JSON_ENCODE_ANY);
		int r = quoted ? buf_printf(to, "%s=%s\n", key, quoted) : -ENOMEM;

		if (r < 0)
			return r;
	}
	return 0;
}

/* "metadata.labels['KEY']": the value of one key, empty when there is none. */
static int put_indexed(const struct podspec *spec, const char *path, const char *prefix, const char *map,
		       struct buf *to)
{
	size_t skip = strlen(prefix), len = strlen(path);
	CLEANUP_FREE char *key = NULL;
	const char *value;

	if (!str_starts(path, prefix) || !str_ends(path, "']") || len < skip + 2)
		return -ENOENT;
	key = strndup(path + skip, len - skip - 2);
	if (!key)
		return -ENOMEM;
	value = json_string_value(json_object_get(api_value(spec->pod, map), key));
	return buf_puts(to, value ? value : "");
}

int podsource_field(const struct podspec *spec, const struct podsource_place *place, const char *path, struct buf *to,
		    struct err *err)
{
	const struct {
		const char *path, *value;
	} rows[] = {
		{"metadata.name", spec->name},
		{"metadata.namespace", spec->namespace},
		{"metadata.uid", spec->uid},
		{"spec.nodeName", place->node},
		{"spec.serviceAccountName", api_string(spec->pod, "spec.serviceAccountName")},
		{"status.podIP", place->pod_ip},
		{"status.podIPs", place->pod_ip},
	};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (str_eq(rows[i].path, path))
			return buf_puts(to, rows[i].value ? rows[i].value : "") < 0
				       ? err_sys(err, -ENOMEM, "cannot read field '%s'", path)
				       : 0;
	}
	if (str_eq(path, "metadata.labels") || str_eq(path, "metadata.annotations"))
		r = put_map(api_value(spec->pod, path), to);
	else
		r = put_indexed(spec, path, "metadata.labels['", "metadata.labels", to);
	if (r == -ENOENT)
		r = put_indexed(spec, path, "metadata.annotations['", "metadata.annotations", to);
	if (r == -ENOENT)
		return err_set(err, -EOPNOTSUPP, "field path '%s' is not supported by this instance", path);
	return r < 0 ? err_sys(err, r, "cannot read field '%s'", path) : 0;
}
