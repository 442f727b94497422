/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/supervise_spec.h"

#include <errno.h>
#include <string.h>

#include "base/json_text.h"
#include "base/str.h"
#include "sandbox/sysctls.h"

#define SPEC_MAX 65536

static int read_text(const json_t *value, const char *key, const char **to, struct err *err)
{
	if (!json_is_string(value) || json_string_length(value) == 0)
		return err_set(err, ERR_INVALID, "pod.json: %s: must be a string that is not empty", key);
	*to = json_string_value(value);
	return 0;
}

static int read_path(const json_t *value, const char *key, const char **to, struct err *err)
{
	int r = read_text(value, key, to, err);

	if (r == 0 && (*to)[0] != '/')
		return err_set(err, ERR_INVALID, "pod.json: %s: '%.64s' is not an absolute path", key, *to);
	return r;
}

static int read_id(const json_t *value, const char *key, uint32_t *to, struct err *err)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 1 || number > UINT32_MAX - 1)
		return err_set(err, ERR_INVALID, "pod.json: %s: must be a whole number from 1 to 4294967294", key);
	*to = (uint32_t)number;
	return 0;
}

static int read_sysctls(const json_t *value, struct spec_pairs *to, struct err *err)
{
	static const bool own[SPEC_NS_TYPES] = {[SPEC_NS_NETWORK] = true, [SPEC_NS_IPC] = true, [SPEC_NS_UTS] = true};
	const char *key;
	json_t *member;

	if (!json_is_object(value))
		return err_set(err, ERR_INVALID, "pod.json: sysctls: must be an object");
	to->items = calloc(json_object_size(value) + 1, sizeof(*to->items));
	if (!to->items)
		return err_set(err, -ENOMEM, "pod.json: no memory");
	json_object_foreach((json_t *)value, key, member) {
		if (!json_is_string(member))
			return err_set(err, ERR_INVALID, "pod.json: sysctls: '%.64s' must be a string", key);
		to->items[to->count++] = (struct spec_pair){key, json_string_value(member)};
	}
	return sysctls_check(to, own, "pod.json: sysctls", err);
}

static int read_member(struct supervise_spec *spec, const char *key, const json_t *value, struct err *err)
{
	if (str_eq(key, "uid"))
		return read_text(value, key, &spec->uid, err);
	if (str_eq(key, "hostname"))
		return read_text(value, key, &spec->hostname, err);
	if (str_eq(key, "uidBase"))
		return read_id(value, key, &spec->uid_base, err);
	if (str_eq(key, "uidCount"))
		return read_id(value, key, &spec->uid_count, err);
	if (str_eq(key, "sysctls"))
		return read_sysctls(value, &spec->sysctls, err);
	if (str_eq(key, "logDir"))
		return read_path(value, key, &spec->log_dir, err);
	if (str_eq(key, "runtimeRoot"))
		return read_path(value, key, &spec->runtime_root, err);
	if (str_eq(key, "cgroup"))
		return read_path(value, key, &spec->cgroup, err);
	return err_set(err, ERR_INVALID, "pod.json: unknown key '%.64s'", key);
}

static int check(const struct supervise_spec *spec, struct err *err)
{
	const struct {
		const char *key;
		bool given;
	} needed[] = {
		{"uid", spec->uid},          {"hostname", spec->hostname},
		{"uidBase", spec->uid_base}, {"uidCount", spec->uid_count},
		{"logDir", spec->log_dir},   {"runtimeRoot", spec->runtime_root},
		{"cgroup", spec->cgroup},
	};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (!needed[i].given)
			return err_set(err, ERR_INVALID, "pod.json: '%s' is missing", needed[i].key);
	if (spec->uid_base > UINT32_MAX - spec->uid_count)
		return err_set(err, ERR_INVALID, "pod.json: uidCount: does not fit behind uidBase");
	if (strlen(spec->hostname) > 64)
		return err_set(err, ERR_INVALID, "pod.json: hostname: is longer than 64 bytes");
	return 0;
}

int supervise_spec_parse(struct supervise_spec *spec, const char *bytes, size_t len, struct err *err)
{
	const char *key;
	json_t *value;

	memset(spec, 0, sizeof(*spec));
	if (len > SPEC_MAX)
		return err_set(err, ERR_TOO_LARGE, "pod.json: is larger than %d bytes", SPEC_MAX);
	spec->json = json_text_read(bytes, len, err);
	if (!spec->json)
		return err_prefix(err, "pod.json");
	if (!json_is_object(spec->json))
		return err_set(err, ERR_SYNTAX, "pod.json: must be an object");
	json_object_foreach(spec->json, key, value) {
		int r = read_member(spec, key, value, err);

		if (r < 0)
			return r;
	}
	return check(spec, err);
}

void supervise_spec_done(struct supervise_spec *spec)
{
	free(spec->sysctls.items);
	json_decref(spec->json);
	memset(spec, 0, sizeof(*spec));
}
