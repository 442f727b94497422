/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/cism_config.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/fdio.h"
#include "base/str.h"
#include "policy/fields.h"

#define CA_MAX ((size_t)256 * 1024)

static int read_registry(const json_t *row, size_t index, struct cism_config_registry *to, struct err *err)
{
	static const struct policy_field fields[] = {
		{"host", POLICY_FIELD_STRING, true, sizeof(to->host) - 1},
		{"ca", POLICY_FIELD_STRING, false, 4096},
	};
	struct buf pem = buf_of(CA_MAX);
	const char *ca = json_string_value(json_object_get(row, "ca"));
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "registries[%zu]", index);
	r = policy_fields_check(row, path, fields, ARRAY_SIZE(fields), err);
	if (r < 0)
		return r;
	(void)snprintf(to->host, sizeof(to->host), "%s", json_string_value(json_object_get(row, "host")));
	if (!ca)
		return 0;
	r = fdio_read_file(AT_FDCWD, ca, &pem, err);
	if (r < 0) {
		buf_done(&pem);
		return err_prefix(err, "%s.ca", path), r;
	}
	to->ca = buf_steal(&pem);
	return 0;
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
	return 0;
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
}

const struct cism_config_registry *cism_config_registry(const struct cism_config *config, const char *host)
{
	for (size_t i = 0; i < config->registry_count; i++)
		if (str_eq(config->registries[i].host, host))
			return &config->registries[i];
	return NULL;
}
