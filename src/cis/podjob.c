/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "api/api.h"
#include "base/fdio.h"
#include "base/proc.h"
#include "base/str.h"
#include "cis/bundle.h"
#include "cis/cis.h"
#include "cis/podkeys.h"
#include "cis/podmemory.h"
#include "oci/reference.h"
#include "sandbox/cgroup.h"

#define SUPERVISE_MS 15000
#define SUPERVISOR_END_MS 10000
#define STATE_MAX 65536
#define RUN_MEMORY (UINT64_C(64) << 20)
#define LOG_MEMORY (4 * (UINT64_C(10) << 20) + (1u << 20)) /* what the supervisor keeps of a container */

char *podjob_run_dir(const struct pod *pod)
{
	return str_format("%s/%s", pod->cis->pods_run, pod->uid);
}

char *podjob_state_dir(const struct pod *pod)
{
	return str_format("%s/%s", pod->cis->pods_state, pod->uid);
}

char *podjob_cgroup(const struct pod *pod)
{
	return str_format("/%s/pod%s", pod->cis->config.cgroup_parent, pod->uid);
}

/* What a prepare job works on. The pod itself only changes hands when it is done. */
struct prepare {
	struct pod *pod;
	void (*done)(struct pod *pod, const char *reason, const struct err *err);
	char *run, *state, *cgroup;
	struct http_client_config client_config;
	struct image *images[PODSPEC_CONTAINERS_MAX];
	bool sensitive; /* an image of it is not of class Shared */
	json_t *objects, *namespaces;
	const char *reason; /* what status.state.waiting.reason says */
	struct err err;
	int code;
};

static const char *token_for(const struct policy_ticket *ticket, const char *image)
{
	for (size_t i = 0; i < ticket->pull_count; i++) {
		if (str_eq(ticket->pulls[i].image, image))
			return ticket->pulls[i].token;
	}
	return NULL;
}

/* Only the registries of the configuration are ever talked to. */
static int check_registry(const struct nodeconfig *config, const char *image, struct err *err)
{
	for (size_t i = 0; i < config->registry_count; i++) {
		size_t len = strlen(config->registries[i]);

		if (strncmp(image, config->registries[i], len) == 0 && image[len] == '/')
			return 0;
	}
	return err_set(err, ERR_DENIED, "image '%s' is of a registry that this instance is not told to use", image);
}

/* What is told about an image before it is asked for; whether the pod may have it is found out with that. */
static void announce(struct pod *pod, const struct podspec_container *container, bool here)
{
	char message[CIS_MESSAGE_SIZE];

	(void)snprintf(message, sizeof(message), here ? "image '%s' is already here" : "pulling image '%s'",
		       container->image);
	podstatus_event(pod, container->name, "Normal", here ? "Pulled" : "Pulling", message);
}

static int pull_one(struct prepare *job, size_t i, struct err *err)
{
	struct pod *pod = job->pod;
	const struct podspec_container *container = &pod->admitted.spec->containers[i];
	struct image_request request = {.image = container->image,
					.token = token_for(pod->admitted.ticket, container->image),
					.client = &job->client_config,
					.cancelled = &pod->cancelled};
	CLEANUP_PODKEYS struct podkeys keys = {0};
	char message[CIS_MESSAGE_SIZE];
	struct reference reference;
	bool here;
	int r = check_registry(&pod->cis->config, container->image, err);

	if (r == 0)
		r = reference_parse(container->image, &reference, err);
	if (r == 0)
		r = podkeys_init(&keys, pod, &job->client_config, &request, err);
	if (r < 0)
		return r;
	here = image_has(pod->cis->images, &reference.digest);
	announce(pod, container, here);
	r = image_pull(pod->cis->images, &request, &job->images[i], err);
	if (r < 0 || here)
		return r;
	(void)snprintf(message, sizeof(message), "image '%s' is here, %llu bytes", container->image,
		       (unsigned long long)job->images[i]->bytes);
	podstatus_event(pod, container->name, "Normal", "Pulled", message);
	return 0;
}

static int pull_all(struct prepare *job)
{
	for (size_t i = 0; i < job->pod->admitted.spec->count; i++) {
		const struct podspec_container *container = &job->pod->admitted.spec->containers[i];

		if (pull_one(job, i, &job->err) < 0) {
			job->reason = "ErrImagePull";
			return err_prefix(&job->err, "container '%s'", container->name);
		}
		job->sensitive = job->sensitive || job->images[i]->class != POLICY_CACHE_SHARED;
	}
	return 0;
}

