/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etc/bulkhead/cir.json: {"address","port","users","name","collectSeconds","graceSeconds","scrubBytesPerSecond", "policy","accessLog","tls"}; the first
 * three are required.
 */
#ifndef CIR_CIR_CONFIG_H
#define CIR_CIR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cir/cir_metrics.h"

struct cir_config {
	char address[64]; /* numeric, to serve on */
	uint16_t port;    /* not 0; bound before privilege is dropped */
	char users[512];  /* absolute path of users.json */
	bool plain;       /* without TLS: on a loopback address alone */
	enum cir_log log;
	char policy[512];                /* absolute path of the policy, or empty */
	unsigned collect_seconds;        /* between two collections; 0: never */
	unsigned grace_seconds;          /* what was pushed or asked for is not collected that long */
	uint64_t scrub_bytes_per_second; /* 0: never */
	char registry[280];              /* how tokens name this registry: "name" if given, otherwise "address:port" */
};

/* Reads the text strictly; the error names the member. */
int cir_config_parse(const char *text, size_t len, struct cir_config *ret_config, struct err *err) MUST_CHECK;

#endif
