/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/str.h"

#define SHARDS 64
#define SLOTS 64
/* Of a shard, 8 MiB in all; a manifest over a quarter of that is not kept. */
#define SHARD_BYTES ((size_t)128 << 10)
#define MANIFEST_BYTES (SHARD_BYTES / 4)

struct entry {
	struct cir_cached public; /* first: what callers see */
	_Atomic unsigned references;
	const char *repository, *reference;
	size_t size;
	char text[]; /* repository, reference, type, bytes */
};

struct shard {
	pthread_mutex_t lock;
	uint64_t version; /* how often something was forgotten */
	struct entry *slots[SLOTS];
	size_t bytes, hand; /* hand: the next to go when there is no room */
};

struct cir_cache {
	struct shard shards[SHARDS];
};

int cir_cache_new(struct cir_cache **ret_cache, struct err *err)
{
	struct cir_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return err_set(err, -ENOMEM, "no memory for a cache");
	for (size_t i = 0; i < SHARDS; i++)
		(void)pthread_mutex_init(&cache->shards[i].lock, NULL);
	*ret_cache = cache;
	return 0;
}

void cir_cached_unref(struct cir_cached *cached)
{
	struct entry *entry = (struct entry *)cached;

	if (entry && atomic_fetch_sub(&entry->references, 1) == 1)
		free(entry);
}

static void empty_slot(struct shard *shard, struct entry **slot)
{
	if (!*slot)
		return;
	shard->bytes -= (*slot)->size;
	cir_cached_unref(&(*slot)->public);
	*slot = NULL;
}

void cir_cache_free(struct cir_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		for (size_t slot = 0; slot < SLOTS; slot++)
			empty_slot(&cache->shards[i], &cache->shards[i].slots[slot]);
		(void)pthread_mutex_destroy(&cache->shards[i].lock);
	}
	free(cache);
}

static uint64_t hash_on(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

static uint64_t hash_of(const char *repository, const char *reference)
{
	return hash_on(hash_on(UINT64_C(0xcbf29ce484222325), repository), reference);
}

static struct shard *shard_of(struct cir_cache *cache, uint64_t hash)
{
	return &cache->shards[(hash >> 32) % SHARDS];
}

static struct entry **slot_of(struct shard *shard, uint64_t hash)
{
	return &shard->slots[(hash >> 40) % SLOTS];
}

struct cir_cached *cir_cache_get(struct cir_cache *cache, const char *repository, const char *reference,
				 uint64_t *ret_version)
{
	uint64_t hash = hash_of(repository, reference);
	struct shard *shard = shard_of(cache, hash);
	struct entry *entry;

	(void)pthread_mutex_lock(&shard->lock);
	entry = *slot_of(shard, hash);
	if (entry && (!str_eq(entry->reference, reference) || !str_eq(entry->repository, repository)))
		entry = NULL;
	if (entry)
		atomic_fetch_add(&entry->references, 1);
	*ret_version = shard->version;
	(void)pthread_mutex_unlock(&shard->lock);
	return entry ? &entry->public : NULL;
}

static char *append(char **at, const void *bytes, size_t len)
{
	char *start = *at;

	memcpy(start, bytes, len);
	start[len] = '\0';
	*at += len + 1;
	return start;
}

static struct entry *copy(const char *repository, const char *reference, const struct cir_cached *manifest)
{
	size_t size = sizeof(struct entry) + strlen(repository) + strlen(reference) + strlen(manifest->type) +
		      manifest->len + 4;
	struct entry *entry = malloc(size);
	char *at;

	if (!entry)
		return NULL;
	at = entry->text;
	entry->size = size;
	entry->repository = append(&at, repository, strlen(repository));
	entry->reference = append(&at, reference, strlen(reference));
	entry->public.digest = manifest->digest;
	entry->public.type = append(&at, manifest->type, strlen(manifest->type));
	entry->public.bytes = append(&at, manifest->bytes, manifest->len);
	entry->public.len = manifest->len;
	atomic_init(&entry->references, 1);
	return entry;
}

static void make_room(struct shard *shard, size_t size)
{
	while (shard->bytes + size > SHARD_BYTES) {
		empty_slot(shard, &shard->slots[shard->hand]);
		shard->hand = (shard->hand + 1) % SLOTS;
	}
}

struct cir_cached *cir_cache_put(struct cir_cache *cache, const char *repository, const char *reference,
				 uint64_t version, const struct cir_cached *manifest)
{
	uint64_t hash = hash_of(repository, reference);
	struct shard *shard = shard_of(cache, hash);
	struct entry *entry = copy(repository, reference, manifest), **slot;

	if (!entry || entry->size > MANIFEST_BYTES)
		return entry ? &entry->public : NULL;
	(void)pthread_mutex_lock(&shard->lock);
	if (shard->version == version) {
		slot = slot_of(shard, hash);
		empty_slot(shard, slot);
		make_room(shard, entry->size);
		atomic_fetch_add(&entry->references, 1);
		shard->bytes += entry->size;
		*slot = entry;
	}
	(void)pthread_mutex_unlock(&shard->lock);
	return &entry->public;
}

void cir_cache_forget(struct cir_cache *cache, const char *repository, const char *reference)
{
	uint64_t hash = hash_of(repository, reference);
	struct shard *shard = shard_of(cache, hash);

	(void)pthread_mutex_lock(&shard->lock);
	shard->version++;
	empty_slot(shard, slot_of(shard, hash));
	(void)pthread_mutex_unlock(&shard->lock);
}

void cir_cache_forget_all(struct cir_cache *cache)
{
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *shard = &cache->shards[i];

		(void)pthread_mutex_lock(&shard->lock);
		shard->version++;
		for (size_t slot = 0; slot < SLOTS; slot++)
			empty_slot(shard, &shard->slots[slot]);
		(void)pthread_mutex_unlock(&shard->lock);
	}
}
