/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/topology.h"

#include <errno.h>
#include <stdio.h>

#include "base/str.h"
#include "policy/fields.h"

static const char *const deployments[] = {"BareMetal", "Nested", "Hybrid"};

static bool is_deployment(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(deployments); i++)
		if (str_eq(deployments[i], word))
			return true;
	return false;
}

static const char *text_of(const json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));

	return text ? text : "";
}

static int read_instance(const json_t *row, size_t index, struct topology_instance *to, struct err *err)
{
	static const struct policy_field fields[] = {
		{"name", POLICY_FIELD_STRING, true, 253},      {"server", POLICY_FIELD_STRING, true, 253},
		{"deployment", POLICY_FIELD_STRING, true, 15}, {"vm", POLICY_FIELD_STRING, false, 253},
		{"epoch", POLICY_FIELD_INTEGER, true, 0},
	};
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "instances[%zu]", index);
	r = policy_fields_check(row, path, fields, ARRAY_SIZE(fields), err);
	if (r < 0)
		return r;
	(void)snprintf(to->name, sizeof(to->name), "%s", text_of(row, "name"));
	(void)snprintf(to->server, sizeof(to->server), "%s", text_of(row, "server"));
	(void)snprintf(to->deployment, sizeof(to->deployment), "%s", text_of(row, "deployment"));
	(void)snprintf(to->vm, sizeof(to->vm), "%s", text_of(row, "vm"));
	to->epoch = (uint64_t)json_integer_value(json_object_get(row, "epoch"));
	if (!str_is_dns_subdomain(to->name))
		return err_set(err, ERR_INVALID, "%s.name: '%s' is not a DNS name", path, to->name);
	if (!str_is_dns_subdomain(to->server) || strlen(to->server) > 63)
		return err_set(err, ERR_INVALID, "%s.server: '%s' is not a DNS name of at most 63 bytes", path,
			       to->server);
	if (!is_deployment(to->deployment))
		return err_set(err, ERR_INVALID, "%s.deployment: '%s' is none of BareMetal, Nested, Hybrid", path,
			       to->deployment);
	if (json_integer_value(json_object_get(row, "epoch")) < 1)
		return err_set(err, ERR_INVALID, "%s.epoch: must be at least 1", path);
	return 0;
}

static int read_root(const json_t *root, struct topology *to, struct err *err)
{
	static const struct policy_field fields[] = {
		{"instances", POLICY_FIELD_ARRAY, true, TOPOLOGY_INSTANCES_MAX},
	};
	const json_t *rows = json_object_get(root, "instances");
	const json_t *row;
	size_t i;
	int r;

	r = policy_fields_check(root, "", fields, ARRAY_SIZE(fields), err);
	if (r < 0)
		return r;
	to->instances = calloc(json_array_size(rows) + 1, sizeof(*to->instances));
	if (!to->instances)
		return err_sys(err, -ENOMEM, "cannot read the topology");
	json_array_foreach(rows, i, row) {
		r = read_instance(row, i, &to->instances[i], err);
		if (r < 0)
			return r;
		if (topology_find(to, to->instances[i].name))
			return err_set(err, ERR_INVALID, "instances[%zu].name: '%s' stands twice", i,
				       to->instances[i].name);
		to->count++;
	}
	return 0;
}

int topology_parse(const char *text, size_t len, struct topology *ret_topology, struct err *err)
{
	struct topology topology = {0};
	json_t *root = NULL;
	int r = policy_fields_load("topology.json", text, len, &root, err);

	if (r < 0)
		return r;
	r = read_root(root, &topology, err);
	json_decref(root);
	if (r < 0) {
		topology_done(&topology);
		return err_prefix(err, "topology.json"), r;
	}
	*ret_topology = topology;
	return 0;
}

void topology_done(struct topology *topology)
{
	free(topology->instances);
	topology->instances = NULL;
	topology->count = 0;
}

const struct topology_instance *topology_find(const struct topology *topology, const char *instance)
{
	for (size_t i = 0; i < topology->count; i++)
		if (str_eq(topology->instances[i].name, instance))
			return &topology->instances[i];
	return NULL;
}
