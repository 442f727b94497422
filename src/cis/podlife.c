/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/log.h"
#include "base/str.h"
#include "cis/cis.h"
#include "cis/keyring.h"
#include "cis/podmemory.h"
#include "oci/reference.h"

#define RETRY_FIRST_MS UINT64_C(1000)
#define RETRY_MOST_MS UINT64_C(300000)
#define FORGET_AFTER_MS (INT64_C(24) * 3600 * 1000) /* for uids whose ticket was never seen */
#define GRACE_MOST_S INT64_C(86400)

static void set_timer(struct pod *pod, uint64_t after_ms, loop_timer_fn fn)
{
	loop_remove(pod->timer);
	pod->timer = NULL;
	if (after_ms &&
	    loop_add_timer(pod->cis->loop, clock_monotonic_ns() + after_ms * 1000000, fn, pod, &pod->timer) < 0)
		log_error("cannot set a timer", "uid", pod->uid);
}

static void clear_timer(struct pod *pod)
{
	loop_remove(pod->timer);
	pod->timer = NULL;
}

static uint64_t next_pause(struct pod *pod)
{
	pod->backoff_ms = !pod->backoff_ms                      ? RETRY_FIRST_MS
			  : pod->backoff_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS
								: pod->backoff_ms * 2;
	return pod->backoff_ms;
}

void podlife_save(struct pod *pod)
{
	struct err err = {0};
	json_t *containers;

	if (!pod->recorded)
		return;
	containers = podrun_format(pod);
	if (containers) {
		json_decref(pod->record.containers);
		pod->record.containers = containers;
	}
	if (podrecord_save(pod->cis->pods_state, &pod->record, &err) < 0)
		log_failure("cannot write the record of a pod", &err);
}

static void refuse(struct pod *pod, const struct err *err)
{
	pod->stage = POD_REFUSED;
	(void)snprintf(pod->reason, sizeof(pod->reason), "TicketRefused");
	(void)snprintf(pod->message, sizeof(pod->message), "%s", err->msg);
	podstatus_event(pod, NULL, "Warning", "TicketRefused", err->msg);
	podstatus_changed(pod);
	if (pod->cis->idle)
		pod->cis->idle(pod->cis);
}

/* --- the ticket --- */

struct fetch {
	struct pod *pod;
	struct http_client_config client_config;
	char *path;
	struct buf ticket;
	struct err err;
	int code;
};

static void run_fetch(void *user)
{
	struct fetch *fetch = user;
	struct http_client *client = NULL;

	fetch->code = http_client_new(&fetch->client_config, &client, &fetch->err);
	if (fetch->code == 0)
		fetch->code = outbox_call(client, &fetch->pod->cis->config, "GET", fetch->path, NULL, NULL,
					  &fetch->ticket, &fetch->err);
	http_client_free(client);
}

static void on_retry_fetch(void *user)
{
	podlife_fetch(user);
}

static void done_fetch(void *user)
{
	struct fetch *fetch = user;
	struct pod *pod = fetch->pod;

	pod->busy = false;
	if (pod->deleted) {
		podlife_delete(pod, pod->grace_s);
	} else if (pod->cis->draining) {
		podlife_drain(pod);
	} else if (fetch->code == 0) {
		podlife_offer(pod, fetch->ticket.data ? fetch->ticket.data : "", fetch->ticket.len);
	} else {
		log_warn("cannot get a ticket", "uid", pod->uid, "error", fetch->err.msg);
		set_timer(pod, next_pause(pod), on_retry_fetch);
	}
	buf_done(&fetch->ticket);
	free(fetch->path);
	free(fetch);
}

void podlife_fetch(struct pod *pod)
{
	struct fetch *fetch = calloc(1, sizeof(*fetch));

	if (pod->busy || !fetch) {
		free(fetch);
		return;
	}
	*fetch = (struct fetch){.pod = pod, .client_config = outbox_client_config(&pod->cis->config)};
	fetch->path = str_format("/api/v1/namespaces/%s/pods/%s/ticket", pod->namespace, pod->name);
	pod->busy = true;
	if (fetch->path && work_submit(pod->cis->work, run_fetch, done_fetch, fetch) == 0)
		return;
	pod->busy = false;
	free(fetch->path);
	free(fetch);
	set_timer(pod, next_pause(pod), on_retry_fetch);
}

