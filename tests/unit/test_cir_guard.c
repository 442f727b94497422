/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_guard.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

static bool is_touched(struct cir_guard *guard, const struct digest *digest)
{
	bool touched;

	cir_guard_close(guard);
	touched = cir_guard_is_touched(guard, digest);
	cir_guard_open(guard);
	return touched;
}

static void touch(struct cir_guard *guard, const struct digest *digest)
{
	cir_guard_use(guard);
	cir_guard_touch(guard, digest);
	cir_guard_used(guard);
}

/* A touch holds for a grace at least and for two at most, however often the collector runs. */
static void test_grace(void **state)
{
	const struct timespec most = {3, 50000000}, little = {0, 100000000};
	struct digest a = {.bytes = {1}}, b = {.bytes = {2}};
	struct cir_guard *guard;

	(void)state;
	assert_int_equal(cir_guard_new(3, &guard, NULL), 0);
	assert_int_equal(cir_guard_grace(guard), 3);
	(void)nanosleep(&most, NULL);
	touch(guard, &a);
	cir_guard_age(guard);
	for (int i = 0; i < 8; i++) {
		assert_true(is_touched(guard, &a));
		assert_false(is_touched(guard, &b));
		(void)nanosleep(&little, NULL);
		cir_guard_age(guard);
	}
	(void)nanosleep(&most, NULL);
	cir_guard_age(guard);
	assert_false(is_touched(guard, &a));
	cir_guard_free(guard);
}

static _Atomic bool in_use, ended;

static void *push(void *guard)
{
	while (!atomic_load(&ended)) {
		cir_guard_use(guard);
		atomic_store(&in_use, true);
		cir_guard_used(guard);
	}
	return NULL;
}

/* The collector gets its turn though somebody uses the guard all the time. */
static void test_collector_is_not_kept_out(void **state)
{
	struct cir_guard *guard;
	pthread_t threads[4];

	(void)state;
	assert_int_equal(cir_guard_new(1, &guard, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, push, guard), 0);
	while (!atomic_load(&in_use))
		;
	for (int i = 0; i < 100; i++) {
		cir_guard_close(guard);
		cir_guard_open(guard);
	}
	atomic_store(&ended, true);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	cir_guard_free(guard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grace),
		cmocka_unit_test(test_collector_is_not_kept_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
