/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_verified.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define SLOTS (1u << 15)

struct cir_verified {
	_Atomic uint64_t slots[SLOTS];
};

/* A hash of what must be the same, never 0; the digest's own bits, so that no file can be made to look like another. */
static uint64_t entry_of(const struct digest *digest, const struct stat *file)
{
	const uint64_t parts[] = {
		(uint64_t)file->st_dev,         (uint64_t)file->st_ino,          (uint64_t)file->st_size,
		(uint64_t)file->st_ctim.tv_sec, (uint64_t)file->st_ctim.tv_nsec,
	};
	uint64_t hash;

	memcpy(&hash, digest->bytes + 8, sizeof(hash));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		hash = (hash ^ parts[i]) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	return hash ? hash : 1;
}

static uint32_t slot_of(const struct digest *digest)
{
	uint32_t slot;

	memcpy(&slot, digest->bytes, sizeof(slot));
	return slot % SLOTS;
}

int cir_verified_new(struct cir_verified **ret_verified, struct err *err)
{
	struct cir_verified *verified = calloc(1, sizeof(*verified));

	if (!verified)
		return err_set(err, -ENOMEM, "no memory for the table of verified blobs");
	*ret_verified = verified;
	return 0;
}

void cir_verified_free(struct cir_verified *verified)
{
	free(verified);
}

void cir_verified_add(struct cir_verified *verified, const struct digest *digest, const struct stat *file)
{
	atomic_store(&verified->slots[slot_of(digest)], entry_of(digest, file));
}

bool cir_verified_has(const struct cir_verified *verified, const struct digest *digest, const struct stat *file)
{
	return atomic_load(&verified->slots[slot_of(digest)]) == entry_of(digest, file);
}
