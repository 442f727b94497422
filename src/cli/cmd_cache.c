/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/paths.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/nodecall.h"
#include "cli/table.h"

static const char *root, *output;

static const struct option_row rows[] = {
	COMMAND_ROOT(root),
	COMMAND_OUTPUT(output),
};

static const struct option_command options = {
	.program = "bulkhead cache",
	.operands = "[revoke DIGEST|DOMAIN]",
	.summary = "Lists the images that this machine's instance holds: in which class, for whom, in use by how many "
		   "containers, and why so. With 'revoke' makes the sealed images of a digest or of a trust domain "
		   "unreadable: their keys are wiped and their files removed; pods that run on them are stopped first, "
		   "and start again with the instance if their trust domain still has the keys.",
	.footer = "Examples:\n  bulkhead cache -o json\n  bulkhead cache revoke core-gold",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
	.most_operands = 2,
};

static const char *text_of(const json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));

	return text ? text : "";
}

static int print_rows(const json_t *answer)
{
	static const char *const headers[] = {"IMAGE", "CLASS", "FOR", "MIB", "CONTAINERS", "MOUNTED", "WHY"};
	struct table table CLEANUP_TABLE = {0};
	const json_t *row;
	size_t i;
	int r = table_begin(&table, headers, ARRAY_SIZE(headers));

	json_array_foreach(json_object_get(answer, "images"), i, row) {
		char image[24], size[24], containers[24];
		const char *cells[] = {image,      text_of(row, "class"),     text_of(row, "domain"), size,
				       containers, text_of(row, "mechanism"), text_of(row, "reason")};

		(void)snprintf(image, sizeof(image), "%.19s", text_of(row, "digest"));
		(void)snprintf(size, sizeof(size), "%.1f",
			       (double)json_integer_value(json_object_get(row, "bytes")) / 1048576.0);
		(void)snprintf(containers, sizeof(containers), "%lld",
			       (long long)json_integer_value(json_object_get(row, "containers")));
		if (!*cells[2])
			cells[2] = "all";
		if (r == 0)
			r = table_add(&table, cells);
	}
	if (r == 0)
		table_print(&table);
	return r;
}

static int print_revoked(const json_t *answer, const char *what)
{
	(void)printf("%lld pods stopped; %lld sealed images of '%s' are unreadable now, after %lld ms\n",
		     (long long)json_integer_value(json_object_get(answer, "stopped")),
		     (long long)json_integer_value(json_object_get(answer, "revoked")), what,
		     (long long)json_integer_value(json_object_get(answer, "milliseconds")));
	return 0;
}

static char *request_of(int argc, char **argv)
{
	json_t *request = argc ? json_pack("{s:s, s:s}", "op", "cache-revoke", "what", argv[1])
			       : json_pack("{s:s}", "op", "cache");
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;

	json_decref(request);
	return text;
}

static int run(int argc, char **argv, struct err *err)
{
	char *request CLEANUP_FREE = NULL;
	struct paths paths;
	json_t *answer = NULL;
	bool as_json;
	int r = main_wants_json(output, &as_json, err);

	if (r == 0 && argc && (argc != 2 || !str_eq(argv[0], "revoke")))
		r = err_set(err, ERR_INVALID, "write 'bulkhead cache' or 'bulkhead cache revoke DIGEST|DOMAIN'");
	if (r == 0)
		r = paths_init(&paths, root, err);
	if (r < 0)
		return r;
	request = request_of(argc, argv);
	r = request ? nodecall(&paths, request, &answer, err) : err_set(err, -ENOMEM, "out of memory");
	if (r == 0 && as_json)
		r = json_dumpf(answer, stdout, JSON_INDENT(2)) < 0 || putchar('\n') < 0 ? -EIO : 0;
	else if (r == 0)
		r = argc ? print_revoked(answer, argv[1]) : print_rows(answer);
	json_decref(answer);
	return r;
}

const struct command cmd_cache = {"cache", &options, run};
