/* SPDX-License-Identifier: Apache-2.0 */
/* Media types of the OCI image specification ("Media Types") and of Docker's schema 2, as a table. */
#ifndef OCI_MEDIA_H
#define OCI_MEDIA_H

#include <stdbool.h>
#include <stddef.h>

enum media_kind {
	MEDIA_OTHER, /* anything else: artifacts carry what they like */
	MEDIA_MANIFEST,
	MEDIA_INDEX,
	MEDIA_CONFIG,
	MEDIA_LAYER,
};

enum media_compression { MEDIA_PLAIN, MEDIA_GZIP, MEDIA_ZSTD };

struct media {
	enum media_kind kind;
	enum media_compression compression; /* of a layer */
	bool encrypted;                     /* layer type followed by "+encrypted" */
};

#define MEDIA_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
/* What a client that pulls images says in "Accept". */
#define MEDIA_ACCEPT MEDIA_OCI_MANIFEST ", " MEDIA_OCI_INDEX ", " MEDIA_DOCKER_MANIFEST ", " MEDIA_DOCKER_LIST

/* What a media type is. */
struct media media_of(const char *type);

/* Whether this is "type/subtype" of RFC 6838 letters without parameters, at most 255 bytes. */
bool media_is_type(const char *type);

#endif