/* --- from the ticket to the first process --- */

static void on_retry_prepare(void *user);

static void wait_all(struct pod *pod, const char *reason, const char *message)
{
	for (size_t i = 0; i < pod->count; i++) {
		struct container *container = &pod->containers[i];

		if (container->state != CONTAINER_WAITING)
			continue;
		(void)snprintf(container->reason, sizeof(container->reason), "%s", reason);
		(void)snprintf(container->message, sizeof(container->message), "%s", message);
	}
}

static void put_off(struct pod *pod, const char *reason, const struct err *err)
{
	wait_all(pod, reason, err->msg);
	podstatus_event(pod, NULL, "Warning", "Failed", err->msg);
	podstatus_changed(pod);
	set_timer(pod, next_pause(pod), on_retry_prepare);
}

static int attach(struct pod *pod, struct err *err)
{
	CLEANUP_FREE struct network_opening *openings = NULL;
	const char *path = json_string_value(json_object_get(pod->namespaces, "network"));
	struct network_pod network_pod;
	int r;

	if (!path)
		return err_set(err, ERR_INVALID, "the supervisor names no network namespace");
	/* Nothing of the pod runs yet, and the namespace may be another supervisor's than the one connected before. */
	r = network_detach(pod->cis->network, pod->record.address, err);
	if (r < 0)
		return r;
	pod->record.attached = false;
	r = cis_network_pod(pod, &network_pod, &openings, err);
	if (r == 0)
		r = network_attach(pod->cis->network, &network_pod, path, err);
	if (r == 0) {
		pod->record.attached = true;
		podlife_save(pod);
	}
	return r;
}

static int connect_supervisor(struct pod *pod, struct err *err)
{
	struct superlink_handler handler = {.event = podrun_event, .closed = podrun_closed, .user = pod};
	CLEANUP_FREE char *run = podjob_run_dir(pod);

	return run ? superlink_open(pod->cis->loop, run, &handler, &pod->link, err)
		   : err_sys(err, -ENOMEM, "cannot reach the supervisor");
}

/* The network is complete, rules and address, before the first process of the pod exists. NET-2 */
static void on_prepared(struct pod *pod, const char *reason, const struct err *failure)
{
	struct err err = {0};

	if (pod->deleted || pod->cis->draining) {
		podlife_teardown(pod);
		return;
	}
	if (failure) {
		put_off(pod, reason, failure);
		return;
	}
	crashpoint("cis-root-ready");
	if (attach(pod, &err) < 0 || connect_supervisor(pod, &err) < 0) {
		put_off(pod, "CreatePodSandboxError", &err);
		return;
	}
	pod->backoff_ms = 0;
	pod->stage = POD_RUNNING;
	wait_all(pod, "", "");
	podrun_adopt(pod);
}

static void prepare(struct pod *pod)
{
	pod->stage = POD_PREPARING;
	pod->cancelled = false;
	podjob_prepare(pod, on_prepared);
}

static void on_retry_prepare(void *user)
{
	prepare(user);
}

/* What ran when: written before anything of it is there, and when nothing is any more. */
static void tell(const struct pod *pod, const char *what)
{
	char clock[24];

	(void)snprintf(clock, sizeof(clock), "%" PRIu64, clock_monotonic_ns());
	log_info(what, "namespace", pod->namespace, "pod", pod->name, "uid", pod->uid, "domain",
		 pod->admitted.ticket->domain_name, "server", pod->admitted.ticket->server, "clock", clock);
}

static int record(struct pod *pod, const struct buf *payload, struct err *err)
{
	int r = cis_assign(pod, err);
	bool assigned = r == 0;

	if (r == 0)
		r = nodestate_accept(&pod->cis->state, pod->admitted.ticket->epoch, pod->admitted.ticket->server, err);
	if (r == 0)
		r = podrecord_create(pod->cis->pods_state, &pod->record, payload, err);
	pod->recorded = r == 0;
	if (assigned && !pod->recorded)
		pod->cis->ranges[pod->record.range] = false;
	return r;
}

