/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/nodeconfig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "network/network.h"
#include "oci/reference.h"
#include "policy/fields.h"

#define NODECONFIG_BYTES_MAX 65536

static const struct policy_field fields[] = {
	{"instance", POLICY_FIELD_STRING, true, 63},
	{"cism", POLICY_FIELD_STRING, true, 256},
	{"cismReplicas", POLICY_FIELD_ARRAY, false, NODECONFIG_CISM_MAX - 1},
	{"registries", POLICY_FIELD_ARRAY, true, NODECONFIG_REGISTRIES_MAX},
	{"podNetwork", POLICY_FIELD_STRING, true, 32},
	{"bridge", POLICY_FIELD_STRING, true, 15},
	{"uidBase", POLICY_FIELD_INTEGER, true, 0},
	{"uidRanges", POLICY_FIELD_INTEGER, true, 0},
	{"runtime", POLICY_FIELD_STRING, true, 1024},
	{"cgroupParent", POLICY_FIELD_STRING, true, 63},
};

static const struct policy_field registry_fields[] = {{"host", POLICY_FIELD_STRING, true, REFERENCE_HOST_SIZE - 1}};

static int copy_string(const json_t *root, const char *name, char **ret_copy)
{
	*ret_copy = strdup(json_string_value(json_object_get(root, name)));
	return *ret_copy ? 0 : -ENOMEM;
}

static int add_cism(struct nodeconfig *config, const char *address, const char *what, struct err *err)
{
	size_t len = address ? strlen(address) : 0;

	if (!address || !str_starts(address, "https://") || len < 10 || len > 256 || address[len - 1] == '/')
		return err_set(err, ERR_INVALID, "'%s' is not an address such as https://127.0.0.1:6443", what);
	config->cism[config->cism_count] = strdup(address);
	return config->cism[config->cism_count++] ? 0 : err_sys(err, -ENOMEM, "cannot read the configuration");
}

static int read_cism(const json_t *root, struct nodeconfig *config, struct err *err)
{
	int r = add_cism(config, json_string_value(json_object_get(root, "cism")), "cism", err);
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(root, "cismReplicas"), i, item)
		r = r == 0 ? add_cism(config, json_string_value(item), "cismReplicas", err) : r;
	return r;
}

static int read_registries(const json_t *list, struct nodeconfig *config, struct err *err)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) {
		const char *host;
		int r = policy_fields_check(item, "registries[]", registry_fields, ARRAY_SIZE(registry_fields), err);

		if (r < 0)
			return r;
		host = json_string_value(json_object_get(item, "host"));
		if (!reference_is_host(host))
			return err_set(err, ERR_INVALID, "'registries[%zu].host' is not a host: '%s'", i, host);
		config->registries[config->registry_count] = strdup(host);
		if (!config->registries[config->registry_count++])
			return err_sys(err, -ENOMEM, "cannot read the configuration");
	}
	return 0;
}

/* Ranges end below the highest id the kernel takes, and begin above every ordinary user. */
static int read_ranges(const json_t *root, struct nodeconfig *config, struct err *err)
{
	json_int_t base = json_integer_value(json_object_get(root, "uidBase")),
		   ranges = json_integer_value(json_object_get(root, "uidRanges"));

	if (base < 65536 || base > UINT32_MAX - 1)
		return err_set(err, ERR_INVALID, "'uidBase' is not 65536 to 4294967294");
	if (ranges < 1 || ranges > 65535 || base + ranges * (json_int_t)NODECONFIG_UID_COUNT > UINT32_MAX)
		return err_set(err, ERR_INVALID, "'uidRanges' times 65536 ids do not fit above 'uidBase'");
	config->uid_base = (uint32_t)base;
	config->uid_ranges = (uint32_t)ranges;
	return 0;
}

static int check_values(struct nodeconfig *config, struct err *err)
{
	if (!str_is_dns_label(config->instance))
		return err_set(err, ERR_INVALID, "'instance' is not a DNS label: '%s'", config->instance);
	if (config->runtime[0] != '/')
		return err_set(err, ERR_INVALID, "'runtime' is not an absolute path");
	if (!str_is_dns_label(config->cgroup_parent))
		return err_set(err, ERR_INVALID, "'cgroupParent' is not one path element of a-z, 0-9 and '-'");
	return 0;
}

int nodeconfig_parse(const char *bytes, size_t len, struct nodeconfig *config, struct err *err)
{
	json_t *root = NULL;
	int r = policy_fields_load("cis.json", bytes, len, &root, err);

	if (r == 0)
		r = policy_fields_check(root, "cis.json", fields, ARRAY_SIZE(fields), err);
	if (r == 0)
		r = copy_string(root, "instance", &config->instance) | copy_string(root, "bridge", &config->bridge) |
		    copy_string(root, "runtime", &config->runtime) |
		    copy_string(root, "cgroupParent", &config->cgroup_parent);
	if (r == 0)
		r = read_registries(json_object_get(root, "registries"), config, err);
	if (r == 0)
		r = read_ranges(root, config, err);
	if (r == 0)
		r = network_parse(json_string_value(json_object_get(root, "podNetwork")), &config->network,
				  &config->prefix, err);
	if (r == 0)
		r = check_values(config, err);
	if (r == 0)
		r = read_cism(root, config, err);
	json_decref(root);
	return r;
}

static int load_text(const struct paths *paths, const char *name, char **ret_text, struct err *err)
{
	CLEANUP_FREE char *path = str_format("%s/%s", paths->etc, name);
	struct buf text = buf_of(NODECONFIG_BYTES_MAX);
	int r = path ? fdio_read_file(AT_FDCWD, path, &text, err) : err_sys(err, -ENOMEM, "cannot read '%s'", name);

	if (r == 0) {
		*ret_text = buf_steal(&text);
		r = *ret_text ? 0 : err_sys(err, -ENOMEM, "cannot read '%s'", name);
	}
	buf_done(&text);
	return r;
}

int nodeconfig_load(const struct paths *paths, struct nodeconfig *config, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	int r;

	memset(config, 0, sizeof(*config));
	config->paths = *paths;
	r = load_text(paths, "cis.json", &text, err);
	if (r == 0)
		r = nodeconfig_parse(text, strlen(text), config, err);
	if (r < 0)
		return err_prefix(err, "cannot read the configuration '%s/cis.json'", paths->etc);
	r = load_text(paths, "pki/ca.pem", &config->ca, err);
	if (r == 0)
		r = load_text(paths, "pki/cis/client.pem", &config->certificate, err);
	if (r == 0)
		r = load_text(paths, "pki/cis/client.key", &config->key, err);
	return r;
}

void nodeconfig_done(struct nodeconfig *config)
{
	free(config->instance);
	for (size_t i = 0; i < config->cism_count; i++)
		free(config->cism[i]);
	for (size_t i = 0; i < config->registry_count; i++)
		free(config->registries[i]);
	free(config->bridge);
	free(config->runtime);
	free(config->cgroup_parent);
	free(config->ca);
	free(config->certificate);
	if (config->key)
		explicit_bzero(config->key, strlen(config->key));
	free(config->key);
	memset(config, 0, sizeof(*config));
}
