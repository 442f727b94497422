/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stddef.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "policy/fields.h"
#include "policy/interface.h"

static int check_name(const char *value)
{
	return str_is_dns_subdomain(value) ? 0 : -EINVAL;
}

static int check_label(const char *value)
{
	return str_is_dns_label(value) ? 0 : -EINVAL;
}

static int check_deployment(const char *value)
{
	return str_eq(value, "BareMetal") || str_eq(value, "Nested") || str_eq(value, "Hybrid") ? 0 : -EINVAL;
}

static int check_address(const char *value)
{
	struct in_addr address;

	return inet_pton(AF_INET, value, &address) == 1 ? 0 : -EINVAL;
}

static int check_port(const char *value)
{
	uint64_t port;

	return str_parse_u64(value, 65535, &port) == 0 && port ? 0 : -EINVAL;
}

static int check_network(const char *value)
{
	struct policy_network network;

	if (policy_network_parse(value, &network, NULL) < 0 || network.family != AF_INET)
		return -EINVAL;
	return network.prefix >= 8 && network.prefix <= 28 ? 0 : -EINVAL;
}

static int check_bridge(const char *value)
{
	return str_is_dns_label(value) && strlen(value) <= 8 ? 0 : -EINVAL;
}

static int check_uid(const char *value)
{
	uint64_t uid;

	return str_parse_u64(value, UINT32_MAX - UINT32_C(1001) * 65536, &uid) == 0 && uid >= 65536 ? 0 : -EINVAL;
}

#define MEMBER(member) offsetof(struct settings, member), sizeof(((struct settings *)0)->member)

const struct settings_row settings_rows[SETTINGS_COUNT] = {
	{"instance", "instance", "node-1", MEMBER(instance), check_name, "a DNS name"},
	{"server", "server", "server-1", MEMBER(server), check_name, "a DNS name"},
	{"deployment", "deployment", "BareMetal", MEMBER(deployment), check_deployment, "BareMetal, Nested or Hybrid"},
	{"address", "address", "127.0.0.1", MEMBER(address), check_address, "an IPv4 address"},
	{"cism-port", "cismPort", "6443", MEMBER(cism_port), check_port, "a port from 1 to 65535"},
	{"cir-port", "cirPort", "5000", MEMBER(cir_port), check_port, "a port from 1 to 65535"},
	{"pod-network", "podNetwork", "10.88.0.0/24", MEMBER(pod_network), check_network,
	 "an IPv4 network of /8 to /28"},
	{"bridge", "bridge", "bh0", MEMBER(bridge), check_bridge, "a name of at most 8 letters and digits"},
	{"uid-base", "uidBase", "1900000000", MEMBER(uid_base), check_uid,
	 "a user id with room for 1000 ranges of 65536"},
	{"cgroup-parent", "cgroupParent", "bulkhead", MEMBER(cgroup_parent), check_label, "a DNS label"},
};

const char *settings_value(const struct settings *settings, const struct settings_row *row)
{
	return (const char *)settings + row->offset;
}

static int set_value(struct settings *settings, const struct settings_row *row, const char *value, const char *what,
		     struct err *err)
{
	if (row->check(value) < 0 || str_copy((char *)settings + row->offset, row->size, value) < 0)
		return err_set(err, ERR_INVALID, "%s '%s' is not %s", what, value, row->expected);
	return 0;
}

int settings_take(const char *const options[SETTINGS_COUNT], struct settings *ret_settings, struct err *err)
{
	struct settings settings = {0};

	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		const struct settings_row *row = &settings_rows[i];
		char what[40] = "option --";
		int r;

		(void)strncat(what, row->option, sizeof(what) - strlen(what) - 1);
		r = set_value(&settings, row, options[i] ? options[i] : row->standard, what, err);
		if (r < 0)
			return r;
	}
	*ret_settings = settings;
	return 0;
}

static int parse(const json_t *object, const char *path, struct settings *settings, struct err *err)
{
	struct policy_field fields[SETTINGS_COUNT + 1];
	int r;

	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		fields[i] = (struct policy_field){settings_rows[i].key, POLICY_FIELD_STRING, true, 0};
	fields[SETTINGS_COUNT] = (struct policy_field){"joined", POLICY_FIELD_TRUE, false, 0};
	r = policy_fields_check(object, path, fields, SETTINGS_COUNT + 1, err);
	settings->joined = json_is_true(json_object_get(object, "joined"));
	for (size_t i = 0; i < SETTINGS_COUNT && r == 0; i++)
		r = set_value(settings, &settings_rows[i],
			      json_string_value(json_object_get(object, settings_rows[i].key)), settings_rows[i].key,
			      err);
	return r;
}

int settings_load(const struct paths *paths, struct settings *ret_settings, struct err *err)
{
	struct buf text CLEANUP(buf_done) = buf_of(65536);
	struct settings settings = {0};
	char *path CLEANUP_FREE = str_format("%s/" SETTINGS_FILE, paths->etc);
	json_t *object;
	int r;

	if (!path)
		return err_set(err, -ENOMEM, "out of memory");
	r = fdio_read_file(AT_FDCWD, path, &text, err);
	if (r == -ENOENT) {
		(void)err_set(err, ERR_NOT_FOUND, "nothing is set up here: '%s' does not exist", path);
		return err_hint(err, "run 'bulkhead up' first, with the same --root");
	}
	if (r < 0)
		return r;
	r = policy_fields_load(path, text.data ? text.data : "", text.len, &object, err);
	if (r < 0)
		return r;
	r = parse(object, path, &settings, err);
	json_decref(object);
	if (r == 0)
		*ret_settings = settings;
	return r;
}

int settings_save(const struct paths *paths, const struct settings *settings, struct err *err)
{
	char *path CLEANUP_FREE = str_format("%s/" SETTINGS_FILE, paths->etc), *text CLEANUP_FREE = NULL;
	json_t *object = json_object();
	int r = object && path ? 0 : -ENOMEM;

	for (size_t i = 0; i < SETTINGS_COUNT && r == 0; i++)
		r = json_object_set_new(object, settings_rows[i].key,
					json_string(settings_value(settings, &settings_rows[i])));
	if (r == 0 && settings->joined)
		r = json_object_set_new(object, "joined", json_true());
	text = r == 0 ? json_dumps(object, JSON_INDENT(2)) : NULL;
	json_decref(object);
	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	return fdio_replace_file(AT_FDCWD, path, text, strlen(text), 0644, err);
}

int settings_compare(const struct settings *settings, const char *const options[SETTINGS_COUNT], struct err *err)
{
	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (!options[i] || str_eq(options[i], settings_value(settings, row)))
			continue;
		(void)err_set(err, ERR_CONFLICT, "option --%s '%s' differs from '%s', which was set up before",
			      row->option, options[i], settings_value(settings, row));
		return err_hint(err, "leave the option out, or use another --root");
	}
	return 0;
}
