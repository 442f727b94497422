/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/cis.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "cis/keyring.h"
#include "policy/interface.h"
#include "sandbox/cgroup.h"

#define PODS_MAX 16384

struct pod *cis_find(const struct cis *cis, const char *uid)
{
	for (size_t i = 0; i < cis->pod_count; i++) {
		if (str_eq(cis->pods[i]->uid, uid))
			return cis->pods[i];
	}
	return NULL;
}

static void pod_free(struct pod *pod)
{
	if (!pod)
		return;
	loop_remove(pod->timer);
	superlink_free(pod->link);
	for (size_t i = 0; i < pod->count; i++) {
		loop_remove(pod->containers[i].timer);
		image_release(pod->containers[i].image);
	}
	free(pod->containers);
	json_decref(pod->namespaces);
	json_decref(pod->objects);
	admit_done(&pod->admitted);
	podrecord_done(&pod->record);
	free(pod->namespace);
	free(pod->name);
	free(pod);
}

struct pod *cis_add(struct cis *cis, const char *uid, const char *namespace, const char *name)
{
	struct pod **grown = cis->pod_count < PODS_MAX ? reallocarray(cis->pods, cis->pod_count + 1, sizeof(*grown))
						       : NULL;
	struct pod *pod;

	if (!grown)
		return NULL;
	cis->pods = grown;
	pod = calloc(1, sizeof(*pod));
	if (!pod || str_copy(pod->uid, sizeof(pod->uid), uid) < 0 || !(pod->namespace = strdup(namespace)) ||
	    !(pod->name = strdup(name))) {
		pod_free(pod);
		return NULL;
	}
	pod->cis = cis;
	pod->started_ms = clock_wall_ms();
	grown[cis->pod_count++] = pod;
	return pod;
}

void cis_forget(struct pod *pod)
{
	struct cis *cis = pod->cis;

	for (size_t i = 0; i < cis->pod_count; i++) {
		if (cis->pods[i] != pod)
			continue;
		cis->pods[i] = cis->pods[--cis->pod_count];
		break;
	}
	if (pod->recorded)
		cis->ranges[pod->record.range] = false;
	pod_free(pod);
}

static bool is_address_taken(const struct cis *cis, uint32_t address)
{
	for (size_t i = 0; i < cis->pod_count; i++) {
		if (cis->pods[i]->recorded && cis->pods[i]->record.address == address)
			return true;
	}
	return false;
}

/* Addresses of pods that do not run at the moment are taken too. */
static int assign_address(struct pod *pod, struct err *err)
{
	for (uint32_t tries = 0; tries <= pod->cis->pod_count + 1; tries++) {
		int r = network_pick(pod->cis->network, &pod->record.address, err);

		if (r < 0)
			return r;
		if (!is_address_taken(pod->cis, pod->record.address)) {
			network_format(pod->address, pod->record.address);
			return 0;
		}
	}
	return err_set(err, ERR_BUSY, "the pod network has no free address");
}

int cis_assign(struct pod *pod, struct err *err)
{
	struct cis *cis = pod->cis;

	for (uint32_t step = 1; step <= cis->config.uid_ranges; step++) {
		uint32_t range = (cis->range_last + step) % cis->config.uid_ranges;
		int r;

		if (cis->ranges[range])
			continue;
		r = assign_address(pod, err);
		if (r < 0)
			return r;
		memcpy(pod->record.uid, pod->uid, sizeof(pod->record.uid));
		pod->record.range = range;
		pod->record.stage = PODRECORD_ACCEPTED;
		pod->record.created_ms = clock_wall_ms();
		cis->ranges[range] = true;
		cis->range_last = range;
		return 0;
	}
	return err_set(err, ERR_BUSY, "all %u ranges of user ids are in use", cis->config.uid_ranges);
}

uint32_t cis_uid_base(const struct pod *pod)
{
	return pod->cis->config.uid_base + pod->record.range * NODECONFIG_UID_COUNT;
}

