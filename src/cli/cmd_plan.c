/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/fdio.h"
#include "base/str.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/table.h"
#include "policy/plan.h"

#define FILE_MAX ((size_t)16 * 1024 * 1024)

static const char *root, *file, *output;

static const struct option_row rows[] = {
	COMMAND_ROOT(root),
	{"file", 'f', "FILE", "TrustDomains as YAML or JSON, as for 'kubectl apply'; other kinds are passed over",
	 &file, NULL},
	COMMAND_OUTPUT(output),
};

static const struct option_command options = {
	.program = "bulkhead plan",
	.summary =
		"Says which running pods a change of trust domains would displace, before it is made: they could not "
		"be placed where they are under the new rules. Changes nothing.",
	.footer = "Example:\n  bulkhead plan -f domains.yaml && kubectl apply -f domains.yaml",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
};

struct plan {
	struct policy_holder *holders;
	size_t count;
	bool *before, *after;
	struct policy_decision *reasons;
	size_t displaced;
};

static void plan_done(struct plan *plan)
{
	free(plan->holders);
	free(plan->before);
	free(plan->after);
	free(plan->reasons);
}

/* --- the file --- */

/* Puts one document's domain in the place of the one of its name. What refuses it at writing refuses it here. */
static int take_document(const char *text, size_t len, struct policy_domains *domains, size_t *taken, struct err *err)
{
	const struct api_kind *kind = api_kind_by_name("trust.bulkhead.dev", "v1", "TrustDomain");
	struct buf warnings CLEANUP_BUF = buf_of(8192);
	json_t *object CLEANUP_JSON = NULL;
	struct policy_domain *domain = NULL;
	int r = api_decode(kind, "application/yaml", text, len, API_STRICT, &object, &warnings, err);

	if (r == 0)
		r = api_default(kind, object, err);
	if (r == 0)
		r = api_validate(kind, object, NULL, err);
	if (r == 0)
		r = policy_domain_parse(object, &domain, err);
	if (r == 0 && policy_domains_put(domains, domain) < 0)
		r = err_set(err, -ENOMEM, "out of memory");
	*taken += r == 0;
	return r;
}

static bool is_domain(const char *text, size_t len)
{
	const char *at = memmem(text, len, "TrustDomain", strlen("TrustDomain"));

	return at && memmem(text, len, "kind", 4);
}

/* Documents are divided by lines of "---". */
static int take_file(const char *path, struct policy_domains *domains, struct err *err)
{
	struct buf text CLEANUP_BUF = buf_of(FILE_MAX);
	size_t taken = 0;
	int r = fdio_read_file(AT_FDCWD, path, &text, err);
	const char *end = text.data ? text.data + text.len : NULL;

	for (const char *at = text.data; r == 0 && at && at < end;) {
		const char *next = strncmp(at, "---\n", 4) == 0 ? at - 1 : strstr(at, "\n---");
		size_t len = next ? (size_t)(next + 1 - at) : (size_t)(end - at);

		if (next == at - 1) {
			at += 4;
			continue;
		}
		if (is_domain(at, len))
			r = take_document(at, len, domains, &taken, err);
		at = next ? next + 1 + strcspn(next + 1, "\n") + 1 : end;
	}
	if (r == 0 && !taken)
		r = err_set(err, ERR_INVALID, "'%s' has no TrustDomain", path);
	return r;
}

/* --- what it does --- */

static int read_holders(const struct cluster *cluster, struct plan *plan)
{
	plan->holders = calloc(2 * cluster->holder_count + 1, sizeof(*plan->holders));
	plan->before = calloc(2 * cluster->holder_count + 1, sizeof(*plan->before));
	plan->after = calloc(2 * cluster->holder_count + 1, sizeof(*plan->after));
	plan->reasons = calloc(2 * cluster->holder_count + 1, sizeof(*plan->reasons));
	if (!plan->holders || !plan->before || !plan->after || !plan->reasons)
		return -ENOMEM;
	if (cluster->holder_count)
		memcpy(plan->holders, cluster->holders, cluster->holder_count * sizeof(*plan->holders));
	plan->count = cluster->holder_count;
	return 0;
}

