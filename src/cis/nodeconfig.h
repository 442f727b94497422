/* SPDX-License-Identifier: Apache-2.0 */
/* What the instance is told: etc/bulkhead/cis.json and the keys beside it. */
#ifndef CIS_NODECONFIG_H
#define CIS_NODECONFIG_H

#include <stdint.h>

#include "base/err.h"
#include "base/paths.h"

#define NODECONFIG_REGISTRIES_MAX 16
#define NODECONFIG_CISM_MAX 8
#define NODECONFIG_UID_COUNT 65536u /* ids of one pod */

struct nodeconfig {
	struct paths paths;
	char *instance;
	char *cism[NODECONFIG_CISM_MAX]; /* "https://127.0.0.1:6443", no slash at the end: replicas, any may be asked */
	size_t cism_count;
	char *registries[NODECONFIG_REGISTRIES_MAX]; /* "host:port" */
	size_t registry_count;
	char *bridge;
	uint32_t network; /* host byte order */
	uint8_t prefix;
	uint32_t uid_base;
	uint32_t uid_ranges;
	char *runtime;                /* absolute path of bulkhead-runtime */
	char *cgroup_parent;          /* one path element below each hierarchy */
	char *ca, *certificate, *key; /* PEM */
};

/* Reads all of it. ERR_SYNTAX, ERR_INVALID with the field named, or what opening a file says. nodeconfig_done also after failure. */
int nodeconfig_load(const struct paths *paths, struct nodeconfig *config, struct err *err) MUST_CHECK;
void nodeconfig_done(struct nodeconfig *config);

/* Reads the text of cis.json alone; config is zeroed. For tests and nodeconfig_load. */
int nodeconfig_parse(const char *bytes, size_t len, struct nodeconfig *config, struct err *err) MUST_CHECK;

#endif
