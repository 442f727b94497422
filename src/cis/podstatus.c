/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "cis/cis.h"

#define COMPONENT "bulkhead-cis"

static json_t *stamp(int64_t wall_ms)
{
	char text[CLOCK_STAMP_SIZE];

	if (wall_ms <= 0)
		return json_null();
	clock_format(text, wall_ms);
	return json_string(text);
}

static json_t *container_id(const struct pod *pod, const struct container *container, unsigned attempt)
{
	return json_sprintf("bulkhead://%s-%s-%u", pod->uid, container->spec->name, attempt);
}

static json_t *format_exit(const struct pod *pod, const struct container *container, const struct container_exit *ended)
{
	json_t *state = json_pack("{s:i, s:s, s:o, s:o, s:o}", "exitCode", ended->code, "reason", ended->reason,
				  "startedAt", stamp(ended->started_ms), "finishedAt", stamp(ended->finished_ms),
				  "containerID", container_id(pod, container, ended->attempt));

	if (ended->signal)
		(void)json_object_set_new(state, "signal", json_integer(ended->signal));
	if (ended->message[0])
		(void)json_object_set_new(state, "message", json_string(ended->message));
	return json_pack("{s:o}", "terminated", state);
}

static json_t *format_waiting(const char *reason, const char *message)
{
	json_t *waiting = json_pack("{s:s}", "reason", reason);

	if (message[0])
		(void)json_object_set_new(waiting, "message", json_string(message));
	return json_pack("{s:o}", "waiting", waiting);
}

static json_t *format_state(const struct pod *pod, const struct container *container)
{
	switch (container->state) {
	case CONTAINER_RUNNING:
		return json_pack("{s:{s:o}}", "running", "startedAt", stamp(container->started_ms));
	case CONTAINER_EXITED:
		if (container->exit.known)
			return format_exit(pod, container, &container->exit);
		return format_waiting("ContainerCreating", "");
	case CONTAINER_WAITING:
	case CONTAINER_STARTING:
		break;
	}
	if (container->reason[0])
		return format_waiting(container->reason, container->message);
	return format_waiting(container->spec->init || pod->admitted.spec->init_count == 0 ? "ContainerCreating"
											   : "PodInitializing",
			      "");
}

/* The digest alone is what the kind demands of imageID: "host/repository@sha256:…". */
static json_t *format_container(const struct pod *pod, const struct container *container)
{
	bool running = container->state == CONTAINER_RUNNING;
	bool ready = container->spec->init ? container->settled && container->exit.known && container->exit.code == 0
					   : running;
	json_t *status = json_pack("{s:s, s:s, s:s, s:b, s:b, s:i, s:o}", "name", container->spec->name, "image",
				   container->spec->image, "imageID", container->image ? container->spec->image : "",
				   "ready", ready, "started", running, "restartCount", (int)container->restarts,
				   "state", format_state(pod, container));
	const struct container_exit *last = container->state == CONTAINER_EXITED ? &container->last : &container->exit;

	if (running)
		(void)json_object_set_new(status, "containerID", container_id(pod, container, container->attempt));
	else if (container->exit.known)
		(void)json_object_set_new(status, "containerID", container_id(pod, container, container->exit.attempt));
	if (last->known)
		(void)json_object_set_new(status, "lastState", format_exit(pod, container, last));
	else
		(void)json_object_set_new(status, "lastState", json_object());
	return status;
}

struct summary {
	bool initialized, ready, all_settled, any_failed, any_started;
};

static struct summary summarize(const struct pod *pod)
{
	struct summary sum = {.initialized = true, .ready = pod->count > 0, .all_settled = pod->count > 0};

	for (size_t i = 0; i < pod->count; i++) {
		const struct container *container = &pod->containers[i];
		bool success = container->exit.known && container->exit.code == 0;

		if (container->spec->init) {
			sum.initialized = sum.initialized && container->settled && success;
			sum.any_failed = sum.any_failed || (container->settled && !success);
			continue;
		}
		sum.ready = sum.ready && container->state == CONTAINER_RUNNING;
		sum.all_settled = sum.all_settled && container->settled;
		sum.any_failed = sum.any_failed || (container->settled && !success);
		sum.any_started = sum.any_started || container->state == CONTAINER_RUNNING || container->exit.known;
	}
	return sum;
}

