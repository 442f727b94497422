/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/log.h"
#include "base/str.h"
#include "cis/cis.h"

#define BACKOFF_FIRST_MS UINT64_C(10000)
#define BACKOFF_MOST_MS UINT64_C(300000)
#define BACKOFF_FORGET_MS INT64_C(600000) /* a run as long as this starts over */
#define EXIT_START_FAILED 128

static struct container *find(struct pod *pod, const char *name)
{
	for (size_t i = 0; name && i < pod->count; i++) {
		if (str_eq(pod->containers[i].spec->name, name))
			return &pod->containers[i];
	}
	return NULL;
}

static void tell(struct container *container, const char *type, const char *reason, const char *message)
{
	podstatus_event(container->pod, container->spec->name, type, reason, message);
}

static int64_t time_of(const json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));
	int64_t wall_ms;

	return text && clock_parse(text, &wall_ms) == 0 ? wall_ms : clock_wall_ms();
}

/* Reads how a run ended from the supervisor's words. Memory first: the signal is only how it was done. */
static void read_exit(const json_t *row, struct container_exit *to)
{
	const char *error = json_string_value(json_object_get(row, "error"));

	memset(to, 0, sizeof(*to));
	to->known = true;
	to->attempt = (unsigned)json_integer_value(json_object_get(row, "attempt"));
	to->signal = (int)json_integer_value(json_object_get(row, "signal"));
	to->code = (int)json_integer_value(json_object_get(row, "exitCode"));
	if (to->signal > 0 && to->code == 0)
		to->code = 128 + to->signal;
	to->oom = json_is_true(json_object_get(row, "oomKilled"));
	to->started_ms = time_of(row, "startedAt");
	to->finished_ms = time_of(row, "finishedAt");
	(void)snprintf(to->reason, sizeof(to->reason), "%s", to->oom ? "OOMKilled" : to->code ? "Error" : "Completed");
	(void)snprintf(to->message, sizeof(to->message), "%s", error ? error : "");
}

static bool is_to_restart(const struct container *container)
{
	bool failed = container->exit.code != 0;

	if (container->pod->stage != POD_RUNNING)
		return false;
	switch (container->pod->admitted.spec->restart) {
	case PODSPEC_RESTART_ALWAYS:
		return failed || !container->spec->init;
	case PODSPEC_RESTART_ON_FAILURE:
		return failed;
	case PODSPEC_RESTART_NEVER:
		return false;
	}
	return false;
}

static void schedule(struct container *container)
{
	uint64_t pause = container->backoff_ms;
	char message[CIS_MESSAGE_SIZE];

	if (container->exit.finished_ms - container->exit.started_ms >= BACKOFF_FORGET_MS)
		pause = 0;
	container->attempt++;
	container->restarts++;
	container->state = CONTAINER_WAITING;
	container->start_at_ns = clock_monotonic_ns() + pause * 1000000;
	container->backoff_ms = !pause ? BACKOFF_FIRST_MS : pause * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : pause * 2;
	container->reason[0] = container->message[0] = '\0';
	if (!pause)
		return;
	(void)snprintf(container->reason, sizeof(container->reason), "CrashLoopBackOff");
	(void)snprintf(message, sizeof(message), "back-off %llu s before container '%s' is started again",
		       (unsigned long long)pause / 1000, container->spec->name);
	(void)snprintf(container->message, sizeof(container->message), "%s", message);
	tell(container, "Warning", "BackOff", message);
}

static void on_deleted(void *user, const json_t *reply)
{
	struct container *container = user;
	const char *error = json_string_value(json_object_get(reply, "error"));

	container->deleting = false;
	if (reply && !json_is_true(json_object_get(reply, "ok")))
		log_warn("cannot remove a run of a container", "uid", container->pod->uid, "container",
			 container->spec->name, "error", error);
}

static void delete_run(struct container *container)
{
	struct err err = {0};

	if (!container->pod->link)
		return;
	container->deleting = true;
	if (superlink_send(container->pod->link,
			   json_pack("{s:s, s:s}", "op", "delete", "container", container->spec->name), on_deleted,
			   container, &err) < 0) {
		container->deleting = false;
		log_failure("cannot remove a run of a container", &err);
	}
}