void podlife_offer(struct pod *pod, const char *envelope, size_t len)
{
	CLEANUP_BUF struct buf payload = buf_of(POLICY_TICKET_MAX);
	struct err err = {0};

	if (cis_admit(pod, envelope, len, &payload, &err) < 0) {
		refuse(pod, &err);
		return;
	}
	if (record(pod, &payload, &err) < 0) {
		podstatus_event(pod, NULL, "Warning", "Failed", err.msg);
		admit_done(&pod->admitted);
		free(pod->containers);
		pod->containers = NULL;
		pod->count = 0;
		pod->stage = POD_TICKET;
		set_timer(pod, next_pause(pod), on_retry_fetch);
		return;
	}
	crashpoint("cis-ticket-checked");
	tell(pod, "pod starts");
	pod->backoff_ms = 0;
	prepare(pod);
	podstatus_changed(pod);
}

/* --- without its supervisor --- */

static void on_lost_removed(struct pod *pod, const struct err *failure);

static void on_retry_lost(void *user)
{
	podjob_teardown(user, true, on_lost_removed);
}

static void on_lost_removed(struct pod *pod, const struct err *failure)
{
	struct err err = {0};

	if (!failure && network_detach(pod->cis->network, pod->record.address, &err) < 0)
		failure = &err;
	if (!failure)
		pod->record.attached = false;
	if (pod->deleted || pod->cis->draining) {
		podlife_teardown(pod);
		return;
	}
	if (failure) {
		podstatus_event(pod, NULL, "Warning", "Failed", failure->msg);
		set_timer(pod, next_pause(pod), on_retry_lost);
		return;
	}
	podlife_save(pod);
	prepare(pod);
}

/* So that they are not evicted under running containers. */
static void hold_images(struct pod *pod)
{
	for (size_t i = 0; i < pod->count; i++) {
		struct reference reference;
		struct err err = {0};

		if (reference_parse(pod->containers[i].spec->image, &reference, &err) < 0 ||
		    image_hold(pod->cis->images, &reference.digest, pod->admitted.ticket->domain_name,
			       &pod->containers[i].image, &err) < 0)
			log_failure("cannot hold the image of a running container", &err);
	}
}

/* Whatever ran is counted as killed; nothing of the old supervisor may be left before there is a new one. */
void podlife_lost(struct pod *pod)
{
	superlink_free(take_ptr(pod->link));
	if (pod->stage == POD_STOPPING) {
		for (size_t i = 0; i < pod->count; i++)
			pod->containers[i].state = CONTAINER_EXITED;
		podlife_teardown(pod);
		return;
	}
	if (pod->stage != POD_RUNNING)
		return;
	podstatus_event(pod, NULL, "Warning", "SupervisorLost",
			"the pod's supervisor is gone; its containers are started again");
	for (size_t i = 0; i < pod->count; i++) {
		struct container *container = &pod->containers[i];

		if (container->state != CONTAINER_RUNNING && container->state != CONTAINER_STARTING)
			continue;
		container->last = container->exit;
		container->exit = (struct container_exit){.known = true,
							  .code = 137,
							  .signal = 9,
							  .attempt = container->attempt,
							  .started_ms = container->started_ms,
							  .finished_ms = clock_wall_ms(),
							  .reason = "SupervisorLost"};
		container->state = CONTAINER_WAITING;
		container->attempt++;
		container->restarts++;
	}
	pod->stage = POD_PREPARING;
	podjob_teardown(pod, true, on_lost_removed);
	podstatus_changed(pod);
}

/* --- again after a restart of the service --- */