static const char *phase_of(const struct pod *pod, const struct summary *sum)
{
	bool ended = sum->all_settled || (pod->count && !sum->initialized && sum->any_failed);

	if (pod->stage == POD_REFUSED)
		return "Failed";
	if (pod->stage == POD_FINISHED || (pod->count && ended))
		return sum->any_failed ? "Failed" : "Succeeded";
	return sum->initialized && sum->any_started ? "Running" : "Pending";
}

static json_t *condition(const char *type, bool holds, const char *reason, int64_t since_ms)
{
	json_t *object = json_pack("{s:s, s:s, s:o, s:n}", "type", type, "status", holds ? "True" : "False",
				   "lastTransitionTime", stamp(since_ms), "lastProbeTime");

	if (!holds && reason)
		(void)json_object_set_new(object, "reason", json_string(reason));
	return object;
}

static json_t *format_conditions(const struct pod *pod)
{
	const char *why = pod->stage == POD_FINISHED ? "PodCompleted" : "ContainersNotReady";

	return json_pack("[o, o, o, o]",
			 condition("Initialized", pod->was_initialized, "ContainersNotInitialized",
				   pod->initialized_ms),
			 condition("Ready", pod->was_ready, why, pod->ready_ms),
			 condition("ContainersReady", pod->was_ready, why, pod->ready_ms),
			 condition("PodScheduled", true, NULL, pod->started_ms));
}

/* Notes when a condition changed. */
static void note_conditions(struct pod *pod)
{
	struct summary sum = summarize(pod);
	bool ready = sum.ready && pod->stage == POD_RUNNING, initialized = sum.initialized && pod->count;

	if (ready != pod->was_ready || !pod->ready_ms)
		pod->ready_ms = clock_wall_ms();
	if (initialized != pod->was_initialized || !pod->initialized_ms)
		pod->initialized_ms = clock_wall_ms();
	pod->was_ready = ready;
	pod->was_initialized = initialized;
}

static void add_containers(const struct pod *pod, json_t *status)
{
	json_t *init = json_array(), *rest = json_array();

	for (size_t i = 0; i < pod->count; i++)
		(void)json_array_append_new(pod->containers[i].spec->init ? init : rest,
					    format_container(pod, &pod->containers[i]));
	if (pod->count)
		(void)json_object_set(status, "containerStatuses", rest);
	if (json_array_size(init))
		(void)json_object_set(status, "initContainerStatuses", init);
	json_decref(init);
	json_decref(rest);
}

json_t *podstatus_build(const struct pod *pod)
{
	struct summary sum = summarize(pod);
	json_t *status = json_pack("{s:s, s:o, s:s, s:o, s:s}", "phase", phase_of(pod, &sum), "conditions",
				   format_conditions(pod), "hostIP", "127.0.0.1", "startTime", stamp(pod->started_ms),
				   "qosClass", "Burstable");

	if (pod->address[0] && pod->stage != POD_FINISHED) {
		(void)json_object_set_new(status, "podIP", json_string(pod->address));
		(void)json_object_set_new(status, "podIPs", json_pack("[{s:s}]", "ip", pod->address));
	}
	if (pod->reason[0]) {
		(void)json_object_set_new(status, "reason", json_string(pod->reason));
		(void)json_object_set_new(status, "message", json_string(pod->message));
	}
	add_containers(pod, status);
	return status;
}

struct sent {
	struct cis *cis;
	char uid[PODRECORD_UID_MAX];
};

static void send_status(struct pod *pod);

static void on_sent(void *user, int code)
{
	struct sent *sent = user;
	struct pod *pod = cis_find(sent->cis, sent->uid);

	free(sent);
	if (!pod)
		return;
	pod->status_busy = false;
	if (code < 0 && code != ERR_NOT_FOUND)
		log_warn("cannot report the status of a pod", "pod", pod->name, "uid", pod->uid, "reason",
			 err_reason(code));
	if (pod->status_dirty)
		send_status(pod);
}

/* Without a CISM the status goes to standard output, one line a change. */
static void print_status(struct pod *pod, const json_t *status)
{
	json_t *line = json_pack("{s:s, s:s, s:s, s:O}", "uid", pod->uid, "namespace", pod->namespace, "name",
				 pod->name, "status", status);
	CLEANUP_FREE char *text = json_dumps(line, JSON_COMPACT);

	json_decref(line);
	if (!text || fdio_write_all(STDOUT_FILENO, text, strlen(text)) < 0 ||
	    fdio_write_all(STDOUT_FILENO, "\n", 1) < 0)
		log_warn("cannot print the status", "uid", pod->uid);
}

