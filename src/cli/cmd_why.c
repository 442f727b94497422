/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/str.h"
#include "cli/cluster.h"
#include "cli/command.h"

static const char *root, *namespace = "default", *output;

static const struct option_row rows[] = {
	COMMAND_ROOT(root),
	{"namespace", 'n', "NAMESPACE", "namespace of the pod (default 'default')", &namespace, NULL},
	COMMAND_OUTPUT(output),
};

static const struct option_command options = {
	.program = "bulkhead why",
	.operands = "[NAMESPACE/]POD",
	.summary = "Says in one sentence why a pod runs where it does, or why it does not run, with the rule that "
		   "decided and the object "
		   "to change.",
	.footer = "Example:\n  bulkhead why interception/probe",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
	.least_operands = 1,
	.most_operands = 1,
};

struct reason {
	char sentence[2048];
	char word[128];
	struct policy_decision decision;
};

static void say(struct reason *reason, const char *word, const char *format, ...) PRINTF_LIKE(3, 4);
static void say(struct reason *reason, const char *word, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(reason->sentence, sizeof(reason->sentence), format, args);
	va_end(args);
	(void)snprintf(reason->word, sizeof(reason->word), "%s", word ? word : "");
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

/* What keeps a container of a placed pod from running: waiting, or ended in failure. */
static bool explain_containers(const json_t *pod, const char *instance, struct reason *reason)
{
	const json_t *status;
	size_t i;

	json_array_foreach(api_value(pod, "status.containerStatuses"), i, status) {
		const char *name = or_empty(api_string(status, "name"));
		const char *waits = api_string(status, "state.waiting.reason"),
			   *ended = api_string(status, "state.terminated.reason");
		const char *message = api_string(status, waits ? "state.waiting.message" : "state.terminated.message");

		if (!waits && (!ended || str_eq(ended, "Completed")))
			continue;
		say(reason, waits ? waits : ended,
		    "pod '%s/%s' is placed on instance '%s', where container '%s' %s: %s%s%s", namespace,
		    or_empty(api_string(pod, "metadata.name")), instance, name, waits ? "waits" : "ended",
		    waits ? waits : ended, message ? ": " : "", message ? message : "");
		return true;
	}
	return false;
}

static const json_t *node_named(const struct cluster *cluster, const char *name)
{
	const json_t *node;
	size_t i;

	json_array_foreach(cluster_items(cluster->nodes), i, node)
		if (str_eq(or_empty(api_string(node, "metadata.name")), name))
			return node;
	return NULL;
}

static void explain_placed(const struct cluster *cluster, const json_t *pod, const char *instance,
			   struct reason *reason)
{
	const json_t *node = node_named(cluster, instance);
	const char *phase = or_empty(api_string(pod, "status.phase")), *message = api_string(pod, "status.message");
	const char *name = or_empty(api_string(pod, "metadata.name"));

	if (node)
		cluster_decide(cluster, pod, node, &reason->decision);
	if (explain_containers(pod, instance, reason))
		return;
	if (message)
		say(reason, api_string(pod, "status.reason"), "pod '%s/%s' is placed on instance '%s' and %s: %s",
		    namespace, name, instance, phase, message);
	else if (node)
		say(reason, phase, "%s", reason->decision.sentence);
	else
		say(reason, phase, "pod '%s/%s' is placed on instance '%s', which is no Node any more", namespace, name,
		    instance);
}

/* The verdict that says most: one by a rule, or else the first. */
static const json_t *telling_verdict(const json_t *decision)
{
	const json_t *verdicts = json_object_get(decision, "instances"), *verdict;
	size_t i;

	json_array_foreach(verdicts, i, verdict)
		if (*or_empty(api_string(verdict, "rule")))
			return verdict;
	return json_array_get(verdicts, 0);
}

/* Before the CISM has come to the pod: what the rules say about what is known of the instances. */
static void foretell(const struct cluster *cluster, const json_t *pod, struct reason *reason)
{
	const json_t *node;
	size_t i;

	json_array_foreach(cluster_items(cluster->nodes), i, node) {
		cluster_decide(cluster, pod, node, &reason->decision);
		if (!reason->decision.allowed)
			break;
	}
	if (reason->decision.sentence[0] && !reason->decision.allowed)
		say(reason, policy_reason_name(reason->decision.reason), "%s", reason->decision.sentence);
	else
		say(reason, "Pending", "pod '%s/%s' is not placed yet", namespace,
		    or_empty(api_string(pod, "metadata.name")));
}

/* The CISM's own words: it alone knows resources and the ledger, and it tells its decision to administrators alone. */
static int explain_waiting(struct apiclient *client, const struct cluster *cluster, const json_t *pod,
			   struct reason *reason, struct err *err)
{
	const json_t *verdict;
	const char *name = or_empty(api_string(pod, "metadata.name"));
	char *path CLEANUP_FREE = str_format("/apis/trust.bulkhead.dev/v1/namespaces/%s/decisions/%s", namespace, name);
	json_t *decision CLEANUP_JSON = NULL;
	int r = path ? apiclient_get(client, path, &decision, err) : err_set(err, -ENOMEM, "out of memory");

	if (r == ERR_NOT_FOUND) {
		foretell(cluster, pod, reason);
		return 0;
	}
	if (r < 0)
		return r;
	verdict = telling_verdict(decision);
	say(reason, or_empty(api_string(verdict, "reason")), "%s", or_empty(api_string(decision, "message")));
	if (str_copy(reason->decision.rule, sizeof(reason->decision.rule), or_empty(api_string(verdict, "rule"))) < 0 ||
	    str_copy(reason->decision.object, sizeof(reason->decision.object),
		     or_empty(api_string(verdict, "object"))) < 0 ||
	    str_copy(reason->decision.other_domain, sizeof(reason->decision.other_domain),
		     or_empty(api_string(verdict, "otherDomain"))) < 0)
		return err_set(err, ERR_SYNTAX, "the CISM's decision about pod '%s/%s' is malformed", namespace, name);
	return 0;
}

static void print_json(const json_t *pod, const struct reason *reason)
{
	const struct policy_decision *decision = &reason->decision;
	json_t *object = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "namespace", namespace, "pod",
				   or_empty(api_string(pod, "metadata.name")), "phase",
				   or_empty(api_string(pod, "status.phase")), "instance",
				   or_empty(api_string(pod, "spec.nodeName")), "reason", reason->word, "sentence",
				   reason->sentence, "rule", decision->rule, "object", decision->object, "otherDomain",
				   decision->other_domain, "otherPod", decision->other_pod);

	(void)json_dumpf(object, stdout, JSON_INDENT(2));
	(void)putchar('\n');
	json_decref(object);
}

