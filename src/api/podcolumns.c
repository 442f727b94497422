/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of pods: what their state comes to in one word. */
#include "api/columns.h"

#include <stdio.h>

#include "api/schema.h"
#include "base/clock.h"
#include "base/str.h"

struct summary {
	char status[160];
	json_int_t restarts;
	int64_t last_restart_ms; /* 0: none known */
	size_t ready, total;
};

static bool is_text(const char *text, const char *word)
{
	return text && str_eq(text, word);
}

static bool has_condition(const json_t *pod, const char *type)
{
	json_t *condition;
	size_t i;

	json_array_foreach(api_value(pod, "status.conditions"), i, condition)
		if (is_text(api_string(condition, "type"), type))
			return is_text(api_string(condition, "status"), "True");
	return false;
}

static void count_restarts(struct summary *summary, const json_t *container)
{
	const char *stamp = api_string(container, "lastState.terminated.finishedAt");
	int64_t at;

	summary->restarts += api_integer(container, "restartCount", 0);
	if (stamp && clock_parse(stamp, &at) == 0 && at > summary->last_restart_ms)
		summary->last_restart_ms = at;
}

/* Why a container ended: the reason, or the signal or exit status. */
static void describe_end(struct summary *summary, const char *prefix, const json_t *terminated)
{
	const char *reason = api_string(terminated, "reason");
	long long signal = (long long)api_integer(terminated, "signal", 0);

	if (reason && *reason)
		(void)snprintf(summary->status, sizeof(summary->status), "%s%.100s", prefix, reason);
	else if (signal)
		(void)snprintf(summary->status, sizeof(summary->status), "%sSignal:%lld", prefix, signal);
	else
		(void)snprintf(summary->status, sizeof(summary->status), "%sExitCode:%lld", prefix,
			       (long long)api_integer(terminated, "exitCode", 0));
}

/* Whether the init container of this name restarts on its own, so that it counts as a container. */
static bool is_sidecar(const json_t *pod, const char *name)
{
	json_t *container;
	size_t i;

	json_array_foreach(api_value(pod, "spec.initContainers"), i, container)
		if (name && is_text(api_string(container, "name"), name))
			return is_text(api_string(container, "restartPolicy"), "Always");
	return false;
}

/* Walks the init containers; true while one of them holds the pod back. */
static bool summarize_init(struct summary *summary, const json_t *pod)
{
	json_t *container;
	size_t i;

	json_array_foreach(api_value(pod, "status.initContainerStatuses"), i, container) {
		const json_t *terminated = api_value(container, "state.terminated");
		const char *waiting = api_string(container, "state.waiting.reason");

		count_restarts(summary, container);
		if (terminated && api_integer(terminated, "exitCode", 0) == 0)
			continue;
		if (is_sidecar(pod, api_string(container, "name")) &&
		    json_is_true(json_object_get(container, "started"))) {
			summary->ready += json_is_true(json_object_get(container, "ready"));
			continue;
		}
		if (terminated)
			describe_end(summary, "Init:", terminated);
		else if (waiting && *waiting && !str_eq(waiting, "PodInitializing"))
			(void)snprintf(summary->status, sizeof(summary->status), "Init:%.100s", waiting);
		else
			(void)snprintf(summary->status, sizeof(summary->status), "Init:%zu/%zu", i,
				       json_array_size(api_value(pod, "spec.initContainers")));
		return true;
	}
	return false;
}

static void summarize_containers(struct summary *summary, const json_t *pod)
{
	const json_t *list = api_value(pod, "status.containerStatuses");
	bool running = false;

	for (size_t i = json_array_size(list); i-- > 0;) {
		const json_t *container = json_array_get(list, i),
			     *terminated = api_value(container, "state.terminated");
		const char *waiting = api_string(container, "state.waiting.reason");

		count_restarts(summary, container);
		if (waiting && *waiting) {
			(void)snprintf(summary->status, sizeof(summary->status), "%.100s", waiting);
		} else if (terminated) {
			describe_end(summary, "", terminated);
		} else if (json_is_true(json_object_get(container, "ready")) && api_value(container, "state.running")) {
			running = true;
			summary->ready++;
		}
	}
	if (running && str_eq(summary->status, "Completed"))
		(void)snprintf(summary->status, sizeof(summary->status), "%s",
			       has_condition(pod, "Ready") ? "Running" : "NotReady");
}