/* A run has ended; exit says how. */
static void ended(struct container *container, const struct container_exit *exit, bool started)
{
	struct pod *pod = container->pod;

	container->last = container->exit;
	container->exit = *exit;
	container->state = CONTAINER_EXITED;
	if (is_to_restart(container))
		schedule(container);
	else
		container->settled = pod->stage == POD_RUNNING;
	podlife_save(pod);
	/* Only what is on disk may be forgotten by the supervisor: otherwise a crash in between has it run again. */
	if (started)
		delete_run(container);
	podstatus_changed(pod);
	if (pod->adopting)
		return;
	if (pod->stage == POD_STOPPING && podrun_all_down(pod))
		podlife_teardown(pod);
	else
		podrun_advance(pod);
}

static void start_failed(struct container *container, const char *why)
{
	struct container_exit exit = {.known = true, .code = EXIT_START_FAILED, .attempt = container->attempt};
	char message[CIS_MESSAGE_SIZE];

	exit.started_ms = exit.finished_ms = clock_wall_ms();
	(void)snprintf(exit.reason, sizeof(exit.reason), "StartError");
	(void)snprintf(exit.message, sizeof(exit.message), "%s", why);
	(void)snprintf(message, sizeof(message), "cannot start container '%s': %.400s", container->spec->name, why);
	tell(container, "Warning", "Failed", message);
	ended(container, &exit, true);
}

/* A start that was asked for: by its answer the container may be at another run already. */
struct start {
	struct container *container;
	unsigned attempt;
};

static void on_started(void *user, const json_t *reply)
{
	CLEANUP_FREE struct start *asked = user;
	struct container *container = asked->container;
	const char *error = json_string_value(json_object_get(reply, "error"));
	char message[CIS_MESSAGE_SIZE];

	/* A broken line is told by its own callback. It may also have ended before it was known to run. */
	if (!reply || container->state != CONTAINER_STARTING || container->attempt != asked->attempt)
		return;
	if (!json_is_true(json_object_get(reply, "ok"))) {
		start_failed(container, error ? error : "the supervisor says nothing");
		return;
	}
	crashpoint("cis-started");
	container->state = CONTAINER_RUNNING;
	container->started_ms = clock_wall_ms();
	container->reason[0] = container->message[0] = '\0';
	(void)snprintf(message, sizeof(message), "started container '%s'", container->spec->name);
	tell(container, "Normal", "Started", message);
	podstatus_changed(container->pod);
	if (container->pod->stage == POD_STOPPING)
		podrun_kill(container->pod, container->pod->killed);
}

static void start(struct container *container)
{
	struct pod *pod = container->pod;
	CLEANUP_FREE char *run = podjob_run_dir(pod);
	char message[CIS_MESSAGE_SIZE];
	struct start *asked = malloc(sizeof(*asked));
	struct err err = {0};
	json_t *request;

	if (!run || !asked) {
		free(asked);
		return;
	}
	*asked = (struct start){.container = container, .attempt = container->attempt};
	(void)snprintf(message, sizeof(message), "created container '%s'", container->spec->name);
	tell(container, "Normal", "Created", message);
	container->state = CONTAINER_STARTING;
	request = json_pack("{s:s, s:s, s:o, s:o, s:i}", "op", "start", "container", container->spec->name, "id",
			    json_sprintf("%s-%s-%u", pod->uid, container->spec->name, container->attempt), "bundle",
			    json_sprintf("%s/bundles/%s", run, container->spec->name), "attempt",
			    (int)container->attempt);
	if (superlink_send(pod->link, request, on_started, asked, &err) < 0) {
		free(asked);
		start_failed(container, err.msg);
	}
}

static void on_timer(void *user)
{
	struct container *container = user;

	podrun_advance(container->pod);
}

