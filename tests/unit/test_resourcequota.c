/* SPDX-License-Identifier: Apache-2.0 */
/* CISM-4: what a namespace uses never passes its quotas, however many count at once. */
#include "policy/resourcequota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

#define BLOCKS 5

static struct policy_amounts amounts(const char *name, int64_t milli)
{
	struct policy_amounts made = {0};

	assert_int_equal(policy_amounts_add(&made, name, milli, NULL), 0);
	return made;
}

static struct policy_resourcequota quota(const char *name, const char *resource, int64_t milli)
{
	return (struct policy_resourcequota){.name = name, .hard = amounts(resource, milli)};
}

static void test_names(void **state)
{
	static const struct {
		const char *hard, *name;
		bool counts;
	} rows[] = {
		{"cpu", "requests.cpu", true},
		{"memory", "requests.memory", true},
		{"ephemeral-storage", "requests.ephemeral-storage", true},
		{"hugepages-2Mi", "requests.hugepages-2Mi", true},
		{"limits.cpu", "limits.cpu", true},
		{"requests.example.com/accelerator", "requests.example.com/accelerator", true},
		{"pods", "pods", true},
		{"count/pods", "pods", true},
		{"services", "services", false},
		{"count/secrets", "count/secrets", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char name[POLICY_AMOUNT_NAME];

		policy_resourcequota_name(rows[i].hard, name);
		assert_string_equal(name, rows[i].name);
		assert_int_equal(policy_resourcequota_counts(rows[i].hard), rows[i].counts);
	}
}

static void test_amounts_for_people(void **state)
{
	static const struct {
		const char *name, *text;
		int64_t milli;
	} rows[] = {
		{"requests.cpu", "500m", 500},
		{"requests.cpu", "2048", 2048000},
		{"limits.memory", "64Mi", INT64_C(64) << 20},
		{"limits.memory", "1000", 1000},
		{"pods", "0", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t milli = strstr(rows[i].name, "memory") ? rows[i].milli * 1000 : rows[i].milli;
		char text[32];

		policy_amount_format(rows[i].name, milli, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void test_refusal_names_quota_and_amounts(void **state)
{
	struct policy_resourcequota quotas[] = {quota("wide", "pods", 9000), quota("narrow", "pods", 2000)};
	struct policy_resourcequota_block *blocks = calloc(BLOCKS, sizeof(*blocks));
	struct policy_amounts one = amounts("pods", 1000);
	enum policy_resourcequota_way way;
	struct err err = {0};

	(void)state;
	assert_int_equal(policy_resourcequota_charge(quotas, 2, blocks, BLOCKS, 0, &one, &way, &err), 0);
	assert_int_equal(policy_resourcequota_charge(quotas, 2, blocks, BLOCKS, 1, &one, &way, &err), 0);
	assert_int_equal(policy_resourcequota_charge(quotas, 2, blocks, BLOCKS, 2, &one, &way, &err), ERR_DENIED);
	assert_string_equal(err.msg, "exceeded quota: narrow, requested: pods=1, used: pods=2, limited: pods=2");
	free(blocks);
}

/* A block that has enough left is all that changes; what others left unused is collected before anybody is refused. */
static void test_ways(void **state)
{
	struct policy_resourcequota quotas[] = {quota("q", "pods", 40000)};
	struct policy_resourcequota_block *blocks = calloc(BLOCKS, sizeof(*blocks));
	struct policy_amounts one = amounts("pods", 1000);
	enum policy_resourcequota_way way;
	bool collected = false;

	(void)state;
	assert_int_equal(policy_resourcequota_charge(quotas, 1, blocks, BLOCKS, 0, &one, &way, NULL), 0);
	assert_int_equal(way, POLICY_RESOURCEQUOTA_GRANTED);
	assert_int_equal(policy_resourcequota_charge(quotas, 1, blocks, BLOCKS, 0, &one, &way, NULL), 0);
	assert_int_equal(way, POLICY_RESOURCEQUOTA_COVERED);
	for (int i = 0; i < 38; i++) {
		assert_int_equal(policy_resourcequota_charge(quotas, 1, blocks, BLOCKS, 1, &one, &way, NULL), 0);
		collected |= way == POLICY_RESOURCEQUOTA_COLLECTED;
	}
	assert_true(collected);
	assert_int_equal(policy_amounts_get(&blocks[0].granted, "pods"), 2000);
	assert_int_equal(policy_resourcequota_charge(quotas, 1, blocks, BLOCKS, 2, &one, &way, NULL), ERR_DENIED);
	free(blocks);
}

static int64_t total(const struct policy_resourcequota_block *blocks, const char *name, bool of_grants)
{
	int64_t sum = 0;

	for (size_t i = 0; i < BLOCKS; i++)
		sum += policy_amounts_get(of_grants && blocks[i].current ? &blocks[i].granted : &blocks[i].used, name);
	return sum;
}

/* Random charges, returns and changes of the limit: refused exactly when the sum would pass it, and no grant does. */
static void test_exact(void **state)
{
	struct policy_resourcequota_block *blocks = calloc(BLOCKS, sizeof(*blocks));
	struct policy_resourcequota_block *before = calloc(BLOCKS, sizeof(*blocks));
	int64_t limit = 20000, used = 0;
	int refused = 0;

	(void)state;
	srandom(7);
	for (int i = 0; i < 20000; i++) {
		struct policy_resourcequota quotas[] = {quota("q", "limits.cpu", limit)};
		int64_t ask = random() % 3 ? random() % 900 + 1 : -(random() % 900 + 1);
		struct policy_amounts want = amounts("limits.cpu", ask < -used ? -used : ask);
		size_t own = (size_t)random() % BLOCKS;
		enum policy_resourcequota_way way;
		int r;

		ask = policy_amounts_get(&want, "limits.cpu");
		if (random() % 500 == 0) {
			limit = 10000 + random() % 20000;
			for (size_t j = 0; j < BLOCKS; j++)
				blocks[j].current = false;
			continue;
		}
		memcpy(before, blocks, BLOCKS * sizeof(*blocks));
		r = policy_resourcequota_charge(quotas, 1, blocks, BLOCKS, own, &want, &way, NULL);
		assert_int_equal(r, ask > 0 && used + ask > limit ? ERR_DENIED : 0);
		if (r < 0) {
			memcpy(blocks, before, BLOCKS * sizeof(*blocks));
			refused++;
			continue;
		}
		used += ask;
		assert_int_equal(total(blocks, "limits.cpu", false), used);
		if (used <= limit)
			assert_true(total(blocks, "limits.cpu", true) <= limit);
		for (size_t j = 0; way != POLICY_RESOURCEQUOTA_COLLECTED && j < BLOCKS; j++)
			if (j != own)
				assert_memory_equal(&blocks[j], &before[j], sizeof(*blocks));
	}
	assert_true(refused > 100);
	free(blocks);
	free(before);
}

static void test_bounds(void **state)
{
	struct policy_amounts full = {0};
	struct err err = {0};
	char name[200];

	(void)state;
	for (int i = 0; i < POLICY_AMOUNTS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "requests.example.com/%d", i);
		assert_int_equal(policy_amounts_add(&full, name, 1000, &err), 0);
	}
	assert_int_equal(policy_amounts_add(&full, "one-more", 1000, &err), ERR_TOO_LARGE);
	assert_string_equal(err.msg, "the namespace's pods ask for more than 48 kinds of resources");
	assert_int_equal(policy_amounts_add(&full, name, -1000, &err), 0);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(policy_amounts_add(&full, name, 1000, &err), ERR_TOO_LARGE);
	assert_int_equal(policy_amounts_add(&full, "requests.example.com/0", INT64_MAX, &err), ERR_TOO_LARGE);
	assert_string_equal(err.msg, "the sum of requests.example.com/0 is too large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_amounts_for_people),
		cmocka_unit_test(test_refusal_names_quota_and_amounts),
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
