/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "api/api.h"
#include "base/str.h"
#include "cli/cluster.h"
#include "cli/command.h"

#define COLLECTION "/apis/trust.bulkhead.dev/v1/quarantines"

static const char *root, *reason;
static bool end;

static const struct option_row rows[] = {
	COMMAND_ROOT(root),
	{"reason", 0, "TEXT", "why; kept with the quarantine", &reason, NULL},
	{"end", 0, NULL, "ask for its end: when every instance was installed anew and joined again", NULL, &end},
};

static const struct option_command options = {
	.program = "bulkhead quarantine",
	.operands = "instance|server NAME",
	.summary =
		"Puts an instance, or a server with all its instances, under quarantine: nothing new is placed there, "
		"and what such an instance says has stopped stays charged. It ends once the platform installed the "
		"instances anew: another certificate, and a larger epoch in the topology.",
	.footer = "'kubectl get quarantines' lists them.\n"
		  "Example:\n  bulkhead quarantine server server-7 --reason 'breakout in pod core/hlr-0'",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
	.least_operands = 2,
	.most_operands = 2,
};

static int begin(struct apiclient *client, const char *what, const char *name, struct err *err)
{
	json_t *answer CLEANUP_JSON = NULL;
	char *object CLEANUP_FREE = str_format("%s.%s", what, name);
	json_t *body CLEANUP_JSON = object ? json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:s}}", "apiVersion",
						       "trust.bulkhead.dev/v1", "kind", "Quarantine", "metadata",
						       "name", object, "spec", what, name, "reason", reason)
					   : NULL;
	int r = body ? apiclient_send(client, "POST", COLLECTION, body, &answer, err)
		     : err_set(err, -ENOMEM, "out of memory");

	if (r == 0)
		(void)printf("%s '%s' is under quarantine\n", what, name);
	return r;
}

static int finish(struct apiclient *client, const char *what, const char *name, struct err *err)
{
	json_t *answer CLEANUP_JSON = NULL;
	char *path CLEANUP_FREE = str_format(COLLECTION "/%s.%s", what, name);
	int r = path ? apiclient_send(client, "DELETE", path, NULL, &answer, err)
		     : err_set(err, -ENOMEM, "out of memory");

	if (r == 0)
		(void)printf("the quarantine of %s '%s' ends when its instances have joined again\n", what, name);
	return r;
}

static int run(int argc, char **argv, struct err *err)
{
	struct apiclient *client CLEANUP(cleanup_apiclient) = NULL;
	struct cluster cluster CLEANUP_CLUSTER = {0};
	int r = 0;

	(void)argc;
	if (!str_eq(argv[0], "instance") && !str_eq(argv[0], "server"))
		r = err_set(err, ERR_INVALID, "'%s' is neither 'instance' nor 'server'", argv[0]);
	else if (!end && !reason)
		r = err_set(err, ERR_INVALID, "--reason is needed: it is kept with the quarantine");
	if (r == 0)
		r = cluster_open(root, &client, &cluster, err);
	if (r < 0)
		return r;
	return end ? finish(client, argv[0], argv[1], err) : begin(client, argv[0], argv[1], err);
}

const struct command cmd_quarantine = {"quarantine", &options, run};
