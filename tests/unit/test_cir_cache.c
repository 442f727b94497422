/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct cir_cached *put(struct cir_cache *cache, const char *reference, uint64_t version, const char *bytes)
{
	const struct cir_cached manifest = {.type = "a/b", .bytes = bytes, .len = strlen(bytes)};

	return cir_cache_put(cache, "repository", reference, version, &manifest);
}

static bool holds(struct cir_cache *cache, const char *reference, const char *bytes)
{
	uint64_t version;
	struct cir_cached *cached = cir_cache_get(cache, "repository", reference, &version);
	bool same = cached && cached->len == strlen(bytes) && memcmp(cached->bytes, bytes, cached->len) == 0 &&
		    strcmp(cached->type, "a/b") == 0;

	cir_cached_unref(cached);
	return same;
}

static void test_kept_until_forgotten(void **state)
{
	struct cir_cache *cache;
	struct cir_cached *held;
	uint64_t version;

	(void)state;
	assert_int_equal(cir_cache_new(&cache, NULL), 0);
	assert_null(cir_cache_get(cache, "repository", "v1", &version));
	held = put(cache, "v1", version, "one");
	assert_true(holds(cache, "v1", "one"));
	assert_false(holds(cache, "v2", "one"));
	assert_null(cir_cache_get(cache, "other", "v1", &version));
	cir_cache_forget(cache, "repository", "v1");
	assert_false(holds(cache, "v1", "one"));
	/* Who holds it has it still. */
	assert_memory_equal(held->bytes, "one", 3);
	cir_cached_unref(held);
	cir_cache_free(cache);
}

/* What was read before a change is not put in behind it. */
static void test_old_reader(void **state)
{
	struct cir_cache *cache;
	uint64_t version;

	(void)state;
	assert_int_equal(cir_cache_new(&cache, NULL), 0);
	assert_null(cir_cache_get(cache, "repository", "v1", &version));
	cir_cache_forget(cache, "repository", "v1");
	cir_cached_unref(put(cache, "v1", version, "old"));
	assert_false(holds(cache, "v1", "old"));
	assert_null(cir_cache_get(cache, "repository", "v1", &version));
	cir_cache_forget_all(cache);
	cir_cached_unref(put(cache, "v1", version, "old"));
	assert_false(holds(cache, "v1", "old"));
	cir_cache_free(cache);
}

/* Many and large ones are served all the same; of those that are kept none is mistaken for another. */
static void test_full(void **state)
{
	static char large[200000];
	struct cir_cache *cache;
	char name[32], bytes[2000];
	size_t kept = 0;

	(void)state;
	assert_int_equal(cir_cache_new(&cache, NULL), 0);
	memset(large, 'x', sizeof(large) - 1);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 20000; i++) {
			uint64_t version;
			struct cir_cached *cached;

			(void)snprintf(name, sizeof(name), "v%d", i);
			(void)snprintf(bytes, sizeof(bytes), "%d %.*s", i, i % 1900, large);
			cached = cir_cache_get(cache, "repository", name, &version);
			if (cached)
				kept++;
			else
				cached = put(cache, name, version, bytes);
			assert_memory_equal(cached->bytes, bytes, cached->len);
			cir_cached_unref(cached);
		}
	assert_true(kept < 10000);
	cir_cached_unref(put(cache, "large", 0, large));
	assert_false(holds(cache, "large", large));
	cir_cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept_until_forgotten),
		cmocka_unit_test(test_old_reader),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
