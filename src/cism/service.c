/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/privilege.h"
#include "base/str.h"
#include "cism/board.h"
#include "cism/cism.h"
#include "cism/keeper.h"
#include "cism/keyholder.h"
#include "cism/leader.h"
#include "cism/ledger.h"
#include "cism/placer.h"
#include "cism/prover.h"
#include "cism/relays.h"
#include "cism/serve.h"
#include "cism/watches.h"
#include "cism/workers.h"
#include "crypto/certificate.h"
#include "store/move.h"

#define CONFIG_MAX ((size_t)256 * 1024)
#define KEY_MAX ((size_t)64 * 1024)
#define THREADS 4
#define CONNECTIONS_MAX 4000

struct service {
	struct cism cism;
	struct http_server *server;
};

/* --- as root --- */

static int read_text(int dir, const char *path, size_t max, char **ret_text, struct err *err)
{
	struct buf text = buf_of(max);
	int r = fdio_read_file(dir, path, &text, err);

	if (r < 0) {
		buf_done(&text);
		return r;
	}
	*ret_text = buf_steal(&text);
	return *ret_text ? 0 : err_sys(err, -ENOMEM, "cannot read '%s'", path);
}

static int read_keys(struct cism *cism, struct err *err)
{
	const struct {
		const char *path;
		char **to;
	} files[] = {
		{"pki/ca.pem", &cism->ca},
		{"pki/cism/server.pem", &cism->server_certificate},
		{"pki/cism/server.key", &cism->server_key},
		{"pki/cism/client.pem", &cism->client_certificate},
		{"pki/cism/client.key", &cism->client_key},
		{"pki/cism/binding.pem", &cism->binding_certificate},
	};
	char *binding_key = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		r = read_text(cism->etc, files[i].path, KEY_MAX, files[i].to, err);
	if (r == 0)
		r = read_text(cism->etc, "pki/cism/binding.key", KEY_MAX, &binding_key, err);
	if (r == 0) {
		r = crypto_key_parse(binding_key, &cism->binding_key, err);
		explicit_bzero(binding_key, strlen(binding_key));
	}
	free(binding_key);
	return r;
}

/* Whoever the cluster's CA certified is let in, and, where instances may join, they with what they were given. */
static int read_instances_ca(struct cism *cism, struct err *err)
{
	char *key = NULL;
	int r = read_text(cism->etc, "pki/cism/instances.pem", KEY_MAX, &cism->instances_ca, err);

	if (r == -ENOENT) {
		cism->client_cas = strdup(cism->ca);
		return cism->client_cas ? 0 : err_sys(err, -ENOMEM, "cannot read the CAs");
	}
	if (r == 0)
		r = read_text(cism->etc, "pki/cism/instances.key", KEY_MAX, &key, err);
	if (r == 0) {
		r = crypto_key_parse(key, &cism->instances_key, err);
		explicit_bzero(key, strlen(key));
		free(key);
	}
	if (r < 0)
		return r;
	cism->client_cas = str_format("%s%s", cism->ca, cism->instances_ca);
	return cism->client_cas ? 0 : err_sys(err, -ENOMEM, "cannot read the CAs");
}

static int read_config(struct cism *cism, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(CONFIG_MAX);
	int r = fdio_read_file(cism->etc, "cism.json", &text, err);

	return r < 0 ? r : cism_config_parse(text.data ? text.data : "", text.len, &cism->config, err);
}

/* The state folder belongs to the user the service becomes; the database is opened as that user from the start. */
static int open_state(const struct paths *paths, int *ret_dir, struct err *err)
{
	char path[PATHS_MAX + 8];
	uid_t uid;
	gid_t gid;
	int r;

	(void)snprintf(path, sizeof(path), "%s/cism", paths->state);
	r = fdio_mkdir_all(AT_FDCWD, paths->state, 0755, err);
	if (r == 0)
		r = fdio_mkdir_all(AT_FDCWD, path, 0700, err);
	if (r == 0)
		r = fdio_open_dir(AT_FDCWD, path, ret_dir, err);
	if (r < 0 || geteuid() != 0)
		return r;
	privilege_ids(PRIVILEGE_CISM, &uid, &gid);
	if (fchown(*ret_dir, uid, gid) < 0)
		return err_sys(err, -errno, "cannot give '%s' away", path);
	return 0;
}

static int open_store(struct cism *cism, int state, struct err *err)
{
	const struct cism_config_etcd *etcd = &cism->config.etcd;
	const struct store_etcd_config config = {
		.endpoints = (const char *const *)etcd->endpoints,
		.endpoint_count = etcd->endpoint_count,
		.prefix = etcd->prefix,
		.ca = etcd->ca ? etcd->ca : cism->ca,
		.certificate = etcd->certificate,
		.key = etcd->key,
	};

	return etcd->endpoint_count ? store_etcd_open(&config, NULL, &cism->store, err)
				    : store_sqlite_open(state, "state.db", &cism->store, err);
}

