/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults and checks that concern several fields; the tables name them. */
#include "api/messages.h"

#include <errno.h>
#include <openssl/evp.h>

#include "base/str.h"

#define DATA_MAX ((size_t)1024 * 1024)

/* An image without a tag and without a digest means "latest", and that is pulled each time. */
static bool is_latest(const char *image)
{
	const char *slash = strrchr(image, '/'), *tag;

	if (strchr(image, '@'))
		return false;
	tag = strchr(slash ? slash : image, ':');
	return !tag || str_eq(tag, ":latest");
}

int api_hook_container_fill(json_t *object)
{
	const char *image = api_string(object, "image");

	if (!image || api_string(object, "imagePullPolicy"))
		return 0;
	return api_set(object, "imagePullPolicy", json_string(is_latest(image) ? "Always" : "IfNotPresent"));
}

/* A request that is not named is the limit. */
int api_hook_resources_fill(json_t *object)
{
	json_t *limits = json_object_get(object, "limits"), *requests = json_object_get(object, "requests"), *value;
	const char *name;

	if (json_object_size(limits) && !requests) {
		requests = json_object();
		if (api_set(object, "requests", requests) < 0)
			return -ENOMEM;
	}
	json_object_foreach(limits, name, value)
		if (!json_object_get(requests, name) && json_object_set(requests, name, value) < 0)
			return -ENOMEM;
	return 0;
}

void api_hook_resources_check(struct api_faults *faults, const struct api_place *at, const json_t *object)
{
	const json_t *limits = json_object_get(object, "limits"), *requests = json_object_get(object, "requests");
	struct api_place place = {.up = at, .name = "requests"};
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)requests, name, value) {
		const char *limit_text = json_string_value(json_object_get(limits, name));
		int64_t request, limit;

		if (!json_is_string(value) || api_quantity(json_string_value(value), &request, NULL) < 0)
			continue;
		if (request < 0)
			api_fault(faults, &place, NULL, "Invalid value: \"%.100s\": must be greater than or equal to 0",
				  json_string_value(value));
		if (!limit_text || api_quantity(limit_text, &limit, NULL) < 0 || request <= limit)
			continue;
		api_fault(faults, &place, NULL,
			  "Invalid value: \"%.100s\": must be less than or equal to %.100s limit of %.100s",
			  json_string_value(value), name, limit_text);
	}
}

/* A volume that names no source is an emptyDir. */
int api_hook_volume_fill(json_t *object)
{
	for (const struct api_field *field = api_m_volume_source.fields; field->name; field++)
		if (json_object_get(object, field->name))
			return 0;
	return api_set(object, "emptyDir", json_object());
}

int api_hook_namespace_fill(json_t *object)
{
	json_t *metadata = json_object_get(object, "metadata"), *labels = json_object_get(metadata, "labels");
	const char *name = api_string(metadata, "name");

	if (!name)
		return 0;
	if (!labels && api_set(metadata, "labels", labels = json_object()) < 0)
		return -ENOMEM;
	return json_object_set_new(labels, "kubernetes.io/metadata.name", json_string(name)) < 0 ? -ENOMEM : 0;
}

static json_t *base64_of(const char *text)
{
	size_t len = strlen(text);
	CLEANUP_FREE char *to = malloc(len / 3 * 4 + 5);

	if (!to)
		return NULL;
	EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)text, (int)len);
	return json_string(to);
}

/* stringData is a way of writing data. */
int api_hook_secret_fill(json_t *object)
{
	json_t *plain = json_object_get(object, "stringData"), *data = json_object_get(object, "data"), *value;
	const char *key;

	if (!plain)
		return 0;
	if (!data && api_set(object, "data", data = json_object()) < 0)
		return -ENOMEM;
	json_object_foreach(plain, key, value)
		if (json_object_set_new(data, key, base64_of(json_string_value(value))) < 0)
			return -ENOMEM;
	return json_object_del(object, "stringData");
}

int api_hook_service_port_fill(json_t *object)
{
	json_t *port = json_object_get(object, "port"), *target = json_object_get(object, "targetPort");
	bool absent = !target || (json_is_integer(target) && json_integer_value(target) == 0);

	return port && absent ? api_set(object, "targetPort", json_incref(port)) : 0;
}

static bool is_config_key(const char *key)
{
	size_t len = strlen(key);

	return len > 0 && len <= 253 && !str_eq(key, ".") && !str_starts(key, "..") &&
	       strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._") == len;
}

