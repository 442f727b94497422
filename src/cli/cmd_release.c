/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/str.h"
#include "cli/cluster.h"
#include "cli/command.h"

static const char *root, *reason, *output;

static const struct option_row rows[] = {
	COMMAND_ROOT(root),
	{"reason", 0, "TEXT", "how it is known that the pod does not run and never will; kept with the release",
	 &reason, NULL},
	COMMAND_OUTPUT(output),
};

static const struct option_command options = {
	.program = "bulkhead release",
	.operands = "UID|NAMESPACE/POD",
	.summary = "Ends the charge of a pod on its server, on the word of an administrator: for a server that is lost "
		   "and will never confirm that the pod has stopped. If the pod still runs, nothing keeps others away "
		   "from it any more.",
	.footer = "Example:\n  bulkhead release core/hlr-0 --reason 'server-7 burnt down, ticket 4711'",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
	.least_operands = 1,
	.most_operands = 1,
};

static const char *text_of(const json_t *holder, const char *name)
{
	const char *text = api_string(holder, name);

	return text ? text : "";
}

/* The uid that is charged under the name; two of one name (one was deleted by force) have to be told apart by uid. */
static int find_uid(const struct cluster *cluster, const char *operand, const char **ret_uid, struct err *err)
{
	const json_t *holder;
	const char *found = NULL;
	size_t i;

	json_array_foreach(json_object_get(cluster->ledger, "holders"), i, holder) {
		char name[600];

		(void)snprintf(name, sizeof(name), "%s/%s", text_of(holder, "namespace"), text_of(holder, "name"));
		if (!str_eq(name, operand))
			continue;
		if (found)
			return err_set(err, ERR_CONFLICT, "two pods were named '%s': uids '%s' and '%s'", operand,
				       found, text_of(holder, "uid"));
		found = text_of(holder, "uid");
	}
	if (!found)
		return err_set(err, ERR_NOT_FOUND, "no pod '%s' is charged to any server", operand);
	*ret_uid = found;
	return 0;
}

static int release(struct apiclient *client, const struct cluster *cluster, const char *operand, bool as_json,
		   struct err *err)
{
	json_t *body CLEANUP_JSON = NULL, *answer CLEANUP_JSON = NULL;
	const char *uid = operand;
	int r = strchr(operand, '/') ? find_uid(cluster, operand, &uid, err) : 0;

	if (r < 0)
		return r;
	body = json_pack("{s:s, s:s}", "uid", uid, "reason", reason);
	if (!body)
		return err_set(err, -ENOMEM, "out of memory");
	r = apiclient_send(client, "POST", "/apis/trust.bulkhead.dev/v1/releases", body, &answer, err);
	if (r < 0)
		return r;
	if (as_json)
		return json_dumpf(answer, stdout, JSON_INDENT(2)) < 0 || putchar('\n') < 0 ? -EIO : 0;
	(void)printf("pod '%s/%s' is not charged to server '%s' any more\n", text_of(answer, "namespace"),
		     text_of(answer, "name"), text_of(answer, "server"));
	return 0;
}

static int run(int argc, char **argv, struct err *err)
{
	struct apiclient *client CLEANUP(cleanup_apiclient) = NULL;
	struct cluster cluster CLEANUP_CLUSTER = {0};
	bool as_json;
	int r = main_wants_json(output, &as_json, err);

	(void)argc;
	if (r == 0 && !reason)
		r = err_set(err, ERR_INVALID, "--reason is needed: it is kept with the release");
	if (r == 0)
		r = cluster_open(root, &client, &cluster, err);
	return r == 0 ? release(client, &cluster, argv[0], as_json, err) : r;
}

const struct command cmd_release = {"release", &options, run};