static int make_containers(struct pod *pod, struct err *err)
{
	pod->containers = calloc(pod->admitted.spec->count, sizeof(*pod->containers));
	if (!pod->containers)
		return err_sys(err, -ENOMEM, "cannot keep the containers of a pod");
	pod->count = pod->admitted.spec->count;
	for (size_t i = 0; i < pod->count; i++) {
		pod->containers[i].pod = pod;
		pod->containers[i].spec = &pod->admitted.spec->containers[i];
	}
	return 0;
}

static struct admit_facts facts_of(const struct pod *pod, const char **finished, const struct policy_ticket **running)
{
	const struct cis *cis = pod->cis;
	struct admit_facts facts = {
		.ca = cis->config.ca,
		.ticket = {.instance = cis->config.instance,
			   .uid = pod->uid,
			   .namespace = pod->namespace,
			   .name = pod->name,
			   .now_ms = clock_wall_ms(),
			   .newest_epoch = cis->state.epoch,
			   .server = cis->state.server,
			   .finished = finished,
			   .finished_count = cis->state.count},
		.running = running,
	};

	for (size_t i = 0; i < cis->pod_count; i++) {
		const struct pod *other = cis->pods[i];

		if (other != pod && other->admitted.ticket && other->stage != POD_FINISHED)
			running[facts.running_count++] = other->admitted.ticket;
	}
	return facts;
}

int cis_admit(struct pod *pod, const char *envelope, size_t len, struct buf *payload, struct err *err)
{
	CLEANUP_FREE const char **finished = nodestate_uids(&pod->cis->state);
	CLEANUP_FREE const struct policy_ticket **running = calloc(pod->cis->pod_count + 1, sizeof(*running));
	struct admit_facts facts;
	int r;

	if (!finished || !running)
		return err_sys(err, -ENOMEM, "cannot check a ticket");
	facts = facts_of(pod, finished, running);
	r = admit_ticket(&facts, envelope, len, payload, &pod->admitted, err);
	return r < 0 ? r : make_containers(pod, err);
}

static uint8_t protocol_number(enum policy_protocol protocol)
{
	switch (protocol) {
	case POLICY_PROTOCOL_TCP:
		return IPPROTO_TCP;
	case POLICY_PROTOCOL_UDP:
		return IPPROTO_UDP;
	case POLICY_PROTOCOL_SCTP:
		return IPPROTO_SCTP;
	}
	return 0;
}

static void put_opening(struct network_opening *openings, size_t *count, const struct policy_port *port,
			const char *domain, const struct policy_network *network)
{
	struct network_opening *opening = &openings[(*count)++];

	*opening = (struct network_opening){.domain = domain,
					    .protocol = protocol_number(port->protocol),
					    .port = port->port};
	if (!network)
		return;
	opening->network = (uint32_t)network->address[0] << 24 | (uint32_t)network->address[1] << 16 |
			   (uint32_t)network->address[2] << 8 | network->address[3];
	opening->prefix = network->prefix;
}

static int put_interface(const struct policy_interface *interface, struct network_opening *openings, size_t *count,
			 struct err *err)
{
	if (*count + interface->port_count * (interface->domains.count + interface->network_count) >
	    NETWORK_OPENINGS_MAX)
		return err_set(err, ERR_TOO_LARGE, "the interfaces of the pod's domain open more than %d ports to it",
			       NETWORK_OPENINGS_MAX);
	for (size_t p = 0; p < interface->port_count; p++) {
		for (size_t d = 0; d < interface->domains.count; d++)
			put_opening(openings, count, &interface->ports[p], interface->domains.items[d], NULL);
		for (size_t n = 0; n < interface->network_count; n++) {
			/* Pods have IPv4 addresses only: what comes from an IPv6 network cannot reach them. */
			if (interface->networks[n].family == AF_INET)
				put_opening(openings, count, &interface->ports[p], NULL, &interface->networks[n]);
		}
	}
	return 0;
}

