/* SPDX-License-Identifier: Apache-2.0 */
/* cism.json, read strictly: an unknown key is an error that names it. */
#ifndef CISM_CISM_CONFIG_H
#define CISM_CISM_CONFIG_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/store.h"

#define CISM_CONFIG_REGISTRIES_MAX 16

struct cism_config_registry {
	char host[256]; /* host[:port], as image references begin */
	char *ca;       /* PEM of the CA its certificate must verify against; NULL: the cluster's */
};

/* Where etcd keeps the state; endpoint_count 0: SQLite does, in the state folder. */
struct cism_config_etcd {
	char *endpoints[STORE_ENDPOINTS_MAX];
	size_t endpoint_count;
	char prefix[256];
	char *ca, *certificate, *key; /* PEM, or NULL */
};

struct cism_config {
	char address[64];
	uint16_t port;
	unsigned ticket_seconds;
	struct cism_config_registry registries[CISM_CONFIG_REGISTRIES_MAX];
	size_t registry_count;
	struct cism_config_etcd etcd;
};

/* Parses the text of cism.json and reads the files it names. The caller calls cism_config_done. */
int cism_config_parse(const char *text, size_t len, struct cism_config *ret_config, struct err *err) MUST_CHECK;
void cism_config_done(struct cism_config *config);

/* The registry of that host; NULL when the CISM may not contact it. */
const struct cism_config_registry *cism_config_registry(const struct cism_config *config, const char *host);

#endif
