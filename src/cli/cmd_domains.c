/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/table.h"

#define MATRIX_MAX 12 /* more domains are listed as pairs: a matrix would not fit any screen */

static const char *root, *output;

static const struct option_row rows[] = {
	COMMAND_ROOT(root),
	COMMAND_OUTPUT(output),
};

static const struct option_command options = {
	.program = "bulkhead domains",
	.summary = "Shows which trust domains may share a server, by the same functions that place pods.",
	.footer = "together: may share an instance    Instance: not the same instance\n"
		  "Server: not the same server        *: only pods of some sub-functions",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
};

/* What the matrix says for a pair. */
static void word_for(const struct policy_domains *domains, size_t a, size_t b, char to[static 16])
{
	bool always;
	enum policy_level level = policy_separation_between(domains->items[a]->name, domains->items[b]->name, domains,
							    &always);

	(void)snprintf(to, 16, "%s%s", level == POLICY_LEVEL_NONE ? "together" : policy_level_name(level),
		       always ? "" : "*");
}

static int print_matrix(const struct policy_domains *domains)
{
	const char *cells[MATRIX_MAX + 2] = {"TRUST DOMAIN", "ISOLATION"};
	struct table table CLEANUP_TABLE = {0};
	char words[MATRIX_MAX][16];
	int r;

	for (size_t i = 0; i < domains->count; i++)
		cells[i + 2] = domains->items[i]->name;
	r = table_begin(&table, cells, domains->count + 2);
	for (size_t i = 0; i < domains->count && r == 0; i++) {
		cells[0] = domains->items[i]->name;
		cells[1] = policy_isolation_name(domains->items[i]->isolation);
		for (size_t j = 0; j < domains->count; j++) {
			word_for(domains, i, j, words[j]);
			cells[j + 2] = words[j];
		}
		r = table_add(&table, cells);
	}
	if (r == 0)
		table_print(&table);
	return r;
}

static int print_pairs(const struct policy_domains *domains)
{
	const char *cells[3] = {"TRUST DOMAIN", "TRUST DOMAIN", "APART"};
	struct table table CLEANUP_TABLE = {0};
	char word[16];
	int r = table_begin(&table, cells, 3);

	for (size_t i = 0; i < domains->count && r == 0; i++)
		for (size_t j = i; j < domains->count && r == 0; j++) {
			word_for(domains, i, j, word);
			cells[0] = domains->items[i]->name;
			cells[1] = domains->items[j]->name;
			cells[2] = word;
			if (strcmp(word, "together") != 0)
				r = table_add(&table, cells);
		}
	if (r == 0)
		table_print(&table);
	return r;
}

static json_t *pair_object(const struct policy_domains *domains, size_t a, size_t b)
{
	bool always;
	enum policy_level level = policy_separation_between(domains->items[a]->name, domains->items[b]->name, domains,
							    &always);

	return json_pack("{s:[s,s],s:s,s:b}", "domains", domains->items[a]->name, domains->items[b]->name, "level",
			 policy_level_name(level), "always", always);
}

static int print_json(const struct policy_domains *domains)
{
	json_t *names = json_array(), *pairs = json_array(), *all;
	int r = 0;

	for (size_t i = 0; i < domains->count && r == 0; i++) {
		r = json_array_append_new(names, json_pack("{s:s,s:s}", "name", domains->items[i]->name, "isolation",
							   policy_isolation_name(domains->items[i]->isolation)));
		for (size_t j = i; j < domains->count && r == 0; j++)
			r = json_array_append_new(pairs, pair_object(domains, i, j));
	}
	all = json_pack("{s:o,s:o}", "domains", names, "pairs", pairs);
	if (r == 0)
		r = json_dumpf(all, stdout, JSON_INDENT(2));
	(void)putchar('\n');
	json_decref(all);
	return r < 0 ? -ENOMEM : 0;
}

static int print(const struct policy_domains *domains, bool as_json)
{
	if (as_json)
		return print_json(domains);
	if (!domains->count)
		return printf("no trust domains are defined\n") < 0 ? -EIO : 0;
	return domains->count <= MATRIX_MAX ? print_matrix(domains) : print_pairs(domains);
}

static int run(int argc, char **argv, struct err *err)
{
	struct apiclient *client CLEANUP(cleanup_apiclient) = NULL;
	struct cluster cluster CLEANUP_CLUSTER = {0};
	struct settings settings;
	struct paths paths;
	bool as_json;
	int r = main_wants_json(output, &as_json, err);

	(void)argc;
	(void)argv;
	if (r == 0)
		r = paths_init(&paths, root, err);
	if (r == 0)
		r = settings_load(&paths, &settings, err);
	if (r == 0)
		r = apiclient_new(&paths, &settings, &client, err);
	if (r == 0)
		r = cluster_load(client, &cluster, err);
	if (r < 0)
		return r;
	r = print(&cluster.domains, as_json);
	return r < 0 ? err_sys(err, r, "cannot print the domains") : 0;
}

const struct command cmd_domains = {"domains", &options, run};