static void summarize_sidecars(struct summary *summary, const json_t *pod)
{
	json_t *container;
	size_t i;

	summary->total = json_array_size(api_value(pod, "spec.containers"));
	json_array_foreach(api_value(pod, "spec.initContainers"), i, container)
		summary->total += is_text(api_string(container, "restartPolicy"), "Always");
}

static struct summary summarize(const json_t *pod)
{
	const char *phase = api_string(pod, "status.phase"), *reason = api_string(pod, "status.reason");
	bool ended = is_text(phase, "Succeeded") || is_text(phase, "Failed");
	struct summary summary = {0};

	summarize_sidecars(&summary, pod);
	(void)snprintf(summary.status, sizeof(summary.status), "%.100s",
		       reason && *reason ? reason
		       : phase           ? phase
					 : "Unknown");
	if (!summarize_init(&summary, pod) || has_condition(pod, "Initialized")) {
		summary.restarts = 0;
		summarize_containers(&summary, pod);
	}
	if (api_string(pod, "metadata.deletionTimestamp") && is_text(reason, "NodeLost"))
		(void)snprintf(summary.status, sizeof(summary.status), "%s", "Unknown");
	else if (api_string(pod, "metadata.deletionTimestamp") && !ended)
		(void)snprintf(summary.status, sizeof(summary.status), "%s", "Terminating");
	return summary;
}

static json_t *ready_cell(const json_t *object, int64_t now_ms)
{
	struct summary summary = summarize(object);
	char text[64];

	(void)now_ms;
	(void)snprintf(text, sizeof(text), "%zu/%zu", summary.ready, summary.total);
	return api_text(text);
}

static json_t *status_cell(const json_t *object, int64_t now_ms)
{
	struct summary summary = summarize(object);

	(void)now_ms;
	return api_text(summary.status);
}

static json_t *restarts_cell(const json_t *object, int64_t now_ms)
{
	struct summary summary = summarize(object);
	char text[64 + API_AGE_SIZE], age[API_AGE_SIZE];

	(void)snprintf(text, sizeof(text), "%lld", (long long)summary.restarts);
	if (summary.restarts && summary.last_restart_ms) {
		api_age_format(age, now_ms - summary.last_restart_ms);
		(void)snprintf(text, sizeof(text), "%lld (%s ago)", (long long)summary.restarts, age);
	}
	return api_text(text);
}

static json_t *age_cell(const json_t *object, int64_t now_ms)
{
	return api_age_cell(object, "metadata.creationTimestamp", now_ms);
}

static json_t *ip_cell(const json_t *object, int64_t now_ms)
{
	const char *address = api_string(json_array_get(api_value(object, "status.podIPs"), 0), "ip");

	(void)now_ms;
	if (!address)
		address = api_string(object, "status.podIP");
	return json_string(address && *address ? address : "<none>");
}

static json_t *gates_cell(const json_t *object, int64_t now_ms)
{
	size_t total = json_array_size(api_value(object, "spec.readinessGates")), met = 0, i;
	char text[64];
	json_t *gate;

	(void)now_ms;
	json_array_foreach(api_value(object, "spec.readinessGates"), i, gate) {
		const char *type = api_string(gate, "conditionType");

		met += type && has_condition(object, type);
	}
	(void)snprintf(text, sizeof(text), "%zu/%zu", met, total);
	return json_string(total ? text : "<none>");
}

const struct api_column api_columns_pod[] = {
	{"Name", "string", 0, "metadata.name", NULL, "The name, unique among its kind in a namespace."},
	{"Ready", "string", 0, NULL, ready_cell, "How many of its containers are ready."},
	{"Status", "string", 0, NULL, status_cell, "What its state comes to."},
	{"Restarts", "string", 0, NULL, restarts_cell, "How often its containers were started again."},
	{"Age", "string", 0, NULL, age_cell, "How long ago it was made."},
	{"IP", "string", 1, NULL, ip_cell, "Its address."},
	{"Node", "string", 1, "spec.nodeName", NULL, "The instance it is bound to."},
	{"Nominated Node", "string", 1, "status.nominatedNodeName", NULL, "Where it will be once there is room."},
	{"Readiness Gates", "string", 1, NULL, gates_cell, "How many of its further conditions hold."},
	{0},
};
