/* SPDX-License-Identifier: Apache-2.0 */
/* What the registry holds of one image: how large, whether encrypted, and what is attached to it. */
#ifndef CLI_IMAGEINFO_H
#define CLI_IMAGEINFO_H

#include "cli/regclient.h"

#define IMAGEINFO_ATTACHED_MAX 256

enum imageinfo_kind { IMAGEINFO_SIGNATURE, IMAGEINFO_ATTESTATION, IMAGEINFO_ARTIFACT };
/* "signature", "attestation", "artifact" */
const char *imageinfo_kind_name(enum imageinfo_kind kind);

struct imageinfo_attached {
	enum imageinfo_kind kind;
	char digest[DIGEST_TEXT_SIZE];
	char type[256];      /* artifact type, or media type of its first layer */
	char predicate[256]; /* what a bundle speaks of, or empty */
	char tag[160];       /* by which it is found, or empty: as a referrer */
};

struct imageinfo {
	struct digest digest;
	char type[256];
	uint64_t bytes; /* all contents, each once an entry */
	bool encrypted; /* of every layer */
	struct imageinfo_attached *attached;
	size_t attached_count;
};

/* Whether a tag is one by which signatures, attestations and SBOMs of another image are found: "sha256-HEX.sig", ".att", ".sbom". */
bool imageinfo_is_attached_tag(const char *tag);

/* Reads the image. signatures say only that they are there, not that they hold. */
int imageinfo_read(struct regclient *client, const char *repository, const char *reference, struct imageinfo *ret_info,
		   struct err *err) MUST_CHECK;
void imageinfo_done(struct imageinfo *info);
#define CLEANUP_IMAGEINFO __attribute__((cleanup(imageinfo_done)))

size_t imageinfo_count(const struct imageinfo *info, enum imageinfo_kind kind);

#endif
