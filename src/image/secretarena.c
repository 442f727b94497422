/* SPDX-License-Identifier: Apache-2.0 */
#include "image/secretarena.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include <openssl/crypto.h>

#include "crypto/secret.h"

#define CLASSES 24 /* blocks of 32 bytes to 256 MB, each twice the one before */
#define LEAST 32

struct block {
	size_t class;
	struct block *next; /* while free */
};

/* What the user gets is aligned for anything. */
#define HEAD 16
_Static_assert(sizeof(struct block) <= HEAD, "fits before the memory");

static struct {
	pthread_mutex_t mutex;
	char *at, *end;
	struct block *free[CLASSES];
} arena = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static size_t class_of(size_t bytes)
{
	size_t class = 0;

	while (class < CLASSES && (size_t)LEAST << class < bytes + HEAD)
		class ++;
	return class;
}

static void *take(size_t bytes)
{
	size_t class = class_of(bytes), size = (size_t)LEAST << class;
	struct block *block;

	if (class == CLASSES)
		return NULL;
	(void)pthread_mutex_lock(&arena.mutex);
	block = arena.free[class];
	if (block) {
		arena.free[class] = block->next;
	} else if ((size_t)(arena.end - arena.at) >= size) {
		block = (struct block *)(void *)arena.at;
		arena.at += size;
	}
	(void)pthread_mutex_unlock(&arena.mutex);
	if (!block)
		return NULL;
	block->class = class;
	return memset((char *)block + HEAD, 0, size - HEAD);
}

static void give_back(void *memory)
{
	struct block *block = memory ? (struct block *)(void *)((char *)memory - HEAD) : NULL;

	if (!block)
		return;
	explicit_bzero(memory, ((size_t)LEAST << block->class) - HEAD);
	(void)pthread_mutex_lock(&arena.mutex);
	block->next = arena.free[block->class];
	arena.free[block->class] = block;
	(void)pthread_mutex_unlock(&arena.mutex);
}

static void *crypto_alloc(size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	return bytes ? take(bytes) : NULL;
}

static void crypto_free(void *memory, const char *file, int line)
{
	(void)file;
	(void)line;
	give_back(memory);
}

static void *crypto_realloc(void *memory, size_t bytes, const char *file, int line)
{
	size_t had = memory ? ((size_t)LEAST << ((struct block *)(void *)((char *)memory - HEAD))->class) - HEAD : 0;
	void *grown;

	if (memory && bytes <= had && bytes)
		return memory;
	grown = crypto_alloc(bytes, file, line);
	if (grown && memory)
		memcpy(grown, memory, had < bytes ? had : bytes);
	if (grown || !bytes)
		give_back(memory);
	return grown;
}

int secretarena_open(size_t bytes, struct err *err)
{
	void *memory;
	int r = secret_new(bytes, &memory, err);

	if (r < 0)
		return r;
	arena.at = memory;
	arena.end = arena.at + bytes;
	if (CRYPTO_set_mem_functions(crypto_alloc, crypto_realloc, crypto_free) != 1)
		return err_set(err, -EBUSY, "libcrypto was used before its memory was protected");
	return 0;
}
