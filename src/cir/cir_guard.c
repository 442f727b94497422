/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_guard.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"

/* A digest is a bit of a million: of 10,000 that are touched in a grace, one in a hundred others waits for no reason. */
#define BITS (1u << 20)
#define WORDS (BITS / 64)
#define SECOND_NS UINT64_C(1000000000)

struct cir_guard {
	pthread_rwlock_t lock;
	unsigned grace_seconds;
	uint64_t aged_ns; /* when old became old */
	uint64_t made_ns; /* by both clocks */
	int64_t made_wall_s;
	unsigned young; /* which of the two takes touches; the other is a grace older */
	_Atomic uint64_t touched[2][WORDS];
};

int cir_guard_new(unsigned grace_seconds, struct cir_guard **ret_guard, struct err *err)
{
	struct cir_guard *guard = calloc(1, sizeof(*guard));
	pthread_rwlockattr_t attributes;

	if (!guard)
		return err_set(err, -ENOMEM, "no memory for the collector's guard");
	guard->grace_seconds = grace_seconds;
	guard->aged_ns = guard->made_ns = clock_monotonic_ns();
	guard->made_wall_s = clock_wall_ms() / 1000;
	(void)pthread_rwlockattr_init(&attributes);
	/* Pushes that never end would keep the collector out for ever. */
	(void)pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	(void)pthread_rwlock_init(&guard->lock, &attributes);
	(void)pthread_rwlockattr_destroy(&attributes);
	*ret_guard = guard;
	return 0;
}

void cir_guard_free(struct cir_guard *guard)
{
	if (!guard)
		return;
	(void)pthread_rwlock_destroy(&guard->lock);
	free(guard);
}

int64_t cir_guard_now_s(const struct cir_guard *guard)
{
	int64_t passed_s = (int64_t)((clock_monotonic_ns() - guard->made_ns) / SECOND_NS);
	int64_t wall_s = clock_wall_ms() / 1000;

	return wall_s < guard->made_wall_s + passed_s ? wall_s : guard->made_wall_s + passed_s;
}

unsigned cir_guard_grace(const struct cir_guard *guard)
{
	return guard->grace_seconds;
}

void cir_guard_use(struct cir_guard *guard)
{
	(void)pthread_rwlock_rdlock(&guard->lock);
}

void cir_guard_used(struct cir_guard *guard)
{
	(void)pthread_rwlock_unlock(&guard->lock);
}

static uint32_t bit_of(const struct digest *digest)
{
	uint32_t bit;

	memcpy(&bit, digest->bytes, sizeof(bit));
	return bit % BITS;
}

void cir_guard_touch(struct cir_guard *guard, const struct digest *digest)
{
	uint32_t bit = bit_of(digest);

	atomic_fetch_or(&guard->touched[guard->young][bit / 64], UINT64_C(1) << (bit % 64));
}

void cir_guard_age(struct cir_guard *guard)
{
	uint64_t now = clock_monotonic_ns();

	if (now < guard->aged_ns + guard->grace_seconds * SECOND_NS)
		return;
	cir_guard_close(guard);
	guard->aged_ns = now;
	guard->young ^= 1;
	for (size_t i = 0; i < WORDS; i++)
		atomic_store_explicit(&guard->touched[guard->young][i], 0, memory_order_relaxed);
	cir_guard_open(guard);
}

void cir_guard_close(struct cir_guard *guard)
{
	(void)pthread_rwlock_wrlock(&guard->lock);
}

void cir_guard_open(struct cir_guard *guard)
{
	(void)pthread_rwlock_unlock(&guard->lock);
}

bool cir_guard_is_touched(const struct cir_guard *guard, const struct digest *digest)
{
	uint32_t bit = bit_of(digest);
	uint64_t mask = UINT64_C(1) << (bit % 64);

	return (atomic_load(&guard->touched[0][bit / 64]) | atomic_load(&guard->touched[1][bit / 64])) & mask;
}
