/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "cis/cis.h"
#include "cis/control.h"
#include "cis/heartbeat.h"
#include "cis/logstream.h"
#include "cis/podwatch.h"
#include "crypto/envelope.h"

#define THREADS 8
#define FORGET_AFTER_MS (INT64_C(24) * 3600 * 1000)

struct instance {
	struct cis cis; /* first: cis.idle gets back from here */
	struct podwatch *watch;
	struct heartbeat *heartbeat;
	struct logstream *logs;
	struct control *control;
	bool one_pod;
};

static int64_t grace_of(const json_t *object)
{
	json_int_t grace = api_integer(object, "metadata.deletionGracePeriodSeconds", PODSPEC_GRACE_DEFAULT);

	return grace < 0 ? 0 : grace;
}

static bool is_terminal(const json_t *object)
{
	const char *phase = api_string(object, "status.phase");

	return phase && (str_eq(phase, "Succeeded") || str_eq(phase, "Failed"));
}

/* A pod the service did not know. One that ended elsewhere in time is only seen off. */
static void take(struct cis *cis, const json_t *object, const char *uid)
{
	const char *namespace = api_string(object, "metadata.namespace"), *name = api_string(object, "metadata.name");
	bool deleted = api_string(object, "metadata.deletionTimestamp") != NULL;
	struct pod *pod;

	if (cis->draining || (is_terminal(object) && !deleted) || !namespace || !name || !str_is_dns_label(uid))
		return;
	pod = cis_add(cis, uid, namespace, name);
	if (!pod) {
		log_error("cannot take another pod", "uid", uid);
		return;
	}
	if (deleted)
		podlife_delete(pod, 0);
	else
		podlife_fetch(pod);
}

static void on_change(void *user, const char *type, json_t *object)
{
	struct cis *cis = user;
	const char *uid = api_string(object, "metadata.uid"), *node = api_string(object, "spec.nodeName");
	struct pod *pod = uid ? cis_find(cis, uid) : NULL;

	if (!uid || !node || !str_eq(node, cis->config.instance))
		return;
	if (str_eq(type, "DELETED")) {
		if (pod)
			podlife_delete(pod, 0);
	} else if (!pod) {
		take(cis, object, uid);
	} else if (api_string(object, "metadata.deletionTimestamp")) {
		podlife_delete(pod, grace_of(object));
	}
}

static bool is_listed(const json_t *items, const char *uid)
{
	const json_t *item;
	size_t i;

	json_array_foreach(items, i, item) {
		const char *own = api_string(item, "metadata.uid");

		if (own && str_eq(own, uid))
			return true;
	}
	return false;
}

static bool is_holder(const json_t *holders, const char *uid)
{
	const json_t *holder;
	size_t i;

	json_array_foreach(holders, i, holder)
		if (json_is_string(holder) && str_eq(json_string_value(holder), uid))
			return true;
	return false;
}

/* What the CISM charges to this instance and is neither here nor to come: it is told so, and remembered. */
static void confirm_absent(struct cis *cis, const json_t *items, const json_t *holders)
{
	const json_t *holder;
	size_t i;

	json_array_foreach(holders, i, holder) {
		const char *uid = json_string_value(holder);
		struct err err = {0};

		if (!uid || !str_is_dns_label(uid) || cis_find(cis, uid) || is_listed(items, uid))
			continue;
		if (nodestate_finish(&cis->state, uid, clock_wall_ms() + FORGET_AFTER_MS, clock_wall_ms(), &err) < 0)
			log_failure("cannot note a finished pod", &err);
		else
			podstatus_stopped(cis, uid);
	}
}

static void on_list(void *user, const json_t *items, const json_t *holders)
{
	struct cis *cis = user;
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)items, i, item)
		on_change(cis, "ADDED", item);
	/* Objects that went while nobody looked. From the end: pods may leave the list. */
	for (i = cis->pod_count; i > 0; i--) {
		if (i <= cis->pod_count && !is_listed(items, cis->pods[i - 1]->uid))
			podlife_delete(cis->pods[i - 1], 0);
	}
	for (i = cis->pod_count; i > 0; i--)
		if (i <= cis->pod_count)
			podlife_listed(cis->pods[i - 1], is_holder(holders, cis->pods[i - 1]->uid));
	confirm_absent(cis, items, holders);
	/* What was reported while the CISM was away may have been dropped. */
	for (i = 0; i < cis->pod_count; i++) {
		if (cis->pods[i]->recorded || cis->pods[i]->stage == POD_REFUSED)
			podstatus_changed(cis->pods[i]);
	}
	for (i = 0; i < cis->state.count; i++) {
		if (!cis->state.finished[i].confirmed)
			podstatus_stopped(cis, cis->state.finished[i].uid);
	}
}

static void on_contact(void *user, const char *reason)
{
	(void)user;
	if (reason)
		log_warn("the CISM does not answer; pods keep running", "error", reason);
	else
		log_info("connected to the CISM");
}

static void on_idle(struct cis *cis)
{
	struct instance *service = (struct instance *)cis;

	if (service->control)
		control_idle(service->control);
	if (service->one_pod && cis_is_idle(cis))
		loop_stop(cis->loop, 0);
}