int cis_network_pod(const struct pod *pod, struct network_pod *ret_pod, struct network_opening **ret_openings,
		    struct err *err)
{
	const struct policy_ticket *ticket = pod->admitted.ticket;
	CLEANUP_FREE struct network_opening *openings = calloc(NETWORK_OPENINGS_MAX, sizeof(*openings));
	size_t count = 0;

	if (!openings)
		return err_sys(err, -ENOMEM, "cannot connect a pod");
	for (size_t i = 0; i < ticket->domain->interface_count; i++) {
		const struct policy_interface *interface = &ticket->domain->interfaces[i];
		int r;

		if (!policy_interface_applies(interface, *ticket->subfunction ? ticket->subfunction : NULL))
			continue;
		r = put_interface(interface, openings, &count, err);
		if (r < 0)
			return r;
	}
	*ret_pod = (struct network_pod){.address = pod->record.address,
					.domain = ticket->domain_name,
					.openings = openings,
					.opening_count = count};
	*ret_openings = take_ptr(openings);
	return 0;
}

/* Reads one pod back as it was accepted. The signature was checked then; the bytes have been root's alone since. */
static int read_pod(struct cis *cis, const char *uid, struct err *err)
{
	CLEANUP_BUF struct buf payload = buf_of(POLICY_TICKET_MAX);
	struct podrecord record;
	struct policy_ticket *ticket = NULL;
	struct pod *pod = NULL;
	int r = podrecord_load(cis->pods_state, uid, &record, &payload, err);

	if (r == 0)
		r = policy_ticket_parse(payload.data, payload.len, &ticket, err);
	if (r == 0 && record.range >= cis->config.uid_ranges)
		r = err_set(err, ERR_INVALID, "pod '%s' has a range of user ids that is not there any more", uid);
	if (r == 0 && !(pod = cis_add(cis, uid, ticket->namespace, ticket->name)))
		r = err_sys(err, -ENOMEM, "cannot keep pod '%s'", uid);
	if (r < 0) {
		policy_ticket_free(ticket);
		podrecord_done(&record);
		return r;
	}
	pod->record = record;
	pod->recorded = true;
	pod->started_ms = record.created_ms;
	cis->ranges[record.range] = true;
	network_format(pod->address, record.address);
	pod->admitted.ticket = ticket;
	r = podspec_parse(ticket->pod, &pod->admitted.spec, err);
	return r < 0 ? r : make_containers(pod, err);
}

static int on_record(void *user, const char *uid, struct err *err)
{
	int r = read_pod(user, uid, err);

	return r < 0 ? err_prefix(err, "cannot read pod '%s' back", uid) : 0;
}

/* The rules of all pods that are on the bridge go in at once, before anything else is done. */
static int open_network(struct cis *cis, struct err *err)
{
	struct network_config config = {.bridge = cis->config.bridge,
					.network = cis->config.network,
					.prefix = cis->config.prefix};
	struct network_pod *pods = calloc(cis->pod_count + 1, sizeof(*pods));
	struct network_opening **openings = calloc(cis->pod_count + 1, sizeof(*openings));
	size_t count = 0;
	int r = pods && openings ? 0 : err_sys(err, -ENOMEM, "cannot open the pod network");

	for (size_t i = 0; r == 0 && i < cis->pod_count; i++) {
		struct pod *pod = cis->pods[i];
		CLEANUP_FREE char *run = podjob_run_dir(pod);

		if (!pod->record.attached || !run || !superlink_probe(run)) {
			pod->record.attached = false;
			continue;
		}
		r = cis_network_pod(pod, &pods[count], &openings[count], err);
		count += r == 0;
	}
	if (r == 0)
		r = network_open(&config, pods, count, &cis->network, err);
	for (size_t i = 0; i < count; i++)
		free(openings[i]);
	free(openings);
	free(pods);
	return r;
}

