/* SPDX-License-Identifier: Apache-2.0 */
#include "image/plainchunks.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS 40 /* each of three threads may hold PLAINCHUNKS_PIECES, and some are left to find again */
#define NOTHING SIZE_MAX

struct slot {
	uint8_t *bytes;
	size_t file, len;
	uint64_t index;
	unsigned users;
	bool loading;
	uint64_t used; /* when, by count */
};

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct slot slots[SLOTS];
	uint64_t clock;
} chunks = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

int plainchunks_open(struct err *err)
{
	uint8_t *bytes = mmap(NULL, (size_t)SLOTS * IMAGEFILE_CHUNK, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* Not of memfd_secret: the FUSE device takes what is written to it from ordinary pages alone. */
	if (bytes == MAP_FAILED || madvise(bytes, (size_t)SLOTS * IMAGEFILE_CHUNK, MADV_DONTDUMP) < 0)
		return err_sys(err, -errno, "cannot get memory for chunks");
	for (size_t i = 0; i < SLOTS; i++)
		chunks.slots[i] = (struct slot){.bytes = bytes + i * IMAGEFILE_CHUNK, .file = NOTHING};
	return 0;
}

static struct slot *find(size_t file, uint64_t index)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (chunks.slots[i].file == file && chunks.slots[i].index == index)
			return &chunks.slots[i];
	return NULL;
}

static struct slot *longest_unused(void)
{
	struct slot *found = NULL;

	for (size_t i = 0; i < SLOTS; i++)
		if (!chunks.slots[i].users && (!found || chunks.slots[i].used < found->used))
			found = &chunks.slots[i];
	return found;
}

/* Decrypts into a slot that the caller has taken. The mutex is held, but for the work itself. */
static int load(const struct unseal *unseal, struct slot *slot)
{
	struct err err;
	size_t len = 0;
	int r;

	(void)pthread_mutex_unlock(&chunks.mutex);
	r = unseal_chunk(unseal, slot->index, slot->bytes, &len, &err);
	(void)pthread_mutex_lock(&chunks.mutex);
	slot->loading = false;
	slot->len = len;
	if (r < 0)
		slot->file = NOTHING;
	(void)pthread_cond_broadcast(&chunks.changed);
	return r;
}

/* One chunk, held. */
static int take(const struct unseal *unseal, size_t file, uint64_t index, struct slot **ret_slot)
{
	int r = 0;

	(void)pthread_mutex_lock(&chunks.mutex);
	while (true) {
		struct slot *slot = find(file, index);
		bool fresh = !slot;

		if (slot && slot->loading) {
			(void)pthread_cond_wait(&chunks.changed, &chunks.mutex);
			continue;
		}
		if (fresh)
			slot = longest_unused();
		if (!slot) {
			(void)pthread_cond_wait(&chunks.changed, &chunks.mutex);
			continue;
		}
		slot->users++;
		slot->used = ++chunks.clock;
		if (fresh) {
			slot->file = file;
			slot->index = index;
			slot->loading = true;
			r = load(unseal, slot);
		}
		if (r < 0)
			slot->users--;
		*ret_slot = slot;
		break;
	}
	(void)pthread_mutex_unlock(&chunks.mutex);
	return r;
}

int plainchunks_read(const struct unseal *unseal, size_t file, uint64_t at, size_t size,
		     struct plainchunks_piece pieces[static PLAINCHUNKS_PIECES], size_t *ret_count)
{
	uint64_t end = at < unseal_size(unseal) ? unseal_size(unseal) : at;

	*ret_count = 0;
	if (end - at > size)
		end = at + size;
	while (at < end && *ret_count < PLAINCHUNKS_PIECES) {
		size_t offset = at % IMAGEFILE_CHUNK, len;
		struct slot *slot;
		int r = take(unseal, file, at / IMAGEFILE_CHUNK, &slot);

		if (r < 0) {
			plainchunks_release(pieces, *ret_count);
			*ret_count = 0;
			return r;
		}
		len = slot->len - offset < end - at ? slot->len - offset : (size_t)(end - at);
		pieces[(*ret_count)++] = (struct plainchunks_piece){slot->bytes + offset, len,
								    (size_t)(slot - chunks.slots)};
		at += len;
	}
	return 0;
}

void plainchunks_release(const struct plainchunks_piece *pieces, size_t count)
{
	(void)pthread_mutex_lock(&chunks.mutex);
	for (size_t i = 0; i < count; i++)
		chunks.slots[pieces[i].slot].users--;
	if (count)
		(void)pthread_cond_broadcast(&chunks.changed);
	(void)pthread_mutex_unlock(&chunks.mutex);
}

void plainchunks_forget(size_t file)
{
	(void)pthread_mutex_lock(&chunks.mutex);
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *slot = &chunks.slots[i];

		if (slot->file != file)
			continue;
		explicit_bzero(slot->bytes, slot->len);
		slot->file = NOTHING;
	}
	(void)pthread_mutex_unlock(&chunks.mutex);
}
