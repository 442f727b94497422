/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/str.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/partinfo.h"
#include "cli/table.h"

static const char *root, *output;

static const struct option_row rows[] = {
	COMMAND_ROOT(root),
	COMMAND_OUTPUT(output),
};

static const struct option_command options = {
	.program = "bulkhead status",
	.summary = "Shows the parts, the instances with their deployment option and physical server, the trust "
		   "domains, and what runs where.",
	.footer = "Exit status 8 when a part does not run or does not answer.",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
};

/* Everything as one JSON object; the tables are made from it. */
static json_t *part_object(const struct part *part, const struct part_process *process)
{
	struct partinfo info = {0};

	if (process->pidfd < 0)
		return json_pack("{s:s,s:s}", "name", part->name, "state", "stopped");
	partinfo_read(process, &info);
	return json_pack("{s:s,s:s,s:i,s:I,s:I}", "name", part->name, "state", "running", "pid", process->pid,
			 "uptimeSeconds", (json_int_t)info.uptime_s, "memoryBytes", (json_int_t)info.memory_bytes);
}

static int add_parts(const struct paths *paths, json_t *status, size_t first, bool *ret_all, struct err *err)
{
	json_t *parts = json_array();

	*ret_all = true;
	if (json_object_set_new(status, "parts", parts) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = first; i < PART_COUNT; i++) {
		struct part_process process;
		int r = part_find(paths, &part_rows[i], &process, err);

		if (r < 0)
			return r;
		*ret_all = *ret_all && process.pidfd >= 0;
		r = json_array_append_new(parts, part_object(&part_rows[i], &process));
		if (process.pidfd >= 0)
			(void)close(process.pidfd);
		if (r < 0)
			return err_set(err, -ENOMEM, "out of memory");
	}
	return 0;
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static bool is_ready(const json_t *node)
{
	const json_t *condition;
	size_t i;

	json_array_foreach(api_value(node, "status.conditions"), i, condition) {
		if (str_eq(or_empty(api_string(condition, "type")), "Ready"))
			return str_eq(or_empty(api_string(condition, "status")), "True");
	}
	return false;
}

static int add_instances(const struct cluster *cluster, json_t *status)
{
	json_t *list = json_array();
	const json_t *node;
	size_t i;
	int r = json_object_set_new(status, "instances", list);

	json_array_foreach(cluster_items(cluster->nodes), i, node) {
		struct policy_place place = cluster_place_facts(node);

		if (r == 0)
			r = json_array_append_new(list,
						  json_pack("{s:s,s:s,s:s,s:I,s:b}", "name", place.instance, "server",
							    or_empty(place.server), "deployment",
							    or_empty(api_label(node, POLICY_LABEL_DEPLOYMENT)), "epoch",
							    (json_int_t)place.epoch, "ready", is_ready(node)));
	}
	return r;
}

static int add_domains(const struct cluster *cluster, json_t *status)
{
	json_t *list = json_array();
	const json_t *object;
	size_t i;
	int r = json_object_set_new(status, "trustDomains", list);

	json_array_foreach(cluster_items(cluster->trust_domains), i, object) {
		const char *name = or_empty(api_string(object, "metadata.name"));
		const struct policy_domain *domain = policy_domains_find(&cluster->domains, name);

		if (r == 0)
			r = json_array_append_new(list, json_pack("{s:s,s:s}", "name", name, "isolation",
								  domain ? policy_isolation_name(domain->isolation)
									 : "unreadable"));
	}
	return r;
}

static int add_pods(const struct cluster *cluster, json_t *status)
{
	json_t *list = json_array();
	const json_t *pod;
	size_t i;
	int r = json_object_set_new(status, "pods", list);

	json_array_foreach(cluster_items(cluster->pods), i, pod) {
		struct policy_pod facts = cluster_pod_facts(cluster, pod);

		if (r == 0)
			r = json_array_append_new(list,
						  json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "namespace", facts.namespace,
							    "name", facts.name, "trustDomain", or_empty(facts.domain),
							    "subFunction", or_empty(facts.subfunction), "instance",
							    or_empty(api_string(pod, "spec.nodeName")), "phase",
							    or_empty(api_string(pod, "status.phase"))));
	}
	return r;
}