/* Starts it now, or when its pause is over. */
static void try_start(struct container *container)
{
	uint64_t now = clock_monotonic_ns();

	if (container->state != CONTAINER_WAITING || container->settled || !container->pod->link)
		return;
	if (now >= container->start_at_ns) {
		start(container);
		return;
	}
	if (container->timer)
		loop_set_timer(container->timer, container->start_at_ns);
	else if (loop_add_timer(container->pod->cis->loop, container->start_at_ns, on_timer, container,
				&container->timer) < 0)
		start(container);
}

static bool is_done_well(const struct container *container)
{
	return container->settled && container->exit.known && container->exit.code == 0;
}

void podrun_advance(struct pod *pod)
{
	bool all_settled = true;

	if (pod->stage != POD_RUNNING)
		return;
	for (size_t i = 0; i < pod->count; i++) {
		struct container *container = &pod->containers[i];

		if (!container->spec->init)
			break;
		if (is_done_well(container))
			continue;
		if (container->settled)
			podlife_teardown(pod);
		else
			try_start(container);
		return;
	}
	for (size_t i = 0; i < pod->count && pod->stage == POD_RUNNING; i++) {
		struct container *container = &pod->containers[i];

		if (container->spec->init)
			continue;
		all_settled = all_settled && container->settled;
		try_start(container);
	}
	if (all_settled && pod->stage == POD_RUNNING)
		podlife_teardown(pod);
}

void podrun_event(void *user, const json_t *event)
{
	struct pod *pod = user;
	const char *name = json_string_value(json_object_get(event, "container"));
	struct container *container = find(pod, name ? name : json_string_value(json_object_get(event, "name")));
	struct container_exit exit;

	if (!container || !str_eq(json_string_value(json_object_get(event, "event")), "exited"))
		return;
	read_exit(event, &exit);
	/* What is told twice, or of a run that was settled before a restart of this service, is old. */
	if (exit.attempt != container->attempt ||
	    (container->state != CONTAINER_RUNNING && container->state != CONTAINER_STARTING))
		return;
	ended(container, &exit, true);
}

void podrun_closed(void *user)
{
	podlife_lost(user);
}

static void adopt_row(struct pod *pod, const json_t *row)
{
	struct container *container = find(pod, json_string_value(json_object_get(row, "name")));
	const char *state = json_string_value(json_object_get(row, "state"));
	struct container_exit exit;

	if (!container || !state)
		return;
	read_exit(row, &exit);
	if (str_eq(state, "running")) {
		container->attempt = exit.attempt;
		container->state = CONTAINER_RUNNING;
		container->started_ms = exit.started_ms;
	} else if (container->exit.known && container->exit.attempt == exit.attempt) {
		delete_run(container);
	} else {
		container->attempt = exit.attempt;
		container->state = CONTAINER_RUNNING;
		ended(container, &exit, true);
	}
}

static void on_adopted(void *user, const json_t *reply)
{
	struct pod *pod = user;
	const json_t *row;
	size_t i;

	if (!reply)
		return;
	pod->adopting = true;
	json_array_foreach(json_object_get(reply, "containers"), i, row)
		adopt_row(pod, row);
	pod->adopting = false;
	podlife_save(pod);
	podstatus_changed(pod);
	if (pod->stage == POD_STOPPING)
		podrun_kill(pod, pod->killed);
	if (pod->stage == POD_STOPPING && podrun_all_down(pod))
		podlife_teardown(pod);
	else
		podrun_advance(pod);
}

void podrun_adopt(struct pod *pod)
{
	struct err err = {0};

	if (superlink_send(pod->link, json_pack("{s:s}", "op", "status"), on_adopted, pod, &err) < 0) {
		log_failure("cannot ask a supervisor", &err);
		podlife_lost(pod);
	}
}

static int stop_signal(const struct container *container)
{
	const char *name = container->image ? container->image->config.stop_signal : NULL;
	uint64_t number;

	if (!name)
		return SIGTERM;
	if (str_parse_u64(name, 64, &number) == 0 && number > 0)
		return (int)number;
	if (str_starts(name, "SIG"))
		name += 3;
	for (int i = 1; i < SIGRTMIN; i++) {
		if (sigabbrev_np(i) && str_eq(sigabbrev_np(i), name))
			return i;
	}
	return SIGTERM;
}

