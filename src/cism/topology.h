/* SPDX-License-Identifier: Apache-2.0 */
/* topology.json: which CIS instance lies on which physical server. The platform's word, never the instance's. */
#ifndef CISM_TOPOLOGY_H
#define CISM_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TOPOLOGY_INSTANCES_MAX 4096

struct topology_instance {
	char name[254];
	char server[254];
	char vm[254];        /* empty: none */
	char deployment[16]; /* BareMetal, Nested, Hybrid */
	uint64_t epoch;      /* of this mapping, at least 1 */
};

struct topology {
	struct topology_instance *instances;
	size_t count;
};

/* Parses the text strictly. ERR_SYNTAX, ERR_INVALID with the field; two rows of one name are refused. */
int topology_parse(const char *text, size_t len, struct topology *ret_topology, struct err *err) MUST_CHECK;
void topology_done(struct topology *topology);

const struct topology_instance *topology_find(const struct topology *topology, const char *instance);

#endif