/* What is charged without being shown above, since its object is gone: it still keeps others away. */
static int add_charged(const struct cluster *cluster, json_t *status)
{
	json_t *list = json_array();
	const json_t *holder;
	size_t i;
	int r = json_object_set_new(status, "charged", list);

	json_array_foreach(json_object_get(cluster->ledger, "holders"), i, holder) {
		const json_t *pod = cluster_pod(cluster, or_empty(api_string(holder, "namespace")),
						or_empty(api_string(holder, "name")));

		if (r == 0 && !str_eq(or_empty(api_string(pod, "metadata.uid")), or_empty(api_string(holder, "uid"))))
			r = json_array_append(list, (json_t *)(uintptr_t)holder);
	}
	return r;
}

static int add_proof(const struct cluster *cluster, json_t *status)
{
	json_t *proof = json_object_get(cluster->ledger, "proof");

	return proof ? json_object_set(status, "proof", proof) : 0;
}

/* Asks the CISM; when it does not answer its words are kept under "error". */
static int add_cluster(const struct paths *paths, const struct settings *settings, json_t *status, bool *ret_answers)
{
	struct apiclient *client CLEANUP(cleanup_apiclient) = NULL;
	struct cluster cluster CLEANUP_CLUSTER = {0};
	struct err err = {0};
	int r = apiclient_new(paths, settings, &client, &err);

	if (r == 0)
		r = cluster_load(client, &cluster, &err);
	*ret_answers = r == 0;
	if (r < 0)
		return json_object_set_new(status, "error", json_string(err.msg));
	r = add_instances(&cluster, status);
	if (r == 0)
		r = add_domains(&cluster, status);
	if (r == 0)
		r = add_pods(&cluster, status);
	if (r == 0)
		r = add_charged(&cluster, status);
	return r == 0 ? add_proof(&cluster, status) : r;
}

struct column {
	const char *header, *member;
};

static void format_cell(const json_t *object, const char *member, char *to, size_t size)
{
	const json_t *value = json_object_get(object, member);
	char uptime[PARTINFO_UPTIME_SIZE];

	if (json_is_boolean(value)) {
		(void)snprintf(to, size, "%s", json_is_true(value) ? "yes" : "no");
	} else if (str_eq(member, "uptimeSeconds") && value) {
		partinfo_format_uptime((uint64_t)json_integer_value(value), uptime);
		(void)snprintf(to, size, "%s", uptime);
	} else if (str_eq(member, "memoryBytes") && value) {
		(void)snprintf(to, size, "%.1f MiB", (double)json_integer_value(value) / 1048576);
	} else if (json_is_integer(value)) {
		(void)snprintf(to, size, "%lld", (long long)json_integer_value(value));
	} else {
		(void)snprintf(to, size, "%s", or_empty(json_string_value(value)));
	}
}

#define CELL_SIZE 300
#define COLUMNS_MAX 8