static size_t check_keys(struct api_faults *faults, const struct api_place *at, const char *field, const json_t *map)
{
	const struct api_place place = {.up = at, .name = field};
	size_t total = 0;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)map, key, value) {
		struct api_place here = {.up = &place, .name = key, .is_key = true};

		total += strlen(key) + json_string_length(value);
		if (!is_config_key(key))
			api_fault(faults, &here, NULL,
				  "Invalid value: \"%.253s\": a valid config key must consist of alphanumeric "
				  "characters, '-', '_' or '.' "
				  "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
				  "'[-._a-zA-Z0-9]+')",
				  key);
	}
	return total;
}

void api_hook_data_check(struct api_faults *faults, const struct api_place *at, const json_t *object)
{
	const json_t *data = json_object_get(object, "data"), *binary = json_object_get(object, "binaryData");
	size_t total = check_keys(faults, at, "data", data) + check_keys(faults, at, "binaryData", binary);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)binary, key, value)
		if (json_object_get(data, key))
			api_fault(faults, at, "binaryData",
				  "Invalid value: \"%.253s\": duplicate of key present in data", key);
	if (total > DATA_MAX / 3 * 4)
		api_fault(faults, at, "data", "Too long: may not be more than %zu bytes", DATA_MAX);
}

void api_hook_env_check(struct api_faults *faults, const struct api_place *at, const json_t *object)
{
	const char *value = api_string(object, "value");

	if (value && *value && json_object_get(object, "valueFrom"))
		api_fault(faults, at, "valueFrom",
			  "Invalid value: \"\": may not be specified when `value` is not empty");
}

void api_hook_requirement_check(struct api_faults *faults, const struct api_place *at, const json_t *object)
{
	const char *operator= api_string(object, "operator");
	size_t count = json_array_size(json_object_get(object, "values"));

	if (!operator)
		return;
	if ((str_eq(operator, "In") || str_eq(operator, "NotIn")) && count == 0)
		api_fault(faults, at, "values", "Required value: must be specified when `operator` is 'In' or 'NotIn'");
	if ((str_eq(operator, "Exists") || str_eq(operator, "DoesNotExist")) && count > 0)
		api_fault(faults, at, "values",
			  "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
	if ((str_eq(operator, "Gt") || str_eq(operator, "Lt")) && count != 1)
		api_fault(faults, at, "values",
			  "Required value: must be specified single value when `operator` is 'Lt' or 'Gt'");
}

void api_hook_toleration_check(struct api_faults *faults, const struct api_place *at, const json_t *object)
{
	const char *key = api_string(object, "key"), *operator= api_string(object, "operator");
	const char *value = api_string(object, "value"), *effect = api_string(object, "effect");
	bool exists = operator&& str_eq(operator, "Exists");

	if ((!key || !*key) && !exists)
		api_fault(faults, at, "operator",
			  "Invalid value: \"%.100s\": operator must be Exists when `key` is empty, which means "
			  "\"match all values and all keys\"",
			  operator ? operator : "");
	if (exists && value && *value)
		api_fault(faults, at, "operator",
			  "Invalid value: \"%.100s\": value must be empty when `operator` is 'Exists'", value);
	if (json_object_get(object, "tolerationSeconds") && !(effect && str_eq(effect, "NoExecute")))
		api_fault(faults, at, "effect",
			  "Invalid value: \"%.100s\": effect must be 'NoExecute' when `tolerationSeconds` is set",
			  effect ? effect : "");
}

void api_hook_separation_peer_check(struct api_faults *faults, const struct api_place *at, const json_t *object)
{
	bool all = json_is_true(json_object_get(object, "all"));
	bool named = json_array_size(json_object_get(object, "domains")) > 0;

	if (all && named)
		api_fault(faults, at, "all", "Forbidden: may not be set together with domains");
	if (!all && !named)
		api_fault(faults, at, "domains", "Required value: must name domains, or all must be true");
}

void api_hook_sub_function_check(struct api_faults *faults, const struct api_place *at, const json_t *object)
{
	if (!json_array_size(json_object_get(object, "images")) &&
	    !json_array_size(json_object_get(object, "serviceAccounts")))
		api_fault(faults, at, "images", "Required value: must name images, serviceAccounts, or both");
}

void api_hook_cache_rule_check(struct api_faults *faults, const struct api_place *at, const json_t *object)
{
	const char *function = api_string(object, "subFunction");
	bool images = json_array_size(json_object_get(object, "images")) > 0;

	if ((function && *function) == images)
		api_fault(faults, at, "subFunction",
			  "Required value: exactly one of subFunction and images must be set");
}