void podrun_kill(struct pod *pod, bool hard)
{
	for (size_t i = 0; i < pod->count; i++) {
		struct container *container = &pod->containers[i];
		int signal = hard ? SIGKILL : stop_signal(container);
		struct err err = {0};

		if (container->state != CONTAINER_RUNNING || !pod->link)
			continue;
		if (superlink_send(pod->link,
				   json_pack("{s:s, s:s, s:i}", "op", "kill", "container", container->spec->name,
					     "signal", signal),
				   NULL, NULL, &err) < 0)
			log_failure("cannot signal a container", &err);
	}
}

bool podrun_all_down(const struct pod *pod)
{
	for (size_t i = 0; i < pod->count; i++) {
		if (pod->containers[i].state == CONTAINER_RUNNING || pod->containers[i].state == CONTAINER_STARTING)
			return false;
	}
	return true;
}

static json_t *format_exit(const struct container_exit *exit)
{
	return json_pack("{s:b, s:i, s:i, s:b, s:I, s:I, s:s, s:s, s:i}", "known", exit->known, "code", exit->code,
			 "signal", exit->signal, "oom", exit->oom, "startedMs", (json_int_t)exit->started_ms,
			 "finishedMs", (json_int_t)exit->finished_ms, "reason", exit->reason, "message", exit->message,
			 "attempt", (int)exit->attempt);
}

static void restore_exit(const json_t *from, struct container_exit *to)
{
	const char *reason = json_string_value(json_object_get(from, "reason")),
		   *message = json_string_value(json_object_get(from, "message"));

	to->known = json_is_true(json_object_get(from, "known"));
	to->code = (int)json_integer_value(json_object_get(from, "code"));
	to->signal = (int)json_integer_value(json_object_get(from, "signal"));
	to->oom = json_is_true(json_object_get(from, "oom"));
	to->started_ms = json_integer_value(json_object_get(from, "startedMs"));
	to->finished_ms = json_integer_value(json_object_get(from, "finishedMs"));
	to->attempt = (unsigned)json_integer_value(json_object_get(from, "attempt"));
	(void)snprintf(to->reason, sizeof(to->reason), "%s", reason ? reason : "");
	(void)snprintf(to->message, sizeof(to->message), "%s", message ? message : "");
}

json_t *podrun_format(const struct pod *pod)
{
	json_t *all = json_object();

	for (size_t i = 0; i < pod->count; i++) {
		const struct container *container = &pod->containers[i];

		if (json_object_set_new(all, container->spec->name,
					json_pack("{s:i, s:i, s:I, s:b, s:o, s:o}", "attempt", (int)container->attempt,
						  "restarts", (int)container->restarts, "backoffMs",
						  (json_int_t)container->backoff_ms, "settled", container->settled,
						  "exit", format_exit(&container->exit), "last",
						  format_exit(&container->last))) < 0) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

void podrun_restore(struct pod *pod)
{
	for (size_t i = 0; i < pod->count; i++) {
		struct container *container = &pod->containers[i];
		const json_t *from = json_object_get(pod->record.containers, container->spec->name);

		container->attempt = (unsigned)json_integer_value(json_object_get(from, "attempt"));
		container->restarts = (unsigned)json_integer_value(json_object_get(from, "restarts"));
		container->backoff_ms = (uint64_t)json_integer_value(json_object_get(from, "backoffMs"));
		container->settled = json_is_true(json_object_get(from, "settled"));
		restore_exit(json_object_get(from, "exit"), &container->exit);
		restore_exit(json_object_get(from, "last"), &container->last);
		container->state = container->settled ? CONTAINER_EXITED : CONTAINER_WAITING;
		/* It was ended with the instance: the next run is another one. */
		if (!container->settled && container->exit.known && container->exit.attempt == container->attempt) {
			container->attempt++;
			container->restarts++;
		}
	}
}
