/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/topology.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int read_instance(const json_t *row, const char *list, size_t index, struct topology_instance *to,
			 struct err *err)
{
	static const struct policy_field fields[] = {
		{"name", POLICY_FIELD_STRING, true, 253},      {"server", POLICY_FIELD_STRING, true, 253},
		{"deployment", POLICY_FIELD_STRING, true, 15}, {"vm", POLICY_FIELD_STRING, false, 253},
		{"epoch", POLICY_FIELD_INTEGER, true, 0},      {"power", POLICY_FIELD_STRING, false, 3},
	};
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "%s[%zu]", list, index);
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
	to->off = str_eq(text_of(row, "power"), "Off");
	if (json_object_get(row, "power") && !to->off && !str_eq(text_of(row, "power"), "On"))
		return err_set(err, ERR_INVALID, "%s.power: '%s' is none of On, Off", path, text_of(row, "power"));
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct topology_instance *)a)->name, ((const struct topology_instance *)b)->name);
}

/* One list of rows, sorted by name. */
static int read_instances(const json_t *rows, const char *list, struct topology_instance **ret_instances,
			  size_t *ret_count, struct err *err)
{
	struct topology_instance *instances = calloc(json_array_size(rows) + 1, sizeof(*instances));
	const json_t *row;
	size_t i;
	int r = instances ? 0 : err_sys(err, -ENOMEM, "cannot read the topology");

	json_array_foreach(rows, i, row)
		if (r == 0)
			r = read_instance(row, list, i, &instances[i], err);
	if (r == 0 && json_array_size(rows) > 1)
		qsort(instances, json_array_size(rows), sizeof(*instances), by_name);
	for (i = 1; r == 0 && i < json_array_size(rows); i++)
		if (str_eq(instances[i].name, instances[i - 1].name))
			r = err_set(err, ERR_INVALID, "%s: '%s' stands twice", list, instances[i].name);
	if (r < 0) {
		free(instances);
		return r;
	}
	*ret_instances = instances;
	*ret_count = json_array_size(rows);
	return 0;
}

static int by_name_and_server(const void *a, const void *b)
{
	const struct topology_left *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->server, y->server);
}

static int read_left_row(const json_t *row, size_t index, struct topology_left *to, struct err *err)
{
	static const struct policy_field fields[] = {
		{"name", POLICY_FIELD_STRING, true, 253},
		{"server", POLICY_FIELD_STRING, true, 253},
		{"epoch", POLICY_FIELD_INTEGER, true, 0},
	};
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "left[%zu]", index);
	r = policy_fields_check(row, path, fields, ARRAY_SIZE(fields), err);
	if (r < 0)
		return r;
	(void)snprintf(to->name, sizeof(to->name), "%s", text_of(row, "name"));
	(void)snprintf(to->server, sizeof(to->server), "%s", text_of(row, "server"));
	if (json_integer_value(json_object_get(row, "epoch")) < 1)
		return err_set(err, ERR_INVALID, "%s.epoch: must be at least 1", path);
	to->epoch = (uint64_t)json_integer_value(json_object_get(row, "epoch"));
	return 0;
}

static int read_left(const json_t *rows, struct topology *to, struct err *err)
{
	const json_t *row;
	size_t i;
	int r = 0;

	to->left = calloc(json_array_size(rows) + 1, sizeof(*to->left));
	if (!to->left)
		return err_sys(err, -ENOMEM, "cannot read the topology");
	to->left_count = json_array_size(rows);
	json_array_foreach(rows, i, row)
		if (r == 0)
			r = read_left_row(row, i, &to->left[i], err);
	if (r == 0 && to->left_count > 1)
		qsort(to->left, to->left_count, sizeof(*to->left), by_name_and_server);
	for (i = 1; r == 0 && i < to->left_count; i++)
		if (by_name_and_server(&to->left[i], &to->left[i - 1]) == 0)
			r = err_set(err, ERR_INVALID, "left: '%s' stands twice with server '%s'", to->left[i].name,
				    to->left[i].server);
	return r;
}