static void on_signal(void *user, const struct signalfd_siginfo *info)
{
	struct instance *service = user;

	(void)info;
	if (!service->one_pod) {
		loop_stop(service->cis.loop, 0);
		return;
	}
	for (size_t i = service->cis.pod_count; i > 0; i--)
		podlife_delete(service->cis.pods[i - 1], service->cis.pods[i - 1]->admitted.spec
								 ? service->cis.pods[i - 1]->admitted.spec->grace_s
								 : 0);
	if (!service->cis.pod_count)
		loop_stop(service->cis.loop, 0);
}

static int catch_signals(struct instance *service, struct err *err)
{
	struct loop_source *source;
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)signal(SIGPIPE, SIG_IGN);
	r = loop_add_signals(service->cis.loop, &set, on_signal, service, &source);
	return r < 0 ? err_sys(err, r, "cannot wait for signals") : 0;
}

/* The pod's name stands in the ticket itself; who it is offered for is what it says. */
static int take_ticket(struct instance *service, const char *path, struct err *err)
{
	CLEANUP_BUF struct buf envelope = buf_of(CRYPTO_ENVELOPE_MAX), payload = buf_of(POLICY_TICKET_MAX);
	CLEANUP(cleanup_policy_ticket) struct policy_ticket *ticket = NULL;
	struct pod *pod;
	int r = fdio_read_file(AT_FDCWD, path, &envelope, err);

	if (r == 0)
		r = crypto_envelope_open(service->cis.config.ca, CRYPTO_PURPOSE_BINDING, envelope.data, envelope.len,
					 &payload, err);
	if (r == 0)
		r = policy_ticket_parse(payload.data, payload.len, &ticket, err);
	if (r < 0)
		return err_prefix(err, "ticket '%s' refused", path);
	pod = cis_find(&service->cis, ticket->uid);
	if (pod)
		return 0; /* it was accepted before, and is resumed */
	pod = cis_add(&service->cis, ticket->uid, ticket->namespace, ticket->name);
	if (!pod)
		return err_sys(err, -ENOMEM, "cannot take the pod");
	podlife_offer(pod, envelope.data, envelope.len);
	if (pod->stage == POD_REFUSED)
		return err_set(err, ERR_DENIED, "%s", pod->message);
	return 0;
}

static int connect_cism(struct instance *service, struct err *err)
{
	struct podwatch_handler handler = {.list = on_list,
					   .change = on_change,
					   .contact = on_contact,
					   .user = &service->cis};
	int r = podwatch_new(service->cis.loop, &service->cis.config, &handler, &service->watch, err);

	if (r == 0)
		r = heartbeat_new(&service->cis, &service->heartbeat, err);
	if (r == 0)
		r = logstream_new(&service->cis, &service->logs, err);
	return r;
}

static void tell_ready(int fd)
{
	if (fd < 0)
		return;
	if (fdio_write_all(fd, "1", 1) < 0)
		log_warn("cannot tell that the service is ready");
	(void)close(fd);
}

static int serve(struct instance *service, const struct instance_options *options, struct err *err)
{
	struct cis *cis = &service->cis;
	int r = loop_new(&cis->loop, err);

	if (r == 0)
		r = catch_signals(service, err);
	if (r == 0)
		r = work_new(cis->loop, THREADS, &cis->work, err);
	if (r == 0 && !service->one_pod)
		r = outbox_new(cis->loop, &cis->config, &cis->outbox, err);
	if (r == 0)
		r = cis_open(cis, err);
	if (r == 0)
		r = control_new(cis, &service->control, err);
	if (r < 0)
		return r;
	cis->idle = on_idle;
	cis_resume(cis);
	r = service->one_pod ? take_ticket(service, options->ticket, err) : connect_cism(service, err);
	if (r < 0)
		return r;
	log_info("the instance serves", "instance", cis->config.instance);
	tell_ready(options->ready_fd);
	r = loop_run(cis->loop);
	return r < 0 ? err_sys(err, r, "the event loop failed") : 0;
}

/* Jobs that run are waited for, so that nothing works on what is freed. */
static void end(struct instance *service)
{
	struct cis *cis = &service->cis;

	podwatch_free(service->watch);
	logstream_free(service->logs);
	for (size_t i = 0; i < cis->pod_count; i++)
		cis->pods[i]->cancelled = true;
	work_free(cis->work);
	outbox_free(cis->outbox);
	heartbeat_free(service->heartbeat);
	control_free(service->control);
	cis_close(cis);
	loop_free(cis->loop);
	nodeconfig_done(&cis->config);
}

int instance_run(const struct instance_options *options, struct err *err)
{
	struct instance *service = calloc(1, sizeof(*service));
	int r;

	if (!service)
		return err_sys(err, -ENOMEM, "cannot start the service");
	service->cis.images_dir = -1;
	/* What it passes on while it downloads, and what it is told, is not to be swapped. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		log_warn("the service's memory may be swapped: it cannot be locked");
	service->one_pod = options->ticket != NULL;
	r = nodeconfig_load(&options->paths, &service->cis.config, err);
	if (r == 0)
		r = serve(service, options, err);
	/* With its one pod gone nothing needs the bridge. */
	if (service->one_pod && service->cis.network && cis_is_idle(&service->cis)) {
		struct err failure = {0};

		if (cis_withdraw(&service->cis, &failure) < 0)
			log_failure("cannot remove the pod network", &failure);
	}
	end(service);
	free(service);
	return r;
}
