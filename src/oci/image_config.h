/* SPDX-License-Identifier: Apache-2.0 */
/* Image configurations: OCI image specification 1.1 ("Image Configuration") and Docker's, which has the same fields. */
#ifndef OCI_IMAGE_CONFIG_H
#define OCI_IMAGE_CONFIG_H

#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "oci/digest.h"

#define IMAGE_CONFIG_BYTES_MAX (1u << 20)
#define IMAGE_CONFIG_LAYERS_MAX 256
#define IMAGE_CONFIG_STRINGS_MAX 1024

/* Strings and lists belong to the configuration; lists are NULL-terminated and never NULL. */
struct image_config {
	const char *os;
	const char *architecture;
	const char **entrypoint;
	const char **command;     /* "Cmd": what follows the entrypoint unless the pod says otherwise */
	const char **environment; /* "NAME=value", each with a non-empty name */
	size_t entrypoint_count, command_count, environment_count;
	const char *working_dir; /* absolute, or NULL */
	const char *user;        /* "uid", "uid:gid", or names; NULL when absent or empty */
	const char *stop_signal; /* or NULL */
	struct digest *diff_ids; /* of the layers uncompressed, lowest first */
	size_t diff_id_count;
	json_t *document;
};

/* Reads a configuration. ERR_TOO_LARGE, ERR_SYNTAX, ERR_INVALID with the field's path. The caller frees with image_config_done. */
int image_config_parse(const char *bytes, size_t len, struct image_config *ret_config, struct err *err) MUST_CHECK;
void image_config_done(struct image_config *config);
#define CLEANUP_IMAGE_CONFIG __attribute__((cleanup(image_config_done)))

/* The numeric user and group: "1000:1000", "1000" (group 0), absent (0:0). ERR_INVALID for names and ids over 65535. */
int image_config_ids(const struct image_config *config, uid_t *ret_uid, gid_t *ret_gid, struct err *err) MUST_CHECK;

#endif