static int read_root(const json_t *root, struct topology *to, struct err *err)
{
	static const struct policy_field fields[] = {
		{"generation", POLICY_FIELD_INTEGER, false, 0},
		{"instances", POLICY_FIELD_ARRAY, true, TOPOLOGY_INSTANCES_MAX},
		{"departed", POLICY_FIELD_ARRAY, false, TOPOLOGY_INSTANCES_MAX},
		{"left", POLICY_FIELD_ARRAY, false, TOPOLOGY_LEFT_MAX},
	};
	const json_t *generation = json_object_get(root, "generation");
	int r = policy_fields_check(root, "", fields, ARRAY_SIZE(fields), err);

	if (r < 0)
		return r;
	if (generation && json_integer_value(generation) < 1)
		return err_set(err, ERR_INVALID, "generation: must be at least 1");
	to->generation = (uint64_t)json_integer_value(generation);
	to->sorted = true;
	r = read_instances(json_object_get(root, "instances"), "instances", &to->instances, &to->count, err);
	if (r == 0)
		r = read_instances(json_object_get(root, "departed"), "departed", &to->departed, &to->departed_count,
				   err);
	if (r == 0)
		r = read_left(json_object_get(root, "left"), to, err);
	return r;
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

static json_t *rows_of(const struct topology_instance *instances, size_t count)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct topology_instance *instance = &instances[i];

		if (json_array_append_new(rows,
					  json_pack("{s:s, s:s, s:s, s:s*, s:I, s:s*}", "name", instance->name,
						    "server", instance->server, "deployment", instance->deployment,
						    "vm", instance->vm[0] ? instance->vm : NULL, "epoch",
						    (json_int_t)instance->epoch, "power",
						    instance->off ? "Off" : NULL)) < 0) {
			json_decref(rows);
			return NULL;
		}
	}
	return rows;
}

static json_t *left_rows_of(const struct topology *topology)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < topology->left_count; i++) {
		const struct topology_left *left = &topology->left[i];

		if (json_array_append_new(rows, json_pack("{s:s, s:s, s:I}", "name", left->name, "server", left->server,
							  "epoch", (json_int_t)left->epoch)) < 0) {
			json_decref(rows);
			return NULL;
		}
	}
	return rows;
}

static const struct topology_instance *find_row(const struct topology_instance *rows, size_t count, bool sorted,
						const char *name)
{
	size_t low = 0, high = sorted ? count : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(rows[middle].name, name);

		if (order == 0)
			return &rows[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t i = 0; !sorted && i < count; i++)
		if (str_eq(rows[i].name, name))
			return &rows[i];
	return NULL;
}

char *topology_format(const struct topology *topology)
{
	json_t *root = json_pack("{s:o}", "instances", rows_of(topology->instances, topology->count));
	char *text = NULL;
	int r = root ? 0 : -1;

	if (r == 0 && topology->generation)
		r = json_object_set_new(root, "generation", json_integer((json_int_t)topology->generation));
	if (r == 0 && topology->departed_count)
		r = json_object_set_new(root, "departed", rows_of(topology->departed, topology->departed_count));
	if (r == 0 && topology->left_count)
		r = json_object_set_new(root, "left", left_rows_of(topology));
	if (r == 0)
		text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

static bool is_same_place(const struct topology_instance *a, const struct topology_instance *b)
{
	return str_eq(a->server, b->server) && str_eq(a->vm, b->vm) && str_eq(a->deployment, b->deployment);
}

static int check_instance(const struct topology_instance *now, const struct topology_instance *next, struct err *err)
{
	if (next->epoch < now->epoch)
		return err_set(err, ERR_DENIED, "instance '%s' goes back from epoch %llu to %llu", now->name,
			       (unsigned long long)now->epoch, (unsigned long long)next->epoch);
	if (next->epoch == now->epoch && !is_same_place(now, next))
		return err_set(err, ERR_DENIED, "instance '%s' is on server '%s' in the same epoch %llu as on '%s'",
			       now->name, next->server, (unsigned long long)now->epoch, now->server);
	if (next->off && !now->off && next->epoch == now->epoch)
		return err_set(err, ERR_DENIED, "instance '%s' is powered off in the same epoch %llu as it ran in",
			       now->name, (unsigned long long)now->epoch);
	return 0;
}

static bool is_same(const struct topology *a, const struct topology *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct topology_instance *other = topology_find(b, a->instances[i].name);

		if (!other || other->epoch != a->instances[i].epoch || other->off != a->instances[i].off ||
		    !is_same_place(&a->instances[i], other))
			return false;
	}
	return true;
}

static int check_generation(const struct topology *now, const struct topology *next, bool alone, struct err *err)
{
	if (next->generation > now->generation || (alone && !next->generation && !now->generation))
		return 0;
	if (!next->generation)
		return err_set(err, ERR_DENIED, "it differs from the one of generation %llu and has no generation",
			       (unsigned long long)now->generation);
	if (next->generation == now->generation)
		return err_set(err, ERR_DENIED, "it differs from the one of the same generation %llu",
			       (unsigned long long)now->generation);
	return err_set(err, ERR_DENIED, "its generation %llu is older than %llu", (unsigned long long)next->generation,
		       (unsigned long long)now->generation);
}