static int print_list(const json_t *list, const struct column *columns, size_t count, const char *none)
{
	char texts[COLUMNS_MAX][CELL_SIZE];
	const char *cells[COLUMNS_MAX];
	struct table table CLEANUP_TABLE = {0};
	const json_t *object;
	size_t row;
	int r;

	(void)putchar('\n');
	if (!json_array_size(list)) {
		(void)printf("%s\n", none);
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		cells[i] = columns[i].header;
	r = table_begin(&table, cells, count);
	json_array_foreach(list, row, object) {
		for (size_t i = 0; i < count; i++) {
			format_cell(object, columns[i].member, texts[i], sizeof(texts[i]));
			cells[i] = texts[i];
		}
		if (r == 0)
			r = table_add(&table, cells);
	}
	if (r == 0)
		table_print(&table);
	return r;
}

/* The drift check's last word, with its age. */
static void print_proof(const json_t *proof)
{
	const json_t *finding;
	size_t i;

	if (!proof) {
		(void)printf("\nSEPARATION: not proven yet\n");
		return;
	}
	(void)printf(
		"\nSEPARATION: %s %lld s ago: %lld pods on %lld servers, %lld violations, %lld on no known server\n",
		json_is_true(json_object_get(proof, "proven")) ? "proven" : "VIOLATED",
		(long long)json_integer_value(json_object_get(proof, "ageSeconds")),
		(long long)json_integer_value(json_object_get(proof, "pods")),
		(long long)json_integer_value(json_object_get(proof, "servers")),
		(long long)json_integer_value(json_object_get(proof, "violations")),
		(long long)json_integer_value(json_object_get(proof, "unplaced")));
	json_array_foreach(json_object_get(proof, "findings"), i, finding)
		(void)printf("  %s\n", or_empty(api_string(finding, "sentence")));
}

static int print_text(const json_t *status)
{
	static const struct column parts[] = {
		{"PART", "name"},          {"STATE", "state"}, {"PID", "pid"}, {"UPTIME", "uptimeSeconds"},
		{"MEMORY", "memoryBytes"},
	};
	static const struct column instances[] = {
		{"INSTANCE", "name"}, {"SERVER", "server"}, {"DEPLOYMENT", "deployment"},
		{"EPOCH", "epoch"},   {"READY", "ready"},
	};
	static const struct column domains[] = {{"TRUST DOMAIN", "name"}, {"ISOLATION", "isolation"}};
	static const struct column pods[] = {
		{"TRUST DOMAIN", "trustDomain"}, {"SUB-FUNCTION", "subFunction"},
		{"NAMESPACE", "namespace"},      {"POD", "name"},
		{"INSTANCE", "instance"},        {"PHASE", "phase"},
	};
	static const struct column charged[] = {
		{"STILL CHARGED", "uid"}, {"NAMESPACE", "namespace"}, {"POD", "name"},
		{"INSTANCE", "instance"}, {"SERVER", "server"},
	};
	const char *error = json_string_value(json_object_get(status, "error"));
	const char *api = json_string_value(json_object_get(status, "api"));
	int r;

	(void)printf("API: %s\n", api ? api : "elsewhere; this machine is an instance alone");
	r = print_list(json_object_get(status, "parts"), parts, ARRAY_SIZE(parts), "no parts");
	if (!api)
		return r;
	if (r < 0 || error)
		return r < 0 ? r : printf("\nthe CISM does not answer: %s\n", error) < 0 ? -EIO : 0;
	r = print_list(json_object_get(status, "instances"), instances, ARRAY_SIZE(instances), "no instances");
	if (r == 0)
		r = print_list(json_object_get(status, "trustDomains"), domains, ARRAY_SIZE(domains),
			       "no trust domains are defined");
	if (r == 0)
		r = print_list(json_object_get(status, "pods"), pods, ARRAY_SIZE(pods), "no pods");
	if (r == 0 && json_array_size(json_object_get(status, "charged")))
		r = print_list(json_object_get(status, "charged"), charged, ARRAY_SIZE(charged), "");
	if (r == 0)
		print_proof(json_object_get(status, "proof"));
	return r;
}

static int collect(const struct paths *paths, json_t *status, bool *ret_well, struct err *err)
{
	struct settings settings;
	bool parts, answers;
	char api[96];
	int r = settings_load(paths, &settings, err);

	if (r < 0)
		return r;
	if (settings.joined)
		return add_parts(paths, status, PART_COUNT - 1, ret_well, err);
	(void)snprintf(api, sizeof(api), "https://%s:%s", settings.address, settings.cism_port);
	if (json_object_set_new(status, "api", json_string(api)) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	r = add_parts(paths, status, 0, &parts, err);
	if (r == 0 && add_cluster(paths, &settings, status, &answers) < 0)
		r = err_set(err, -ENOMEM, "out of memory");
	if (r == 0)
		*ret_well = parts && answers;
	return r;
}

static int run(int argc, char **argv, struct err *err)
{
	json_t *status CLEANUP_JSON = json_object();
	struct paths paths;
	bool as_json, well = false;
	int r = status ? main_wants_json(output, &as_json, err) : err_set(err, -ENOMEM, "out of memory");

	(void)argc;
	(void)argv;
	if (r == 0)
		r = paths_init(&paths, root, err);
	if (r == 0)
		r = collect(&paths, status, &well, err);
	if (r < 0)
		return r;
	if (as_json)
		r = json_dumpf(status, stdout, JSON_INDENT(2)) < 0 || putchar('\n') < 0 ? -EIO : 0;
	else
		r = print_text(status);
	if (r < 0)
		return err_sys(err, r, "cannot print the status");
	return well ? 0 : err_exit_code(ERR_UNAVAILABLE);
}

const struct command cmd_status = {"status", &options, run};
