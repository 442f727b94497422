/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/cism_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "policy/fields.h"

#define CA_MAX ((size_t)256 * 1024)

/* The text of the file that a member of row names; NULL when there is no such member. */
static int read_file(const json_t *row, const char *path, const char *name, char **ret_text, struct err *err)
{
	const char *file = json_string_value(json_object_get(row, name));
	CLEANUP_BUF struct buf text = buf_of(CA_MAX);
	int r;

	*ret_text = NULL;
	if (!file)
		return 0;
	r = fdio_read_file(AT_FDCWD, file, &text, err);
	if (r < 0)
		return err_prefix(err, "%s.%s", path, name), r;
	*ret_text = buf_steal(&text);
	return *ret_text ? 0 : err_set(err, -ENOMEM, "no memory");
}

static int read_registry(const json_t *row, size_t index, struct cism_config_registry *to, struct err *err)
{
	static const struct policy_field fields[] = {
		{"host", POLICY_FIELD_STRING, true, sizeof(to->host) - 1},
		{"ca", POLICY_FIELD_STRING, false, 4096},
	};
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "registries[%zu]", index);
	r = policy_fields_check(row, path, fields, ARRAY_SIZE(fields), err);
	if (r < 0)
		return r;
	(void)snprintf(to->host, sizeof(to->host), "%s", json_string_value(json_object_get(row, "host")));
	return read_file(row, path, "ca", &to->ca, err);
}

static int read_endpoints(const json_t *rows, struct cism_config_etcd *to, struct err *err)
{
	struct policy_names names = {0};
	int r = policy_names_read(rows, "store.etcd.endpoints", &names, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < names.count; i++)
		to->endpoints[to->endpoint_count++] = names.items[i];
	free(names.items);
	return to->endpoint_count ? 0 : err_set(err, ERR_INVALID, "store.etcd.endpoints: must not be empty");
}

static int read_etcd(const json_t *etcd, struct cism_config_etcd *to, struct err *err)
{
	static const struct policy_field fields[] = {
		{"endpoints", POLICY_FIELD_ARRAY, true, STORE_ENDPOINTS_MAX},
		{"prefix", POLICY_FIELD_STRING, false, sizeof(to->prefix) - 1},
		{"ca", POLICY_FIELD_STRING, false, 4096},
		{"certificate", POLICY_FIELD_STRING, false, 4096},
		{"key", POLICY_FIELD_STRING, false, 4096},
	};
	const char *prefix = json_string_value(json_object_get(etcd, "prefix"));
	int r = policy_fields_check(etcd, "store.etcd", fields, ARRAY_SIZE(fields), err);

	if (r == 0)
		r = read_endpoints(json_object_get(etcd, "endpoints"), to, err);
	if (r == 0)
		r = read_file(etcd, "store.etcd", "ca", &to->ca, err);
	if (r == 0)
		r = read_file(etcd, "store.etcd", "certificate", &to->certificate, err);
	if (r == 0)
		r = read_file(etcd, "store.etcd", "key", &to->key, err);
	if (r == 0 && !to->certificate != !to->key)
		return err_set(err, ERR_INVALID, "store.etcd: a certificate goes with its key");
	return r == 0 ? str_copy(to->prefix, sizeof(to->prefix), prefix ? prefix : "/bulkhead/") : r;
}

static int read_store(const json_t *store, struct cism_config_etcd *to, struct err *err)
{
	static const struct policy_field fields[] = {{"etcd", POLICY_FIELD_OBJECT, true, 0}};
	int r = store ? policy_fields_check(store, "store", fields, ARRAY_SIZE(fields), err) : 0;

	return store && r == 0 ? read_etcd(json_object_get(store, "etcd"), to, err) : r;
}

static int read_number(const json_t *root, const char *name, json_int_t least, json_int_t most, json_int_t otherwise,
		       json_int_t *ret_value, struct err *err)
{
	const json_t *value = json_object_get(root, name);

	*ret_value = value ? json_integer_value(value) : otherwise;
	if (*ret_value < least || *ret_value > most)
		return err_set(err, ERR_INVALID,
			       "%s: %" JSON_INTEGER_FORMAT " is not in %" JSON_INTEGER_FORMAT
			       " to %" JSON_INTEGER_FORMAT,
			       name, *ret_value, least, most);
	return 0;
}

static int read_root(const json_t *root, struct cism_config *to, struct err *err)
{
	static const struct policy_field fields[] = {
		{"address", POLICY_FIELD_STRING, true, sizeof(to->address) - 1},
		{"port", POLICY_FIELD_INTEGER, true, 0},
		{"registries", POLICY_FIELD_ARRAY, false, CISM_CONFIG_REGISTRIES_MAX},
		{"ticketLifetimeSeconds", POLICY_FIELD_INTEGER, false, 0},
		{"store", POLICY_FIELD_OBJECT, false, 0},
	};
	const json_t *row;
	json_int_t number = 0;
	size_t i;
	int r;

	r = policy_fields_check(root, "", fields, ARRAY_SIZE(fields), err);
	if (r < 0)
		return r;
	(void)snprintf(to->address, sizeof(to->address), "%s", json_string_value(json_object_get(root, "address")));
	r = read_number(root, "port", 0, 65535, 0, &number, err);
	if (r < 0)
		return r;
	to->port = (uint16_t)number;
	r = read_number(root, "ticketLifetimeSeconds", 30, 86400, 600, &number, err);
	if (r < 0)
		return r;
	to->ticket_seconds = (unsigned)number;
	json_array_foreach(json_object_get(root, "registries"), i, row) {
		r = read_registry(row, i, &to->registries[to->registry_count++], err);
		if (r < 0)
			return r;
	}
	return read_store(json_object_get(root, "store"), &to->etcd, err);
}

int cism_config_parse(const char *text, size_t len, struct cism_config *ret_config, struct err *err)
{
	struct cism_config config = {0};
	json_t *root = NULL;
	int r = policy_fields_load("cism.json", text, len, &root, err);

	if (r < 0)
		return r;
	r = read_root(root, &config, err);
	json_decref(root);
	if (r < 0) {
		cism_config_done(&config);
		return err_prefix(err, "cism.json"), r;
	}
	*ret_config = config;
	return 0;
}

void cism_config_done(struct cism_config *config)
{
	for (size_t i = 0; i < config->registry_count; i++)
		free(config->registries[i].ca);
	config->registry_count = 0;
	for (size_t i = 0; i < config->etcd.endpoint_count; i++)
		free(config->etcd.endpoints[i]);
	free(config->etcd.ca);
	free(config->etcd.certificate);
	if (config->etcd.key)
		explicit_bzero(config->etcd.key, strlen(config->etcd.key));
	free(config->etcd.key);
	config->etcd = (struct cism_config_etcd){0};
}

const struct cism_config_registry *cism_config_registry(const struct cism_config *config, const char *host)
{
	for (size_t i = 0; i < config->registry_count; i++)
		if (str_eq(config->registries[i].host, host))
			return &config->registries[i];
	return NULL;
}