static void send_status(struct pod *pod)
{
	json_t *status;
	struct sent *sent;

	note_conditions(pod);
	status = podstatus_build(pod);
	pod->status_dirty = false;
	if (!pod->cis->outbox) {
		print_status(pod, status);
		json_decref(status);
		return;
	}
	sent = calloc(1, sizeof(*sent));
	if (!sent) {
		json_decref(status);
		return;
	}
	sent->cis = pod->cis;
	memcpy(sent->uid, pod->uid, sizeof(sent->uid));
	pod->status_busy = true;
	outbox_put(pod->cis->outbox, (struct outbox_call){.method = "PATCH",
							  .path = str_format("/api/v1/namespaces/%s/pods/%s/status",
									     pod->namespace, pod->name),
							  .type = OUTBOX_MERGE_PATCH,
							  .body = json_pack("{s:{s:s}, s:o}", "metadata", "uid",
									    pod->uid, "status", status),
							  .keep = true,
							  .done = on_sent,
							  .user = sent});
}

void podstatus_changed(struct pod *pod)
{
	pod->status_dirty = true;
	if (!pod->status_busy)
		send_status(pod);
}

static void on_stopped(void *user, int code)
{
	struct sent *sent = user;
	struct err err = {0};

	/* What was not confirmed is told again after the next list. */
	if (code == 0 && nodestate_confirm(&sent->cis->state, sent->uid, &err) < 0)
		log_failure("cannot note a confirmed stop", &err);
	else if (code < 0)
		log_warn("the CISM did not take the confirmation of a stop", "uid", sent->uid, "reason",
			 err_reason(code));
	free(sent);
}

void podstatus_stopped(struct cis *cis, const char *uid)
{
	struct sent *sent = cis->outbox ? calloc(1, sizeof(*sent)) : NULL;

	if (!sent)
		return;
	sent->cis = cis;
	(void)snprintf(sent->uid, sizeof(sent->uid), "%s", uid);
	outbox_put(cis->outbox,
		   (struct outbox_call){.method = "POST",
					.path = str_format("/api/v1/nodes/%s/stopped", cis->config.instance),
					.type = OUTBOX_JSON,
					.body = json_pack("{s:[s]}", "uids", uid),
					.keep = true,
					.done = on_stopped,
					.user = sent});
}

void podstatus_event(struct pod *pod, const char *container, const char *type, const char *reason, const char *message)
{
	static atomic_uint counter;
	char now[CLOCK_STAMP_SIZE];
	json_t *object, *event;

	if (str_eq(type, "Warning"))
		log_warn(message, "reason", reason, "namespace", pod->namespace, "pod", pod->name, "uid", pod->uid);
	else
		log_info(message, "reason", reason, "namespace", pod->namespace, "pod", pod->name, "uid", pod->uid);
	if (!pod->cis->outbox)
		return;
	clock_format(now, clock_wall_ms());
	object = json_pack("{s:s, s:s, s:s, s:s, s:s}", "apiVersion", "v1", "kind", "Pod", "namespace", pod->namespace,
			   "name", pod->name, "uid", pod->uid);
	if (container)
		(void)json_object_set_new(object, "fieldPath", json_sprintf("spec.containers{%s}", container));
	event = json_pack("{s:s, s:s, s:{s:o, s:s}, s:o, s:s, s:s, s:{s:s, s:s}, s:s, s:s, s:i, s:s, s:s, s:s}",
			  "apiVersion", "v1", "kind", "Event", "metadata", "name",
			  json_sprintf("%.200s.%llx%x", pod->name, (unsigned long long)clock_wall_ms(),
				       atomic_fetch_add(&counter, 1u)),
			  "namespace", pod->namespace, "involvedObject", object, "reason", reason, "message", message,
			  "source", "component", COMPONENT, "host", pod->cis->config.instance, "firstTimestamp", now,
			  "lastTimestamp", now, "count", 1, "type", type, "reportingComponent", COMPONENT,
			  "reportingInstance", pod->cis->config.instance);
	outbox_put(pod->cis->outbox,
		   (struct outbox_call){.method = "POST",
					.path = str_format("/api/v1/namespaces/%s/events", pod->namespace),
					.type = OUTBOX_JSON,
					.body = event});
}