static int compare(const struct cluster *cluster, const struct policy_domains *domains, struct plan *plan,
		   struct err *err)
{
	int r = read_holders(cluster, plan);

	if (r < 0)
		return err_set(err, r, "out of memory");
	r = policy_plan_displaced(plan->holders, plan->count, &cluster->domains, plan->before, NULL, err);
	if (r == 0)
		r = policy_plan_displaced(plan->holders, plan->count, domains, plan->after, plan->reasons, err);
	for (size_t i = 0; r == 0 && i < plan->count; i++)
		plan->displaced += plan->after[i] && !plan->before[i];
	return r;
}

/* Every domain has to fit the others, as the CISM asks of each when it is written. */
static int check_fit(const struct policy_domains *domains, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < domains->count && r == 0; i++)
		r = policy_domains_fit(domains, domains->items[i], err);
	return r;
}

static int print_text(const struct plan *plan)
{
	static const char *const headers[] = {"POD", "TRUST DOMAIN", "INSTANCE", "SERVER", "RULE"};
	struct table table CLEANUP_TABLE = {0};
	int r = table_begin(&table, headers, ARRAY_SIZE(headers));

	for (size_t i = 0; i < plan->count && r == 0; i++) {
		const struct policy_holder *holder = &plan->holders[i];
		char pod[600];
		const char *cells[] = {pod, holder->pod.domain, holder->instance, holder->server,
				       plan->reasons[i].rule};

		(void)snprintf(pod, sizeof(pod), "%s/%s", holder->pod.namespace, holder->pod.name);
		if (plan->after[i] && !plan->before[i])
			r = table_add(&table, cells);
	}
	if (r == 0 && plan->displaced)
		table_print(&table);
	if (r == 0)
		(void)printf("%s%zu of %zu running pods would be displaced\n", plan->displaced ? "\n" : "",
			     plan->displaced, plan->count);
	return r;
}

static int print_json(const struct plan *plan)
{
	json_t *list = json_array(), *all = json_pack("{s:o, s:I}", "displaced", list, "pods", (json_int_t)plan->count);
	int r = all ? 0 : -ENOMEM;

	for (size_t i = 0; i < plan->count && r == 0; i++) {
		const struct policy_holder *holder = &plan->holders[i];

		if (plan->after[i] && !plan->before[i])
			r = json_array_append_new(list,
						  json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "namespace",
							    holder->pod.namespace, "name", holder->pod.name, "uid",
							    holder->pod.uid, "instance", holder->instance, "server",
							    holder->server, "rule", plan->reasons[i].rule, "sentence",
							    plan->reasons[i].sentence));
	}
	if (r == 0)
		r = json_dumpf(all, stdout, JSON_INDENT(2)) < 0 || putchar('\n') < 0 ? -EIO : 0;
	json_decref(all);
	return r;
}

static int run(int argc, char **argv, struct err *err)
{
	struct apiclient *client CLEANUP(cleanup_apiclient) = NULL;
	struct cluster cluster CLEANUP_CLUSTER = {0};
	struct policy_domains domains CLEANUP_POLICY_DOMAINS = {0};
	__attribute__((cleanup(plan_done))) struct plan plan = {0};
	bool as_json;
	int r = main_wants_json(output, &as_json, err);

	(void)argc;
	(void)argv;
	if (r == 0 && !file)
		r = err_set(err, ERR_INVALID, "--file is needed");
	if (r == 0)
		r = cluster_open(root, &client, &cluster, err);
	if (r == 0)
		r = cluster_parse_domains(&cluster, &domains, err);
	if (r == 0)
		r = take_file(file, &domains, err);
	if (r == 0)
		r = check_fit(&domains, err);
	if (r == 0)
		r = compare(&cluster, &domains, &plan, err);
	if (r < 0)
		return r;
	r = as_json ? print_json(&plan) : print_text(&plan);
	return r < 0 ? err_sys(err, r, "cannot print the plan") : 0;
}

const struct command cmd_plan = {"plan", &options, run};