/* As an instance was last, also when it is there no longer. */
static const struct topology_instance *last_known(const struct topology *now, const char *name)
{
	const struct topology_instance *known = topology_find(now, name);

	return known ? known : find_row(now->departed, now->departed_count, now->sorted, name);
}

int topology_follows(const struct topology *now, const struct topology *next, bool alone, struct err *err)
{
	int r;

	if (is_same(now, next) && next->generation <= now->generation)
		return 0;
	r = check_generation(now, next, alone, err);
	for (size_t i = 0; r == 0 && i < next->count; i++) {
		const struct topology_instance *known = last_known(now, next->instances[i].name);

		r = known ? check_instance(known, &next->instances[i], err) : 0;
	}
	return r < 0 ? r : 1;
}

int topology_remember(struct topology *next, const struct topology *now, struct err *err)
{
	struct topology_instance *departed = calloc(now->count + now->departed_count + 1, sizeof(*departed));
	size_t count = 0;

	if (!departed)
		return err_sys(err, -ENOMEM, "cannot remember what left the topology");
	for (size_t i = 0; i < now->departed_count; i++)
		if (!topology_find(next, now->departed[i].name))
			departed[count++] = now->departed[i];
	for (size_t i = 0; i < now->count; i++)
		if (!topology_find(next, now->instances[i].name))
			departed[count++] = now->instances[i];
	if (count > 1)
		qsort(departed, count, sizeof(*departed), by_name);
	free(next->departed);
	next->departed = departed;
	next->departed_count = count;
	return 0;
}

/* Each server of an instance once, with the latest epoch. */
static size_t merge_left(struct topology_left *left, size_t count)
{
	size_t kept = 0;

	if (count > 1)
		qsort(left, count, sizeof(*left), by_name_and_server);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || by_name_and_server(&left[i], &left[kept - 1]) != 0)
			left[kept++] = left[i];
		else if (left[i].epoch > left[kept - 1].epoch)
			left[kept - 1].epoch = left[i].epoch;
	return kept;
}

int topology_leave(struct topology *next, const struct topology *now,
		   bool (*needed)(void *user, const struct topology_left *left), void *user, struct err *err)
{
	struct topology_left *left = calloc(now->left_count + next->count + 1, sizeof(*left));
	size_t count = 0;

	if (!left)
		return err_sys(err, -ENOMEM, "cannot remember what left its server");
	for (size_t i = 0; i < now->left_count; i++)
		if (needed(user, &now->left[i]))
			left[count++] = now->left[i];
	/* Asked for nobody: a bind of this epoch may come in until the topology is written. */
	for (size_t i = 0; i < next->count; i++) {
		const struct topology_instance *known = last_known(now, next->instances[i].name);
		struct topology_left *to = &left[count];

		if (!known || str_eq(known->server, next->instances[i].server))
			continue;
		memcpy(to->name, known->name, sizeof(to->name));
		memcpy(to->server, known->server, sizeof(to->server));
		to->epoch = known->epoch;
		count++;
	}
	free(next->left);
	next->left = left;
	next->left_count = merge_left(left, count);
	if (next->left_count > TOPOLOGY_LEFT_MAX)
		return err_set(err, ERR_INVALID,
			       "more than %d servers were left by instances whose pods still count there",
			       TOPOLOGY_LEFT_MAX);
	return 0;
}

const char *topology_next_left(const struct topology *topology, const char *instance, uint64_t epoch, size_t *at)
{
	size_t low = *at, high = *at ? *at : topology->left_count;

	while (low < high) { /* the first of the instance's */
		size_t middle = low + (high - low) / 2;

		if (strcmp(topology->left[middle].name, instance) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < topology->left_count && str_eq(topology->left[low].name, instance); low++)
		if (topology->left[low].epoch >= epoch) {
			*at = low + 1;
			return topology->left[low].server;
		}
	return NULL;
}

void topology_done(struct topology *topology)
{
	free(topology->instances);
	free(topology->departed);
	free(topology->left);
	*topology = (struct topology){.generation = topology->generation};
}

const struct topology_instance *topology_find(const struct topology *topology, const char *instance)
{
	return find_row(topology->instances, topology->count, topology->sorted, instance);
}