static void print_text(const struct reason *reason)
{
	(void)printf("%s\n", reason->sentence);
	if (reason->decision.rule[0])
		(void)printf("rule:   %s\n", reason->decision.rule);
	if (reason->decision.object[0])
		(void)printf("object: %s\n", reason->decision.object);
}

static int explain(struct apiclient *client, const struct cluster *cluster, const char *name, bool as_json,
		   struct err *err)
{
	const json_t *pod = cluster_pod(cluster, namespace, name);
	const char *instance = api_string(pod, "spec.nodeName");
	struct reason reason = {0};
	int r = 0;

	if (!pod)
		return err_set(err, ERR_NOT_FOUND, "pod '%s/%s' does not exist", namespace, name);
	if (instance && *instance)
		explain_placed(cluster, pod, instance, &reason);
	else
		r = explain_waiting(client, cluster, pod, &reason, err);
	if (r < 0)
		return r;
	if (as_json)
		print_json(pod, &reason);
	else
		print_text(&reason);
	return 0;
}

/* "NAMESPACE/POD" is the same as "-n NAMESPACE POD". */
static const char *split_name(char *operand)
{
	char *slash = strchr(operand, '/');

	if (!slash)
		return operand;
	*slash = '\0';
	namespace = operand;
	return slash + 1;
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
	if (r == 0)
		r = paths_init(&paths, root, err);
	if (r == 0)
		r = settings_load(&paths, &settings, err);
	if (r == 0)
		r = apiclient_new(&paths, &settings, &client, err);
	if (r == 0)
		r = cluster_load(client, &cluster, err);
	return r == 0 ? explain(client, &cluster, split_name(argv[0]), as_json, err) : r;
}

const struct command cmd_why = {"why", &options, run};
