/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/str.h"
#include "cis/cachecontrol.h"

#define CLIENTS_MAX 32
#define REQUEST_MAX 4096

struct client {
	struct control *control;
	int fd;
	struct loop_source *source;
	bool waits;   /* for all pods to stop */
	bool revokes; /* waits for the pods on what is revoked to stop */
	struct cachecontrol_target target;
};

struct control {
	struct cis *cis;
	char *path;
	int fd;
	struct loop_source *source;
	struct client clients[CLIENTS_MAX];
	size_t drained; /* pods that ran when draining began */
};

static void client_close(struct client *client)
{
	loop_remove(client->source);
	(void)close(client->fd);
	*client = (struct client){.fd = -1};
}

static void answer(struct client *client, json_t *object)
{
	CLEANUP_FREE char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	if (!text || send(client->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		client_close(client);
}

static const char *stage_name(enum pod_stage stage)
{
	static const char *const names[] = {
		[POD_TICKET] = "Ticket",     [POD_REFUSED] = "Refused",   [POD_PREPARING] = "Preparing",
		[POD_RUNNING] = "Running",   [POD_STOPPING] = "Stopping", [POD_TEARDOWN] = "Teardown",
		[POD_FINISHED] = "Finished", [POD_DRAINED] = "Drained",
	};

	return names[stage];
}

static json_t *format_pod(const struct pod *pod)
{
	const struct policy_ticket *ticket = pod->admitted.ticket;
	json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:o}", "uid", pod->uid, "namespace", pod->namespace, "name",
				pod->name, "stage", stage_name(pod->stage), "status", podstatus_build(pod));

	if (ticket)
		(void)json_object_update_new(row, json_pack("{s:s, s:s}", "domain", ticket->domain_name, "server",
							    ticket->server));
	if (pod->address[0])
		(void)json_object_set_new(row, "address", json_string(pod->address));
	if (pod->recorded)
		(void)json_object_set_new(row, "uidBase", json_integer(cis_uid_base(pod)));
	return row;
}

static json_t *format_status(const struct cis *cis)
{
	json_t *pods = json_array();

	for (size_t i = 0; i < cis->pod_count; i++)
		(void)json_array_append_new(pods, format_pod(cis->pods[i]));
	return json_pack("{s:b, s:s, s:I, s:s*, s:o}", "ok", 1, "instance", cis->config.instance, "epoch",
			 (json_int_t)cis->state.epoch, "server", cis->state.server, "pods", pods);
}

void control_drain(struct cis *cis)
{
	cis->draining = true;
	/* From the end: one that comes to rest at once may leave the list. */
	for (size_t i = cis->pod_count; i > 0; i--)
		podlife_drain(cis->pods[i - 1]);
}

static void try_revoke(struct client *client)
{
	json_t *reply = NULL;

	if (cachecontrol_revoke(client->control->cis, &client->target, &reply) == ERR_BUSY)
		return;
	client->revokes = false;
	answer(client, reply);
}

static void revoke_images(struct client *client, const json_t *request)
{
	struct err err = {0};

	if (cachecontrol_read(json_string_value(json_object_get(request, "what")), &client->target, &err) < 0) {
		answer(client, json_pack("{s:b, s:s}", "ok", 0, "error", err.msg));
		return;
	}
	client->revokes = true;
	cachecontrol_stop(client->control->cis, &client->target);
	try_revoke(client);
}

void control_idle(struct control *control)
{
	struct cis *cis = control->cis;
	struct err err = {0};
	int r;

	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (control->clients[i].revokes)
			try_revoke(&control->clients[i]);
	if (!cis->draining || !cis_is_idle(cis))
		return;
	r = cis_withdraw(cis, &err);
	if (r < 0)
		log_failure("cannot remove the pod network", &err);
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		if (!client->waits)
			continue;
		client->waits = false;
		answer(client, r < 0 ? json_pack("{s:b, s:s}", "ok", 0, "error", err.msg)
				     : json_pack("{s:b, s:I}", "ok", 1, "stopped", (json_int_t)control->drained));
	}
}

static void drain(struct client *client)
{
	struct control *control = client->control;

	client->waits = true;
	if (!control->cis->draining) {
		for (size_t i = 0; i < control->cis->pod_count; i++) {
			enum pod_stage stage = control->cis->pods[i]->stage;

			control->drained += stage == POD_RUNNING || stage == POD_PREPARING || stage == POD_STOPPING;
		}
		log_info("stopping all pods of this instance");
		control_drain(control->cis);
	}
	control_idle(control);
}

static void on_request(void *user, int fd, uint32_t events)
{
	struct client *client = user;
	char bytes[REQUEST_MAX];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	const char *op;
	json_t *request;

	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_close(client);
		return;
	}
	request = json_loadb(bytes, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	op = json_string_value(json_object_get(request, "op"));
	if (op && str_eq(op, "status"))
		answer(client, format_status(client->control->cis));
	else if (op && str_eq(op, "drain-local"))
		drain(client);
	else if (op && str_eq(op, "cache"))
		answer(client, cachecontrol_list(client->control->cis));
	else if (op && str_eq(op, "cache-revoke"))
		revoke_images(client, request);
	else
		answer(client, json_pack("{s:b, s:s}", "ok", 0, "error",
					 "the request has no known 'op': status, drain-local, cache, cache-revoke"));
	json_decref(request);
}

static bool is_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void on_connection(void *user, int fd, uint32_t events)
{
	struct control *control = user;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	for (size_t i = 0; peer >= 0 && is_allowed(peer) && i < CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		if (client->fd >= 0)
			continue;
		*client = (struct client){.control = control, .fd = peer};
		if (loop_add_fd(control->cis->loop, peer, EPOLLIN, on_request, client, &client->source) == 0)
			return;
		client->fd = -1;
		break;
	}
	if (peer >= 0)
		(void)close(peer);
}

static int open_socket(struct control *control, struct err *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	control->path = str_format("%s/cis.sock", control->cis->config.paths.run);
	if (!control->path)
		return err_sys(err, -ENOMEM, "cannot open the control socket");
	if (str_copy(at.sun_path, sizeof(at.sun_path), control->path) < 0)
		return err_set(err, -ENAMETOOLONG, "the path '%s' is too long for a socket", control->path);
	(void)unlink(control->path);
	control->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->fd < 0 || bind(control->fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    chmod(control->path, 0600) < 0 || listen(control->fd, CLIENTS_MAX) < 0)
		return err_sys(err, -errno, "cannot open the control socket '%s'", control->path);
	return 0;
}

int control_new(struct cis *cis, struct control **ret_control, struct err *err)
{
	struct control *control = calloc(1, sizeof(*control));
	int r;

	if (!control)
		return err_sys(err, -ENOMEM, "cannot open the control socket");
	control->cis = cis;
	control->fd = -1;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		control->clients[i].fd = -1;
	r = open_socket(control, err);
	if (r == 0) {
		r = loop_add_fd(cis->loop, control->fd, EPOLLIN, on_connection, control, &control->source);
		if (r < 0)
			(void)err_sys(err, r, "cannot open the control socket");
	}
	if (r < 0)
		control_free(control);
	else
		*ret_control = control;
	return r;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (control->clients[i].fd >= 0)
			client_close(&control->clients[i]);
	}
	loop_remove(control->source);
	if (control->fd >= 0) {
		(void)close(control->fd);
		(void)unlink(control->path);
	}
	free(control->path);
	free(control);
}
