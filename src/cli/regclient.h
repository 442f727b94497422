/* SPDX-License-Identifier: Apache-2.0 */
/* This machine's registry as the administrator (OCI distribution specification 1.1). One thread at a time. */
#ifndef CLI_REGCLIENT_H
#define CLI_REGCLIENT_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/settings.h"
#include "oci/manifest.h"

struct regclient;

/* Reads the CA and registry-auth.json; connects with the first call. The caller frees it. */
int regclient_new(const struct paths *paths, const struct settings *settings, struct regclient **ret_client,
		  struct err *err) MUST_CHECK;
void regclient_free(struct regclient *client);
CLEANUP_DEFINE(regclient, struct regclient *, regclient_free)

/* All names of a listing, its pages put together: path "_catalog" with field "repositories", "NAME/tags/list" with "tags". */
int regclient_list(struct regclient *client, const char *path, const char *field, json_t **ret_names,
		   struct err *err) MUST_CHECK;

/* A manifest by tag or digest: its bytes, verified, its digest and type. ERR_NOT_FOUND. */
int regclient_manifest(struct regclient *client, const char *repository, const char *reference, struct buf *ret_bytes,
		       struct digest *ret_digest, char type[static 256], struct err *err) MUST_CHECK;

/* The descriptors of what refers to a manifest: an index. */
int regclient_referrers(struct regclient *client, const char *repository, const struct digest *digest,
			struct manifest *ret_index, struct err *err) MUST_CHECK;

/* Writes a blob to a descriptor and verifies size and digest. ERR_CORRUPT. */
int regclient_read_blob(struct regclient *client, const char *repository, const struct descriptor *blob, int fd,
			struct err *err) MUST_CHECK;

/* Whether the repository holds a blob. */
int regclient_has_blob(struct regclient *client, const char *repository, const struct digest *digest, bool *ret_has,
		       struct err *err) MUST_CHECK;

/* Uploads size bytes from a descriptor; the registry verifies the digest. */
int regclient_write_blob(struct regclient *client, const char *repository, const struct digest *digest, int fd,
			 uint64_t size, struct err *err) MUST_CHECK;

int regclient_write_manifest(struct regclient *client, const char *repository, const char *reference, const char *type,
			     const struct buf *bytes, struct err *err) MUST_CHECK;

#endif
