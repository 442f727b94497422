/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests in memory, by repository and reference (tag or digest), as they were read and verified: so many bytes at most, the
 * larger ones not at all. Who changes what a reference means forgets it here after the change and before the answer; a
 * reader that began before puts nothing in that is older (cir_cache_put).
 */
#ifndef CIR_CIR_CACHE_H
#define CIR_CIR_CACHE_H

#include <stdint.h>

#include "base/err.h"
#include "oci/digest.h"

struct cir_cache;

/* What is kept of a manifest; counted references, unchanging. */
struct cir_cached {
	struct digest digest;
	const char *type;
	const char *bytes;
	size_t len;
};

int cir_cache_new(struct cir_cache **ret_cache, struct err *err) MUST_CHECK;
void cir_cache_free(struct cir_cache *cache);

/* A reference to the manifest, given back by cir_cached_unref; NULL when it is not here. ret_version is for cir_cache_put. */
struct cir_cached *cir_cache_get(struct cir_cache *cache, const char *repository, const char *reference,
				 uint64_t *ret_version);
/*
 * Copies a manifest that was read after cir_cache_get, unless the reference was forgotten since. A reference to the copy, also
 * when it is not kept; NULL without memory.
 */
struct cir_cached *cir_cache_put(struct cir_cache *cache, const char *repository, const char *reference,
				 uint64_t version, const struct cir_cached *manifest);
void cir_cached_unref(struct cir_cached *cached);

void cir_cache_forget(struct cir_cache *cache, const char *repository, const char *reference);
void cir_cache_forget_all(struct cir_cache *cache);

#endif