static int open_images(struct cis *cis, struct err *err)
{
	CLEANUP_FREE char *path = str_format("%s/cis/images", cis->config.paths.state),
			  *mounts = str_format("%s/images", cis->config.paths.run);
	int r = path && mounts ? fdio_mkdir_all(AT_FDCWD, path, 0700, err)
			       : err_sys(err, -ENOMEM, "cannot open the image store");

	if (r == 0)
		r = fdio_open_dir(AT_FDCWD, path, &cis->images_dir, err);
	return r < 0 ? r
		     : image_store_open(cis->images_dir, &(struct image_store_config){.mounts = mounts}, &cis->images,
					err);
}

static int open_folders(struct cis *cis, struct err *err)
{
	CLEANUP_FREE char *state = str_format("%s/cis/state.json", cis->config.paths.state);
	int r;

	cis->pods_state = str_format("%s/cis/pods", cis->config.paths.state);
	cis->pods_run = str_format("%s/pods", cis->config.paths.run);
	cis->ranges = calloc(cis->config.uid_ranges, sizeof(*cis->ranges));
	if (!state || !cis->pods_state || !cis->pods_run || !cis->ranges)
		return err_sys(err, -ENOMEM, "cannot open the state");
	r = fdio_mkdir_all(AT_FDCWD, cis->pods_state, 0700, err);
	if (r == 0)
		r = fdio_mkdir_all(AT_FDCWD, cis->pods_run, 0700, err);
	return r < 0 ? r : nodestate_load(state, &cis->state, err);
}

int cis_open(struct cis *cis, struct err *err)
{
	int r = open_folders(cis, err);

	cis->images_dir = -1;
	if (r == 0)
		r = keyring_new(&cis->keyring, err);
	if (r == 0)
		r = open_images(cis, err);
	if (r == 0)
		r = podrecord_list(cis->pods_state, on_record, cis, err);
	if (r == 0)
		r = open_network(cis, err);
	return r;
}

void cis_resume(struct cis *cis)
{
	/* From the end: a pod that is gone at once leaves the list. */
	for (size_t i = cis->pod_count; i > 0; i--)
		podlife_resume(cis->pods[i - 1]);
}

void cis_trim(struct cis *cis)
{
	struct cgroup cgroup;
	struct err err = {0};

	for (size_t i = 0; i < cis->pod_count; i++) {
		enum pod_stage stage = cis->pods[i]->stage;

		if (stage != POD_TICKET && stage != POD_REFUSED && stage != POD_FINISHED && stage != POD_DRAINED)
			return;
	}
	if (cgroup_init(&cgroup, cis->config.cgroup_parent, &err) < 0) {
		log_failure("cannot look for control groups", &err);
		return;
	}
	/* One that is not empty belongs to another installation too. */
	for (size_t i = 0; i < cgroup.count; i++)
		(void)unlinkat(cgroup.hierarchies[i].mount, cgroup.path, AT_REMOVEDIR);
	cgroup_done(&cgroup);
}

/* Mounts of images that no pod is on; those of pods that run on without this service stay. */
static void trim_images(struct cis *cis)
{
	struct err err = {0};

	if (cis->images && image_store_trim(cis->images, &err) < 0)
		log_failure("cannot take images away", &err);
}

int cis_withdraw(struct cis *cis, struct err *err)
{
	cis_trim(cis);
	trim_images(cis);
	return network_remove(cis->network, err);
}

void cis_close(struct cis *cis)
{
	trim_images(cis);
	while (cis->pod_count)
		pod_free(cis->pods[--cis->pod_count]);
	free(cis->pods);
	network_free(cis->network);
	image_store_close(cis->images);
	keyring_free(cis->keyring);
	if (cis->images_dir >= 0)
		(void)close(cis->images_dir);
	nodestate_done(&cis->state);
	free(cis->pods_state);
	free(cis->pods_run);
	free(cis->ranges);
}

bool cis_is_idle(const struct cis *cis)
{
	for (size_t i = 0; i < cis->pod_count; i++) {
		const struct pod *pod = cis->pods[i];

		if (pod->busy || (pod->stage != POD_TICKET && pod->stage != POD_REFUSED && pod->stage != POD_FINISHED &&
				  pod->stage != POD_DRAINED))
			return false;
	}
	return true;
}