void podlife_resume(struct pod *pod)
{
	struct err err = {0};

	podrun_restore(pod);
	switch (pod->record.stage) {
	case PODRECORD_FINISHED:
		pod->stage = POD_FINISHED;
		return;
	case PODRECORD_STOPPING:
		pod->stage = POD_STOPPING;
		pod->killed = true;
		if (connect_supervisor(pod, &err) < 0)
			podlife_teardown(pod);
		else
			podrun_adopt(pod);
		return;
	case PODRECORD_ACCEPTED:
		/* What runs is not touched: no pull, no file, no process. */
		if (pod->record.attached && connect_supervisor(pod, &err) == 0) {
			pod->stage = POD_RUNNING;
			hold_images(pod);
			podrun_adopt(pod);
			return;
		}
		pod->stage = POD_PREPARING;
		/* It may have been given up meanwhile: a server that was powered off is charged with nothing. */
		pod->unasked = pod->cis->outbox != NULL;
		if (!pod->unasked)
			podjob_teardown(pod, true, on_lost_removed);
		return;
	}
}

void podlife_listed(struct pod *pod, bool charged)
{
	if (!pod->unasked || pod->deleted)
		return;
	pod->unasked = false;
	if (charged)
		podjob_teardown(pod, true, on_lost_removed);
	else
		podlife_delete(pod, 0);
}

/* --- the end --- */

static void finish(struct pod *pod);

static void on_retry_finish(void *user)
{
	finish(user);
}

/* The logs of a pod with a sensitive image stay in memory until its object goes. */
static int forget_memory(const struct pod *pod, struct err *err)
{
	CLEANUP_FREE char *state = podjob_state_dir(pod), *logs = str_format("%s/logs", state ? state : ""),
			  *volumes = str_format("%s/volumes", state ? state : "");
	int r = state && logs && volumes ? podmemory_close(logs, err) : err_sys(err, -ENOMEM, "cannot forget a pod");

	return r < 0 ? r : podmemory_close(volumes, err);
}

static void finish(struct pod *pod)
{
	struct cis *cis = pod->cis;
	int64_t until = clock_wall_ms() + FORGET_AFTER_MS;
	struct err err = {0};

	keyring_drop(cis->keyring, pod->uid);
	if (pod->recorded && pod->stage != POD_FINISHED)
		tell(pod, "pod has stopped");
	if (pod->admitted.ticket && pod->admitted.ticket->expires_ms + POLICY_CLOCK_SKEW_MS > until)
		until = pod->admitted.ticket->expires_ms + POLICY_CLOCK_SKEW_MS;
	/* First it is remembered as finished, then it is forgotten as accepted: a crash between leaves both, never neither. */
	if (nodestate_finish(&cis->state, pod->uid, until, clock_wall_ms(), &err) < 0) {
		log_failure("cannot note a finished pod", &err);
		set_timer(pod, next_pause(pod), on_retry_finish);
		return;
	}
	if (!pod->deleted) {
		pod->stage = POD_FINISHED;
		pod->record.stage = PODRECORD_FINISHED;
		podlife_save(pod);
		podstatus_changed(pod);
		podstatus_stopped(cis, pod->uid);
		cis_trim(cis);
		if (cis->idle)
			cis->idle(cis);
		return;
	}
	if (pod->recorded && (forget_memory(pod, &err) < 0 || podrecord_remove(cis->pods_state, pod->uid, &err) < 0))
		log_failure("cannot remove the record of a pod", &err);
	log_info("pod is gone", "namespace", pod->namespace, "pod", pod->name, "uid", pod->uid);
	podstatus_stopped(cis, pod->uid);
	cis_forget(pod);
	cis_trim(cis);
	if (cis->idle)
		cis->idle(cis);
}

static void drained(struct pod *pod)
{
	keyring_drop(pod->cis->keyring, pod->uid);
	pod->stage = POD_DRAINED;
	podlife_save(pod);
	podstatus_changed(pod);
	if (pod->cis->idle)
		pod->cis->idle(pod->cis);
}

static void on_removed(struct pod *pod, const struct err *failure);

static void remove_all(void *user)
{
	struct pod *pod = user;

	podjob_teardown(pod, pod->cis->draining && !pod->deleted, on_removed);
}

static void on_removed(struct pod *pod, const struct err *failure)
{
	struct err err = {0};

	/* The pod stays charged and known until everything of it is gone. */
	if (!failure && network_detach(pod->cis->network, pod->record.address, &err) < 0)
		failure = &err;
	if (failure) {
		podstatus_event(pod, NULL, "Warning", "FailedKillPod", failure->msg);
		set_timer(pod, next_pause(pod), remove_all);
		return;
	}
	pod->record.attached = false;
	clear_timer(pod);
	if (pod->cis->draining && !pod->deleted)
		drained(pod);
	else
		finish(pod);
}

