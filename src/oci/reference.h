/* SPDX-License-Identifier: Apache-2.0 */
/* Image references "host[:port]/repository[:tag][@digest]". The host is always named: there is no default registry. */
#ifndef OCI_REFERENCE_H
#define OCI_REFERENCE_H

#include <stdbool.h>

#include "oci/digest.h"

#define REFERENCE_HOST_SIZE 272
#define REFERENCE_REPOSITORY_SIZE 256
#define REFERENCE_TAG_SIZE 129
#define REFERENCE_TEXT_SIZE \
	(REFERENCE_HOST_SIZE + REFERENCE_REPOSITORY_SIZE + REFERENCE_TAG_SIZE + DIGEST_TEXT_SIZE + 4)

struct reference {
	char host[REFERENCE_HOST_SIZE]; /* with ":port" where one was given; IPv6 addresses in brackets */
	char repository[REFERENCE_REPOSITORY_SIZE];
	char tag[REFERENCE_TAG_SIZE]; /* empty when absent */
	bool has_digest;
	struct digest digest;
};

/* Reads a reference; neither tag nor digest is required here. ERR_INVALID names the reference and the part at fault. */
int reference_parse(const char *text, struct reference *ret_reference, struct err *err) MUST_CHECK;

/* Writes the reference as it was read, and NUL. */
void reference_format(const struct reference *reference, char to[static REFERENCE_TEXT_SIZE]);

/* Whether this is a host: a DNS name, IPv4 address or bracketed IPv6 address, and optionally ":port". */
bool reference_is_host(const char *host);

/* Whether this is a repository name of the OCI distribution specification ("Pulling manifests"), at most 255 bytes. */
bool reference_is_repository(const char *repository);

/* Whether this is a tag of the OCI distribution specification: 1 to 128 of [A-Za-z0-9_.-], not beginning with . or -. */
bool reference_is_tag(const char *tag);

#endif