static int fetch_object(struct prepare *job, struct http_client *client, const char *key, bool optional)
{
	const struct pod *pod = job->pod;
	const char *slash = strchr(key, '/');
	CLEANUP_FREE char *path = str_format("/api/v1/namespaces/%s/%.*s/%s", pod->namespace, (int)(slash - key), key,
					     slash + 1);
	struct buf body = buf_of(0);
	json_t *object;
	int r = path ? outbox_call(client, &pod->cis->config, "GET", path, NULL, NULL, &body, &job->err) : -ENOMEM;

	if (r == ERR_NOT_FOUND && optional) {
		buf_done(&body);
		return 0;
	}
	object = r == 0 ? json_loadb(body.data ? body.data : "", body.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (body.data)
		explicit_bzero(body.data, body.len);
	buf_done(&body);
	if (r == 0 && json_object_set_new(job->objects, key, object) < 0)
		r = err_set(&job->err, ERR_SYNTAX, "'%s': the answer is no JSON", key);
	return r;
}

static int fetch_all(struct prepare *job)
{
	CLEANUP(cleanup_http_client) struct http_client *client = NULL;
	json_t *wanted = podsource_wanted(job->pod->admitted.spec), *optional;
	const char *key;
	int r = 0;

	job->reason = "CreateContainerConfigError";
	job->objects = json_object();
	if (json_object_size(wanted) && !job->pod->cis->outbox)
		r = err_set(&job->err, -EOPNOTSUPP, "ConfigMaps and Secrets need a CISM");
	else if (json_object_size(wanted))
		r = http_client_new(&job->client_config, &client, &job->err);
	json_object_foreach(wanted, key, optional) {
		if (r == 0)
			r = fetch_object(job, client, key, json_is_true(optional));
	}
	json_decref(wanted);
	return r;
}

static struct podvolume volume_of(const struct prepare *job)
{
	const struct pod *pod = job->pod;

	return (struct podvolume){.spec = pod->admitted.spec,
				  .objects = job->objects,
				  .place = {.node = pod->cis->config.instance, .pod_ip = pod->address},
				  .run = job->run,
				  .state = job->state,
				  .uid_base = cis_uid_base(pod)};
}

static int write_pod_json(const struct prepare *job, struct err *err)
{
	const struct pod *pod = job->pod;
	json_t *root = json_pack("{s:s, s:s, s:I, s:i, s:{}, s:o, s:o, s:s}", "uid", pod->uid, "hostname",
				 pod->admitted.spec->hostname, "uidBase", (json_int_t)cis_uid_base(pod), "uidCount",
				 (int)NODECONFIG_UID_COUNT, "sysctls", "logDir", json_sprintf("%s/logs", job->state),
				 "runtimeRoot", json_sprintf("%s/runtime", job->run), "cgroup", job->cgroup);
	CLEANUP_FREE char *text = root ? json_dumps(root, JSON_COMPACT) : NULL,
			  *path = str_format("%s/pod.json", job->run);

	json_decref(root);
	if (!text || !path)
		return err_sys(err, -ENOMEM, "cannot write the supervisor's orders");
	return fdio_replace_file(AT_FDCWD, path, text, strlen(text), 0600, err);
}

static int read_state(const char *run, json_t **ret_state, struct err *err)
{
	CLEANUP_FREE char *path = str_format("%s/state.json", run);
	CLEANUP_BUF struct buf text = buf_of(STATE_MAX);
	int r = path ? fdio_read_file(AT_FDCWD, path, &text, err) : -ENOMEM;

	if (r < 0)
		return r;
	*ret_state = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	return json_is_object(*ret_state) ? 0 : err_set(err, ERR_SYNTAX, "'%s' is no JSON object", path);
}

/* Starts the supervisor unless it runs, and learns where the pod's namespaces are. */
static int supervise(struct prepare *job, struct err *err)
{
	const char *program = job->pod->cis->config.runtime;
	const char *const argv[] = {program, "supervise", "--dir", job->run, NULL};
	CLEANUP_BUF struct buf error = buf_of(STATE_MAX);
	json_t *state = NULL;
	int r = write_pod_json(job, err);

	if (r == 0 && !superlink_probe(job->run))
		r = proc_run(program, argv, NULL, NULL, &error, SUPERVISE_MS, err);
	if (r == 0)
		r = read_state(job->run, &state, err);
	if (r == 0) {
		job->namespaces = json_incref(json_object_get(state, "namespaces"));
		if (!json_is_object(job->namespaces))
			r = err_set(err, ERR_SYNTAX, "'%s/state.json' names no namespaces", job->run);
	}
	json_decref(state);
	return r < 0 ? err_prefix(err, "cannot start the pod's supervisor") : 0;
}

static int write_bundle(struct prepare *job, const struct podvolume *volume, size_t i, struct err *err)
{
	struct pod *pod = job->pod;
	CLEANUP_FREE char *path = NULL;
	struct bundle bundle = {
		.env = {.spec = pod->admitted.spec,
			.container = &pod->admitted.spec->containers[i],
			.image = &job->images[i]->config,
			.objects = job->objects,
			.place = volume->place},
		.volume = volume,
		.domain = pod->admitted.ticket->domain,
		.namespaces = job->namespaces,
		.root = job->images[i]->root,
		.cgroup = job->cgroup,
		.sensitive = job->sensitive,
	};

	return bundle_write(&bundle, &path, err);
}

/* What its containers write and are given stays in memory: orders and secrets, volumes, logs. CACHE-5 */
static int keep_in_memory(const struct prepare *job, struct err *err)
{
	const struct podspec *spec = job->pod->admitted.spec;
	CLEANUP_FREE char *volumes = str_format("%s/volumes", job->state), *logs = str_format("%s/logs", job->state);
	uint64_t bytes = 0;
	int r = volumes && logs ? podmemory_open(job->run, RUN_MEMORY, err)
				: err_sys(err, -ENOMEM, "cannot prepare the pod");

	for (size_t i = 0; i < spec->count; i++)
		bytes += (uint64_t)spec->containers[i].memory;
	if (r == 0)
		r = podmemory_open(volumes, bytes, err);
	return r < 0 ? r : podmemory_open(logs, spec->count * LOG_MEMORY, err);
}

static int build(struct prepare *job)
{
	struct podvolume volume = volume_of(job);
	int r = fdio_mkdir_all(AT_FDCWD, job->run, 0700, &job->err);

	if (r == 0 && job->sensitive)
		r = keep_in_memory(job, &job->err);
	if (r == 0)
		r = podvolume_prepare(&volume, &job->err);
	if (r < 0)
		return r;
	job->reason = "CreatePodSandboxError";
	r = supervise(job, &job->err);
	if (r < 0)
		return r;
	job->reason = "CreateContainerConfigError";
	for (size_t i = 0; r == 0 && i < job->pod->admitted.spec->count; i++)
		r = write_bundle(job, &volume, i, &job->err);
	return r;
}

static void run_prepare(void *user)
{
	struct prepare *job = user;

	job->code = pull_all(job);
	if (job->code == 0)
		job->code = fetch_all(job);
	if (job->code == 0)
		job->code = build(job);
	if (job->code < 0 && !job->err.msg[0])
		(void)err_sys(&job->err, job->code, "cannot prepare the pod");
}

static void done_prepare(void *user)
{
	struct prepare *job = user;
	struct pod *pod = job->pod;

	pod->busy = false;
	for (size_t i = 0; i < pod->count; i++) {
		if (job->images[i]) {
			image_release(pod->containers[i].image);
			pod->containers[i].image = job->images[i];
		}
	}
	if (job->code == 0) {
		json_decref(pod->namespaces);
		pod->namespaces = json_incref(job->namespaces);
	}
	json_decref(job->namespaces);
	json_decref(job->objects);
	job->done(pod, job->reason, job->code < 0 ? &job->err : NULL);
	free(job->run);
	free(job->state);
	free(job->cgroup);
	free(job);
}

void podjob_prepare(struct pod *pod, void (*done)(struct pod *pod, const char *reason, const struct err *err))
{
	struct prepare *job = calloc(1, sizeof(*job));
	struct err err = {0};

	if (job) {
		*job = (struct prepare){.pod = pod,
					.done = done,
					.run = podjob_run_dir(pod),
					.state = podjob_state_dir(pod),
					.cgroup = podjob_cgroup(pod),
					.client_config = outbox_client_config(&pod->cis->config)};
		pod->busy = true;
		if (job->run && job->state && job->cgroup &&
		    work_submit(pod->cis->work, run_prepare, done_prepare, job) == 0)
			return;
		pod->busy = false;
		free(job->run);
		free(job->state);
		free(job->cgroup);
		free(job);
	}
	(void)err_sys(&err, -ENOMEM, "cannot prepare the pod");
	done(pod, "OutOfMemory", &err);
}

struct teardown {
	struct pod *pod;
	bool keep_volumes;
	void (*done)(struct pod *pod, const struct err *err);
	char *run, *state, *cgroup;
	struct err err;
	int code;
};

/* The start time of a process in clock ticks since boot, field 22 of its stat file; 0 when it is gone or dead. */
static unsigned long long process_start(pid_t pid)
{
	CLEANUP_BUF struct buf text = buf_of(4096);
	CLEANUP_FREE char *path = str_format("/proc/%d/stat", (int)pid);
	unsigned long long start = 0;
	struct err ignored = {0};
	const char *end;
	char state;

	if (!path || fdio_read_file(AT_FDCWD, path, &text, &ignored) < 0)
		return 0;
	end = strrchr(text.data, ')');
	if (!end || sscanf(end + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
			   &state, &start) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : start;
}

/* Waits for the supervisor to end as it was told, then ends it; never another process that has its number now. */
static int end_supervisor(const char *run)
{
	json_t *state = NULL;
	struct err ignored = {0};
	unsigned long long start;
	pid_t pid;
	int pidfd;

	if (read_state(run, &state, &ignored) < 0) {
		json_decref(state);
		return 0;
	}
	pid = (pid_t)json_integer_value(json_object_get(state, "pid"));
	start = (unsigned long long)json_integer_value(json_object_get(state, "startTime"));
	json_decref(state);
	for (int waited = 0; pid > 0 && process_start(pid) && process_start(pid) == start; waited += 5) {
		pidfd = waited >= SUPERVISOR_END_MS ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
		if (pidfd >= 0) {
			if (process_start(pid) == start)
				(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
			(void)close(pidfd);
		}
		if (waited > 2 * SUPERVISOR_END_MS)
			return -ETIMEDOUT;
		(void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	return 0;
}

/* Ends what may be left in the pod's groups and removes them. */
static int remove_cgroup(const char *path, struct err *err)
{
	struct cgroup cgroup;
	int r = cgroup_init(&cgroup, path, err);

	if (r < 0)
		return r;
	r = cgroup_open(&cgroup, err);
	if (r == 0)
		r = cgroup_kill(&cgroup, SIGKILL, err);
	if (r == 0)
		r = cgroup_remove(&cgroup, err);
	cgroup_done(&cgroup);
	return r;
}

static void run_teardown(void *user)
{
	struct teardown *job = user;
	CLEANUP_FREE char *volumes = str_format("%s/volumes", job->state);

	job->code = end_supervisor(job->run);
	if (job->code < 0)
		(void)err_sys(&job->err, job->code, "the pod's supervisor does not end");
	if (job->code == 0)
		job->code = remove_cgroup(job->cgroup, &job->err);
	if (job->code == 0)
		job->code = podmemory_close(job->run, &job->err);
	if (job->code == 0)
		job->code = fdio_remove_tree(AT_FDCWD, job->run, &job->err);
	if (job->code == 0 && !job->keep_volumes && volumes)
		job->code = podmemory_close(volumes, &job->err);
	if (job->code == 0 && !job->keep_volumes)
		job->code = volumes ? fdio_remove_tree(AT_FDCWD, volumes, &job->err)
				    : err_sys(&job->err, -ENOMEM, "cannot remove the volumes");
}

static void done_teardown(void *user)
{
	struct teardown *job = user;
	struct pod *pod = job->pod;

	pod->busy = false;
	/* Nothing of it runs: its images may go when room is needed. */
	for (size_t i = 0; job->code == 0 && i < pod->count; i++)
		image_release(take_ptr(pod->containers[i].image));
	job->done(pod, job->code < 0 ? &job->err : NULL);
	free(job->run);
	free(job->state);
	free(job->cgroup);
	free(job);
}

void podjob_teardown(struct pod *pod, bool keep_volumes, void (*done)(struct pod *pod, const struct err *err))
{
	struct teardown *job = calloc(1, sizeof(*job));
	struct err err = {0};

	if (job) {
		*job = (struct teardown){.pod = pod,
					 .keep_volumes = keep_volumes,
					 .done = done,
					 .run = podjob_run_dir(pod),
					 .state = podjob_state_dir(pod),
					 .cgroup = podjob_cgroup(pod)};
		pod->busy = true;
		if (job->run && job->state && job->cgroup &&
		    work_submit(pod->cis->work, run_teardown, done_teardown, job) == 0)
			return;
		pod->busy = false;
		free(job->run);
		free(job->state);
		free(job->cgroup);
		free(job);
	}
	(void)err_sys(&err, -ENOMEM, "cannot remove the pod");
	done(pod, &err);
}
