/* SPDX-License-Identifier: Apache-2.0 */
/* The paths of the OCI distribution specification 1.1 ("Endpoints"). No I/O. */
#ifndef CIR_CIR_ROUTE_H
#define CIR_CIR_ROUTE_H

#include "oci/digest.h"
#include "oci/reference.h"

enum cir_route_kind {
	CIR_ROUTE_PING,      /* /v2/ */
	CIR_ROUTE_CATALOG,   /* /v2/_catalog */
	CIR_ROUTE_TAGS,      /* /v2/NAME/tags/list */
	CIR_ROUTE_MANIFEST,  /* /v2/NAME/manifests/REFERENCE */
	CIR_ROUTE_BLOB,      /* /v2/NAME/blobs/DIGEST */
	CIR_ROUTE_UPLOADS,   /* /v2/NAME/blobs/uploads/ */
	CIR_ROUTE_UPLOAD,    /* /v2/NAME/blobs/uploads/ID */
	CIR_ROUTE_REFERRERS, /* /v2/NAME/referrers/DIGEST */
	CIR_ROUTE_METRICS,   /* /metrics: not of the specification */
	CIR_ROUTE_TOKEN,     /* /token: likewise */
};
#define CIR_ROUTE_COUNT 10

#define CIR_UPLOAD_ID_SIZE 33

struct cir_route {
	enum cir_route_kind kind;
	char repository[REFERENCE_REPOSITORY_SIZE];
	bool has_digest; /* of a manifest, blob or subject */
	struct digest digest;
	char tag[REFERENCE_TAG_SIZE]; /* of a manifest without digest */
	char upload[CIR_UPLOAD_ID_SIZE];
};

/*
 * Reads a decoded path. ret_code is the specification's error code on failure: ERR_NOT_FOUND for what is no endpoint,
 * ERR_SYNTAX for a bad name, digest or tag.
 */
int cir_route_parse(const char *path, struct cir_route *ret_route, const char **ret_code, struct err *err) MUST_CHECK;

/*
 * A byte range of a body of size bytes from a Range header: "bytes=A-B", "bytes=A-", "bytes=-N". 1 when there is one,
 * 0 when the header says something else and the whole body is meant (RFC 9110 section 14.2), -ERANGE when none of it lies
 * inside.
 */
int cir_route_range(const char *header, uint64_t size, uint64_t *ret_offset, uint64_t *ret_len) MUST_CHECK;

/* A chunk's Content-Range, "A-B" (the distribution specification has no unit; "bytes A-B" with or without a total is accepted). */
int cir_route_content_range(const char *header, uint64_t *ret_first, uint64_t *ret_last) MUST_CHECK;

#endif