static void after_shutdown(void *user)
{
	struct pod *pod = user;

	superlink_free(take_ptr(pod->link));
	remove_all(pod);
}

static void on_shutdown(void *user, const json_t *reply)
{
	struct pod *pod = user;

	(void)reply;
	/* Not from within the line's own callback. */
	if (pod->stage == POD_TEARDOWN)
		set_timer(pod, 1, after_shutdown);
}

void podlife_teardown(struct pod *pod)
{
	struct err err = {0};

	if (pod->stage == POD_TEARDOWN)
		return;
	pod->stage = POD_TEARDOWN;
	clear_timer(pod);
	if (pod->recorded && pod->record.stage == PODRECORD_ACCEPTED && (pod->deleted || !pod->cis->draining)) {
		pod->record.stage = PODRECORD_STOPPING;
		podlife_save(pod);
	}
	if (pod->link && superlink_send(pod->link, json_pack("{s:s}", "op", "shutdown"), on_shutdown, pod, &err) == 0)
		return;
	superlink_free(take_ptr(pod->link));
	remove_all(pod);
}

static void on_grace_over(void *user)
{
	struct pod *pod = user;

	if (pod->stage != POD_STOPPING)
		return;
	pod->killed = true;
	podrun_kill(pod, true);
}

static void stop(struct pod *pod)
{
	pod->stage = POD_STOPPING;
	if (pod->deleted) {
		pod->record.stage = PODRECORD_STOPPING;
		podlife_save(pod);
		crashpoint("cis-deleting");
	}
	for (size_t i = 0; i < pod->count; i++) {
		loop_remove(pod->containers[i].timer);
		pod->containers[i].timer = NULL;
		if (pod->containers[i].state == CONTAINER_RUNNING)
			podstatus_event(pod, pod->containers[i].spec->name, "Normal", "Killing", "stopping container");
	}
	if (podrun_all_down(pod)) {
		podlife_teardown(pod);
		return;
	}
	podrun_kill(pod, pod->grace_s == 0);
	pod->killed = pod->grace_s == 0;
	if (!pod->killed)
		set_timer(pod, (uint64_t)pod->grace_s * 1000, on_grace_over);
}

void podlife_delete(struct pod *pod, int64_t grace_s)
{
	bool sooner = pod->deleted && grace_s < pod->grace_s;

	pod->deleted = true;
	pod->grace_s = grace_s < 0 ? 0 : grace_s > GRACE_MOST_S ? GRACE_MOST_S : grace_s;
	if (pod->busy) {
		pod->cancelled = true;
		return;
	}
	switch (pod->stage) {
	case POD_TICKET:
	case POD_REFUSED:
		clear_timer(pod);
		finish(pod);
		return;
	case POD_FINISHED:
	case POD_DRAINED:
		finish(pod);
		return;
	case POD_PREPARING:
		podlife_teardown(pod);
		return;
	case POD_RUNNING:
		stop(pod);
		return;
	case POD_STOPPING:
		if (sooner && !pod->killed)
			set_timer(pod, pod->grace_s ? (uint64_t)pod->grace_s * 1000 : 1, on_grace_over);
		return;
	case POD_TEARDOWN:
		return;
	}
}

void podlife_drain(struct pod *pod)
{
	if (pod->busy) {
		pod->cancelled = true;
		return;
	}
	switch (pod->stage) {
	case POD_TICKET:
	case POD_REFUSED:
		clear_timer(pod);
		if (pod->cis->idle)
			pod->cis->idle(pod->cis);
		return;
	case POD_PREPARING:
		podlife_teardown(pod);
		return;
	case POD_RUNNING:
		pod->grace_s = pod->admitted.spec->grace_s;
		stop(pod);
		return;
	case POD_STOPPING:
	case POD_TEARDOWN:
	case POD_FINISHED:
	case POD_DRAINED:
		return;
	}
}
