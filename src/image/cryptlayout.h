/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encrypting and decrypting the images of an OCI layout (OCI image specification 1.1, "Image Layout") as ocicrypt does, so that
 * 'skopeo copy --decryption-key' reads what is made here and what 'skopeo copy --encryption-key' makes is read here. All
 * manifests are taken, through indexes; their configurations stay clear, as that format has it.
 */
#ifndef IMAGE_CRYPTLAYOUT_H
#define IMAGE_CRYPTLAYOUT_H

#include <stdint.h>

#include "crypto/jwe.h"

struct cryptlayout_totals {
	uint64_t layers; /* that were encrypted or decrypted */
	uint64_t bytes;  /* of them */
};

/* Writes the layout of folder from into folder to, an empty one, with every layer encrypted for the recipients; those that are so
 * already are copied. What was written stays on failure. ERR_INVALID, ERR_CORRUPT name what is at fault. */
int cryptlayout_encrypt(int from, int to, const struct jwe_recipient *recipients, size_t count,
			struct cryptlayout_totals *ret_totals, struct err *err) MUST_CHECK;

/* The other way. ERR_DENIED when none of the keys opens a layer; a layer counts when HMAC and digest agree. */
int cryptlayout_decrypt(int from, int to, struct unwrap_key *const *keys, size_t count,
			struct cryptlayout_totals *ret_totals, struct err *err) MUST_CHECK;

#endif
