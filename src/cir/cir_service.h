/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry's service: requests of the OCI distribution specification 1.1 on top of files, uploads and access. Used by
 * main.c and by tests that serve it themselves.
 */
#ifndef CIR_CIR_SERVICE_H
#define CIR_CIR_SERVICE_H

#include <pthread.h>

#include "cir/cir_access.h"
#include "cir/cir_config.h"
#include "cir/cir_metrics.h"
#include "cir/cir_upkeep.h"
#include "cir/cir_uploads.h"

struct cir_service {
	struct cir_files files;
	struct cir_uploads *uploads;
	pthread_mutex_t access_lock;
	struct cir_access *access; /* in force; under access_lock */
	struct cir_upkeep *upkeep;
	struct cir_metrics metrics;
	enum cir_log log;
	bool plain; /* served without TLS */
};

/* Opens the state folder and takes access over. The caller calls cir_service_close, also after a failure. */
int cir_service_open(struct cir_service *service, int state, const struct cir_config *config, struct cir_access *access,
		     struct err *err) MUST_CHECK;
/* Puts another access in force, for requests from now on; takes it over also on failure, when the old one holds on. */
int cir_service_set_access(struct cir_service *service, struct cir_access *access, struct err *err) MUST_CHECK;
/* Lets no request wait any longer: before the server stops. */
void cir_service_quiet(struct cir_service *service);
void cir_service_close(struct cir_service *service);

/* The handler for http_server_config; user is the service. Its server's body_max is MANIFEST_BYTES_MAX. */
void cir_service_handle(struct http_request *request, void *user);

#endif
