/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead-cir, the container image registry: read what only root may, drop privilege, serve until told to stop. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/options.h"
#include "base/paths.h"
#include "base/privilege.h"
#include "base/str.h"
#include "cir/cir_config.h"
#include "cir/cir_service.h"
#include "crypto/certificate.h"
#include "oci/manifest.h"

#define TEXT_MAX ((size_t)1 << 20)
#define EXPIRE_NS (60 * UINT64_C(1000000000))
/* How often it is looked whether users or policy changed. */
#define LOOK_NS UINT64_C(2000000000)
#define SERVER_THREADS 4

/* Everything that is read before privilege is dropped. */
struct boot {
	struct cir_config config;
	struct buf ca, client_cas, certificate, key, users, policy;
	int state, socket;
	uint8_t bearer_secret[CIR_BEARER_SECRET_SIZE];
};

static int read_text(const char *etc, const char *path, struct buf *to, struct err *err)
{
	CLEANUP_FREE char *full = path[0] == '/' ? strdup(path) : str_format("%s/%s", etc, path);

	if (!full)
		return err_set(err, -ENOMEM, "no memory for a path");
	*to = buf_of(TEXT_MAX);
	return fdio_read_file(AT_FDCWD, full, to, err);
}

static int open_state(const char *folder, int *ret_fd, struct err *err)
{
	CLEANUP_FREE char *path = str_format("%s/cir", folder);
	CLEANUP_CLOSE int fd = -1;
	uid_t uid;
	gid_t gid;
	int r;

	if (!path)
		return err_set(err, -ENOMEM, "no memory for a path");
	r = fdio_mkdir_all(AT_FDCWD, path, 0755, err);
	if (r == 0)
		r = fdio_open_dir(AT_FDCWD, path, &fd, err);
	if (r < 0)
		return r;
	privilege_ids(PRIVILEGE_CIR, &uid, &gid);
	if (geteuid() == 0 && (fchown(fd, uid, gid) < 0 || fchmod(fd, 0700) < 0))
		return err_sys(err, -errno, "cannot give '%s' to the registry's user", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Instances that joined show certificates of a CA of their own (docs/adr/0013), which certifies nobody else. */
static int read_client_cas(const char *etc, struct boot *boot, struct err *err)
{
	CLEANUP_BUF struct buf instances = buf_of(TEXT_MAX);
	int r = read_text(etc, "pki/cism/instances.pem", &instances, err);

	if (r < 0 && r != -ENOENT)
		return r;
	boot->client_cas = buf_of(2 * TEXT_MAX);
	if (buf_append(&boot->client_cas, boot->ca.data, boot->ca.len) < 0 ||
	    (r == 0 && buf_append(&boot->client_cas, instances.data, instances.len) < 0))
		return err_sys(err, -ENOMEM, "cannot read the CAs");
	return 0;
}

static int boot_read(struct boot *boot, const char *root, struct err *err)
{
	CLEANUP_BUF struct buf config = buf_of(TEXT_MAX);
	struct paths paths;
	int r = paths_init(&paths, root, err);

	if (r == 0)
		r = read_text(paths.etc, "cir.json", &config, err);
	if (r < 0)
		return r;
	r = cir_config_parse(config.data, config.len, &boot->config, err);
	if (r < 0)
		return err_prefix(err, "%s/cir.json", paths.etc);
	r = read_text(paths.etc, "pki/ca.pem", &boot->ca, err);
	if (r == 0)
		r = read_client_cas(paths.etc, boot, err);
	if (r == 0)
		r = read_text(paths.etc, "pki/cir/server.pem", &boot->certificate, err);
	if (r == 0)
		r = read_text(paths.etc, "pki/cir/server.key", &boot->key, err);
	if (r == 0)
		r = read_text(paths.etc, boot->config.users, &boot->users, err);
	if (r == 0 && boot->config.policy[0])
		r = read_text(paths.etc, boot->config.policy, &boot->policy, err);
	crypto_random(boot->bearer_secret, sizeof(boot->bearer_secret));
	if (r == 0)
		r = open_state(paths.state, &boot->state, err);
	if (r == 0)
		r = http_listen(boot->config.address, boot->config.port, &boot->socket, err);
	return r;
}

static void boot_done(struct boot *boot)
{
	buf_done(&boot->ca);
	buf_done(&boot->client_cas);
	buf_done(&boot->certificate);
	if (boot->key.data)
		explicit_bzero(boot->key.data, boot->key.len);
	buf_done(&boot->key);
	buf_done(&boot->users);
	buf_done(&boot->policy);
	if (boot->state >= 0)
		(void)close(boot->state);
}

struct serving {
	struct cir_service service;
	struct boot *boot;
	struct loop *loop;
	struct loop_source *expire, *look;
	struct stat users, policy; /* as they were when they were read */
};

static void on_expire(void *user)
{
	struct serving *serving = user;

	cir_uploads_expire(serving->service.uploads);
	loop_set_timer(serving->expire, clock_monotonic_ns() + EXPIRE_NS);
}

/* --- users and policy --- */

static int make_access(const struct boot *boot, struct cir_access **ret_access, struct err *err)
{
	const bool ruled = boot->config.policy[0];
	const struct cir_access_config config = {
		.users = boot->users.data ? boot->users.data : "",
		.users_len = boot->users.len,
		.users_path = boot->config.users,
		.policy = !ruled              ? NULL
			  : boot->policy.data ? boot->policy.data
					      : "",
		.policy_len = boot->policy.len,
		.policy_path = boot->config.policy,
		.registry = boot->config.registry,
		.ca = boot->ca.data,
		.secret = boot->bearer_secret,
	};

	return cir_access_new(&config, ret_access, err);
}

static void look(const struct serving *serving, struct stat *users, struct stat *policy)
{
	*users = *policy = (struct stat){0};
	(void)stat(serving->boot->config.users, users);
	(void)stat(serving->boot->config.policy, policy);
}

static int reload(struct serving *serving, struct err *err)
{
	struct boot *boot = serving->boot;
	struct cir_access *access;
	int r;

	look(serving, &serving->users, &serving->policy);
	buf_done(&boot->users);
	buf_done(&boot->policy);
	r = read_text("", boot->config.users, &boot->users, err);
	if (r == 0 && boot->config.policy[0])
		r = read_text("", boot->config.policy, &boot->policy, err);
	if (r == -EACCES)
		return err_hint(err, "the file must belong to the registry's user, as 'bulkhead up' leaves it");
	if (r == 0)
		r = make_access(boot, &access, err);
	return r < 0 ? r : cir_service_set_access(&serving->service, access, err);
}

static void reload_and_say(struct serving *serving)
{
	struct err err = {0};

	if (reload(serving, &err) < 0)
		log_failure("the users and the policy from before stay in force", &err);
	else
		log_info("users and policy were read again");
}

/* By the time of the change: that of the contents can be set to what it was. */
static bool changed(const struct stat *a, const struct stat *b)
{
	return a->st_ino != b->st_ino || a->st_size != b->st_size || a->st_ctim.tv_sec != b->st_ctim.tv_sec ||
	       a->st_ctim.tv_nsec != b->st_ctim.tv_nsec;
}

static void on_look(void *user)
{
	struct serving *serving = user;
	struct stat users, policy;

	look(serving, &users, &policy);
	if (changed(&users, &serving->users) || changed(&policy, &serving->policy))
		reload_and_say(serving);
	loop_set_timer(serving->look, clock_monotonic_ns() + LOOK_NS);
}

static void on_signal(void *user, const struct signalfd_siginfo *info)
{
	struct serving *serving = user;

	if (info->ssi_signo == SIGUSR1)
		cir_upkeep_now(serving->service.upkeep);
	else if (info->ssi_signo == SIGHUP)
		reload_and_say(serving);
	else
		loop_stop(serving->loop, 0);
}

/* Before any thread starts, so that all of them leave the signals to the loop. */
static int prepare_loop(struct serving *serving, struct err *err)
{
	struct loop_source *source;
	sigset_t signals;
	int r = loop_new(&serving->loop, err);

	if (r < 0)
		return r;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGHUP);
	(void)sigaddset(&signals, SIGUSR1);
	r = loop_add_signals(serving->loop, &signals, on_signal, serving, &source);
	if (r == 0)
		r = loop_add_timer(serving->loop, clock_monotonic_ns() + EXPIRE_NS, on_expire, serving,
				   &serving->expire);
	if (r == 0)
		r = loop_add_timer(serving->loop, clock_monotonic_ns() + LOOK_NS, on_look, serving, &serving->look);
	return r < 0 ? err_sys(err, r, "cannot set up the event loop") : 0;
}

static int open_service(struct serving *serving, const struct boot *boot, struct err *err)
{
	struct cir_access *access;
	int r;

	look(serving, &serving->users, &serving->policy);
	r = make_access(boot, &access, err);
	return r < 0 ? r : cir_service_open(&serving->service, boot->state, &boot->config, access, err);
}

static int start_server(struct serving *serving, const struct boot *boot, struct http_server **ret_server,
			struct err *err)
{
	const struct http_server_config config = {
		.address = boot->config.address,
		.port = boot->config.port,
		.socket = boot->socket,
		.certificate = boot->config.plain ? NULL : boot->certificate.data,
		.key = boot->config.plain ? NULL : boot->key.data,
		.client_ca = boot->config.plain ? NULL : boot->client_cas.data,
		.limited_issuer = CRYPTO_INSTANCES_ISSUER,
		.limited_organization = CRYPTO_INSTANCES_ORGANIZATION,
		.threads = SERVER_THREADS,
		.body_max = MANIFEST_BYTES_MAX,
		.repeatable = "scope",
		.handle = cir_service_handle,
		.user = &serving->service,
	};

	return http_server_start(&config, ret_server, err);
}

static int tell_ready(const char *fd_text, struct err *err)
{
	uint64_t fd;
	int r;

	if (!fd_text)
		return 0;
	if (str_parse_u64(fd_text, 1 << 20, &fd) < 0)
		return err_set(err, ERR_INVALID, "'--ready-fd' is not a descriptor");
	r = fdio_write_all((int)fd, "1", 1);
	(void)close((int)fd);
	return r < 0 ? err_sys(err, r, "cannot tell that the registry serves") : 0;
}

/* Connections, uploads and blobs being sent all need descriptors; the soft limit is often 1,024. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int serve(struct boot *boot, const char *ready_fd, struct err *err)
{
	struct serving serving = {.service.files = CIR_FILES_NONE, .boot = boot};
	struct http_server *server = NULL;
	int r = privilege_drop(PRIVILEGE_CIR, err);

	if (r == 0)
		r = prepare_loop(&serving, err);
	if (r == 0)
		r = open_service(&serving, boot, err);
	if (r == 0)
		r = start_server(&serving, boot, &server, err);
	if (r == 0)
		r = tell_ready(ready_fd, err);
	if (r == 0) {
		log_info("serving", "registry", boot->config.registry);
		r = loop_run(serving.loop);
		if (r < 0)
			(void)err_sys(err, r, "the event loop failed");
	}
	cir_service_quiet(&serving.service);
	http_server_stop(server);
	cir_service_close(&serving.service);
	loop_free(serving.loop);
	return r;
}

int main(int argc, char **argv)
{
	const char *root = NULL, *ready_fd = NULL;
	const struct option_row rows[] = {
		{"root", 0, "DIR", "keep etc, var and run of the registry below DIR", &root, NULL},
		{"ready-fd", 0, "N", "write one byte to descriptor N once it serves", &ready_fd, NULL},
	};
	const struct option_command command = {
		.program = "bulkhead-cir",
		.summary =
			"Container image registry: OCI distribution 1.1 over TLS, configured by etc/bulkhead/cir.json.",
		.rows = rows,
		.row_count = ARRAY_SIZE(rows),
	};
	struct boot boot = {.state = -1};
	struct err err = {0};
	int first, r;

	log_init("cir", LOG_LEVEL_INFO);
	(void)umask(0077);
	raise_descriptors();
	r = options_parse(&command, argc, argv, &first, &err);
	if (r > 0)
		return 0;
	if (r == 0)
		r = boot_read(&boot, root, &err);
	if (r == 0)
		r = serve(&boot, ready_fd, &err);
	boot_done(&boot);
	if (r < 0)
		log_failure("the registry ends", &err);
	else
		log_info("stopped");
	return err_exit_code(r);
}