static int open_all(struct cism *cism, const char *root, struct err *err)
{
	CLEANUP_CLOSE int state = -1;
	struct paths paths;
	int r;

	r = paths_init(&paths, root, err);
	if (r == 0)
		r = fdio_open_dir(AT_FDCWD, paths.etc, &cism->etc, err);
	if (r == 0)
		r = read_config(cism, err);
	if (r == 0)
		r = read_keys(cism, err);
	if (r == 0)
		r = read_instances_ca(cism, err);
	if (r == 0)
		r = keeper_check_topology(cism, err);
	if (r == 0)
		r = open_state(&paths, &state, err);
	if (r == 0)
		r = keyholder_start(NULL, cism->etc, &cism->keyholder, err);
	if (r == 0)
		r = privilege_drop(PRIVILEGE_CISM, err);
	if (r == 0)
		r = open_store(cism, state, err);
	if (r == 0)
		r = move_check(cism->store, err);
	return r;
}

int service_open(const char *root, struct service **ret_service, struct err *err)
{
	struct service *service = calloc(1, sizeof(*service));
	int r;

	if (!service)
		return err_sys(err, -ENOMEM, "cannot start");
	service->cism.etc = -1;
	(void)pthread_mutex_init(&service->cism.topology_lock, NULL);
	r = open_all(&service->cism, root, err);
	if (r < 0) {
		service_stop(service);
		return r;
	}
	*ret_service = service;
	return 0;
}

/* --- unprivileged --- */

static int start_server(struct service *service, struct err *err)
{
	struct cism *cism = &service->cism;
	const struct http_server_config config = {
		.address = cism->config.address,
		.port = cism->config.port,
		.certificate = cism->server_certificate,
		.key = cism->server_key,
		.client_ca = cism->client_cas,
		.limited_issuer = CRYPTO_INSTANCES_ISSUER,
		.limited_organization = CRYPTO_INSTANCES_ORGANIZATION,
		.client_required = false, /* probes come without; everything else asks for an identity */
		.threads = THREADS,
		.connections_max = CONNECTIONS_MAX,
		.body_max = API_BODY_MAX,
		.handle = serve_handle,
		.user = cism,
	};

	return http_server_start(&config, &service->server, err);
}

int service_start(struct service *service, struct err *err)
{
	struct cism *cism = &service->cism;
	char port[8];
	int r;

	r = watches_new(cism, &cism->watches, err);
	if (r == 0)
		r = relays_new(&cism->relays, err);
	if (r == 0)
		r = leader_new(cism, &cism->leader, err);
	if (r == 0)
		r = keeper_start(cism, &cism->keeper, err);
	if (r == 0)
		r = workers_start(&cism->workers, err);
	if (r == 0)
		r = board_new(cism, &cism->board, err);
	if (r == 0)
		r = start_server(service, err);
	if (r == 0)
		r = placer_start(cism, &cism->placer, err);
	if (r == 0)
		r = prover_start(cism, &cism->prover, err);
	if (r < 0)
		return r;
	(void)snprintf(port, sizeof(port), "%u", http_server_port(service->server));
	if (BULKHEAD_LEDGER < 2)
		log_error("the placement ledger is switched off in this build: what must be apart is not");
	log_info("serving", "address", cism->config.address, "port", port, "version", BULKHEAD_VERSION);
	return 0;
}

bool service_lost(struct service *service)
{
	return atomic_load(&service->cism.lost);
}

void service_stop(struct service *service)
{
	struct cism *cism;

	if (!service)
		return;
	cism = &service->cism;
	placer_stop(cism->placer);
	prover_stop(cism->prover);
	keeper_stop(cism->keeper);
	leader_free(cism->leader);
	relays_shut(cism->relays);
	watches_stop(cism->watches);
	workers_stop(cism->workers);
	http_server_stop(service->server);
	workers_free(cism->workers);
	watches_free(cism->watches);
	relays_free(cism->relays);
	board_free(cism->board);
	store_close(cism->store);
	keyholder_stop(cism->keyholder);
	crypto_key_free(cism->binding_key);
	crypto_key_free(cism->instances_key);
	topology_done(&cism->topology);
	cism_config_done(&cism->config);
	(void)pthread_mutex_destroy(&cism->topology_lock);
	if (cism->etc >= 0)
		(void)close(cism->etc);
	free(cism->ca);
	free(cism->instances_ca);
	free(cism->client_cas);
	free(cism->server_certificate);
	free(cism->server_key);
	free(cism->client_certificate);
	free(cism->client_key);
	free(cism->binding_certificate);
	free(service);
}
