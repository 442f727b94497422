/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_config.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "oci/reference.h"

#define HOUR 3600u
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)
#define SCRUB_RATE (UINT64_C(16) << 20)

static int check_members(const json_t *root, struct err *err)
{
	static const char *const known[] =
		{"address", "port",      "users", "name", "collectSeconds", "graceSeconds", "scrubBytesPerSecond",
		 "policy",  "accessLog", "tls"};
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)root, key, value) {
		size_t i = 0;

		while (i < ARRAY_SIZE(known) && !str_eq(known[i], key))
			i++;
		if (i == ARRAY_SIZE(known))
			return err_set(err, ERR_INVALID, "unknown member '%.100s'", key);
	}
	return 0;
}

/* An optional number up to most. */
static int read_number(const json_t *root, const char *name, uint64_t least, uint64_t most, uint64_t missing,
		       uint64_t *ret_value, struct err *err)
{
	const json_t *value = json_object_get(root, name);
	json_int_t number = json_integer_value(value);

	if (value && (!json_is_integer(value) || number < 0 || (uint64_t)number < least || (uint64_t)number > most))
		return err_set(err, ERR_INVALID, "'%s' is not a number from %llu to %llu", name,
			       (unsigned long long)least, (unsigned long long)most);
	*ret_value = value ? (uint64_t)number : missing;
	return 0;
}

static bool is_loopback(const char *address)
{
	return str_starts(address, "127.") || str_eq(address, "::1");
}

static int read_tls(const json_t *root, struct cir_config *config, struct err *err)
{
	const json_t *value = json_object_get(root, "tls");

	if (value && !json_is_boolean(value))
		return err_set(err, ERR_INVALID, "'tls' is not true or false");
	config->plain = json_is_false(value);
	if (config->plain && !is_loopback(config->address))
		return err_set(err, ERR_INVALID, "'tls' may be false on a loopback address alone");
	return 0;
}

static int read_log(const json_t *root, struct cir_config *config, struct err *err)
{
	static const char *const words[] = {"none", "changes", "all"};
	const json_t *value = json_object_get(root, "accessLog");

	config->log = CIR_LOG_CHANGES;
	if (!value)
		return 0;
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		if (json_is_string(value) && str_eq(json_string_value(value), words[i])) {
			config->log = (enum cir_log)i;
			return 0;
		}
	return err_set(err, ERR_INVALID, "'accessLog' is not 'none', 'changes' or 'all'");
}

static int read_upkeep(const json_t *root, struct cir_config *config, struct err *err)
{
	uint64_t collect = 0, grace = 0;
	int r = read_number(root, "collectSeconds", 0, YEAR, HOUR, &collect, err);

	if (r == 0)
		r = read_number(root, "graceSeconds", 1, YEAR, DAY, &grace, err);
	if (r == 0)
		r = read_number(root, "scrubBytesPerSecond", 0, UINT64_C(1) << 40, SCRUB_RATE,
				&config->scrub_bytes_per_second, err);
	if (r < 0)
		return r;
	config->collect_seconds = (unsigned)collect;
	config->grace_seconds = (unsigned)grace;
	return 0;
}

static bool is_address(const char *text)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static int read_members(const json_t *root, struct cir_config *config, struct err *err)
{
	const char *address = json_string_value(json_object_get(root, "address"));
	const char *users = json_string_value(json_object_get(root, "users"));
	const json_t *port = json_object_get(root, "port"), *name = json_object_get(root, "name"),
		     *policy = json_object_get(root, "policy");

	if (!address || !is_address(address) || str_copy(config->address, sizeof(config->address), address) < 0)
		return err_set(err, ERR_INVALID, "'address' is not a numeric address");
	if (!json_is_integer(port) || json_integer_value(port) < 1 || json_integer_value(port) > 65535)
		return err_set(err, ERR_INVALID, "'port' is not a number from 1 to 65535");
	config->port = (uint16_t)json_integer_value(port);
	if (!users || users[0] != '/' || str_copy(config->users, sizeof(config->users), users) < 0)
		return err_set(err, ERR_INVALID, "'users' is not an absolute path");
	if (policy && (!json_is_string(policy) || json_string_value(policy)[0] != '/' ||
		       str_copy(config->policy, sizeof(config->policy), json_string_value(policy)) < 0))
		return err_set(err, ERR_INVALID, "'policy' is not an absolute path");
	if (name && (!json_is_string(name) || !reference_is_host(json_string_value(name))))
		return err_set(err, ERR_INVALID, "'name' is not a registry's host name");
	if (name)
		return str_copy(config->registry, sizeof(config->registry), json_string_value(name));
	if (strchr(address, ':'))
		(void)snprintf(config->registry, sizeof(config->registry), "[%s]:%u", address, config->port);
	else
		(void)snprintf(config->registry, sizeof(config->registry), "%s:%u", address, config->port);
	return 0;
}

int cir_config_parse(const char *text, size_t len, struct cir_config *ret_config, struct err *err)
{
	struct cir_config config = {.port = 0};
	json_error_t where;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	int r;

	if (!root)
		return err_set(err, ERR_SYNTAX, "line %d: %s", where.line, where.text);
	if (!json_is_object(root))
		r = err_set(err, ERR_INVALID, "not an object");
	else
		r = check_members(root, err);
	if (r == 0)
		r = read_members(root, &config, err);
	if (r == 0)
		r = read_upkeep(root, &config, err);
	if (r == 0)
		r = read_log(root, &config, err);
	if (r == 0)
		r = read_tls(root, &config, err);
	json_decref(root);
	if (r == 0)
		*ret_config = config;
	return r;
}
