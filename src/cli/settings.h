/* SPDX-License-Identifier: Apache-2.0 */
/* What `bulkhead up` was told the first time: etc/bulkhead/machine.json. */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/paths.h"

#define SETTINGS_FILE "machine.json"

struct settings {
	char instance[254];
	char server[254];
	char deployment[16];
	char address[64];
	char cism_port[8];
	char cir_port[8];
	char pod_network[32];
	char bridge[16];
	char uid_base[12];
	char cgroup_parent[64];
	bool joined; /* an instance alone: the CISM is elsewhere (`bulkhead join`) */
};

struct settings_row {
	const char *option; /* of `bulkhead up` */
	const char *key;    /* in the file */
	const char *standard;
	size_t offset, size; /* in struct settings */
	int (*check)(const char *value);
	const char *expected; /* what a good value is, for the message */
};
#define SETTINGS_COUNT 10
extern const struct settings_row settings_rows[SETTINGS_COUNT];

/* Fills what options gave (NULL: the standard value), each checked. */
int settings_take(const char *const options[SETTINGS_COUNT], struct settings *ret_settings, struct err *err) MUST_CHECK;

/* Reads the file; ERR_NOT_FOUND with a hint when nothing was set up below this root. */
int settings_load(const struct paths *paths, struct settings *ret_settings, struct err *err) MUST_CHECK;
int settings_save(const struct paths *paths, const struct settings *settings, struct err *err) MUST_CHECK;

/* Whether options given now are the settings already made. ERR_CONFLICT names the first that is not. */
int settings_compare(const struct settings *settings, const char *const options[SETTINGS_COUNT],
		     struct err *err) MUST_CHECK;

/* The value of a row. */
const char *settings_value(const struct settings *settings, const struct settings_row *row);

#endif
