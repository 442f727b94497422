/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/topology.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"

static int parse(const char *text, struct topology *to, struct err *err)
{
	return topology_parse(text, strlen(text), to, err);
}

static void test_good(void **state)
{
	struct topology topology = {0};
	const struct topology_instance *found;

	(void)state;
	assert_int_equal(parse("{\"instances\":[{\"name\":\"node-1\",\"server\":\"s1\",\"deployment\":\"Nested\","
			       "\"vm\":\"v\",\"epoch\":7}]}",
			       &topology, NULL),
			 0);
	found = topology_find(&topology, "node-1");
	assert_non_null(found);
	assert_string_equal(found->server, "s1");
	assert_string_equal(found->vm, "v");
	assert_int_equal(found->epoch, 7);
	assert_null(topology_find(&topology, "node-2"));
	topology_done(&topology);
	assert_int_equal(parse("{\"instances\":[]}", &topology, NULL), 0);
	topology_done(&topology);
}

#define ROW(fields) "{\"instances\":[{" fields "}]}"

static void test_bad(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{"", "topology.json"},
		{"{}", "instances"},
		{"{\"instances\":[],\"more\":1}", "more"},
		{"{\"instances\":[{\"name\":\"a\",\"server\":\"s\",\"deployment\":\"Nested\",\"epoch\":1},"
		 "{\"name\":\"a\",\"server\":\"t\",\"deployment\":\"Nested\",\"epoch\":1}]}",
		 "instances: 'a' stands twice"},
		{ROW("\"name\":\"a\",\"server\":\"s\",\"deployment\":\"Nested\",\"epoch\":1,\"power\":\"No\""),
		 "instances[0].power: 'No' is none of On, Off"},
		{"{\"instances\":[],\"generation\":0}", "generation: must be at least 1"},
		{"{\"instances\":[],\"left\":[{\"name\":\"a\",\"server\":\"s\"}]}", "left[0]"},
		{"{\"instances\":[],\"left\":[{\"name\":\"a\",\"server\":\"s\",\"epoch\":0}]}",
		 "left[0].epoch: must be at least 1"},
		{"{\"instances\":[],\"left\":[{\"name\":\"a\",\"server\":\"s\",\"epoch\":1},"
		 "{\"name\":\"a\",\"server\":\"s\",\"epoch\":2}]}",
		 "left: 'a' stands twice with server 's'"},
		{ROW("\"name\":\"a\""), "instances[0]"},
		{ROW("\"name\":\"A\",\"server\":\"s\",\"deployment\":\"Nested\",\"epoch\":1"),
		 "instances[0].name: 'A' is not a DNS name"},
		{ROW("\"name\":\"a\",\"server\":\"../s\",\"deployment\":\"Nested\",\"epoch\":1"),
		 "instances[0].server: '../s' is not"},
		{ROW("\"name\":\"a\",\"server\":\"s\",\"deployment\":\"Nested\",\"epoch\":0"),
		 "instances[0].epoch: must be at least 1"},
		{ROW("\"name\":\"a\",\"server\":\"s\",\"deployment\":\"Nested\",\"epoch\":\"1\""),
		 "instances[0].epoch"},
	};
	struct topology topology = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = {0};

		assert_true(parse(rows[i].text, &topology, &err) < 0);
		if (!strstr(err.msg, rows[i].message))
			fail_msg("'%s' does not say '%s'", err.msg, rows[i].message);
		assert_null(topology.instances);
	}
}

/* NAME@SERVER/EPOCH words (with a '!' behind them: powered off) and a generation as a topology. */
static struct topology topology_of(const char *words, unsigned generation)
{
	CLEANUP_FREE char *copy = strdup(words);
	struct topology topology = {.generation = generation, .instances = calloc(8, sizeof(*topology.instances))};
	char *save = NULL;

	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		struct topology_instance *to = &topology.instances[topology.count++];
		char *at = strchr(word, '@'), *slash = strchr(word, '/');

		(void)snprintf(to->name, sizeof(to->name), "%.*s", (int)(at - word), word);
		(void)snprintf(to->server, sizeof(to->server), "%.*s", (int)(slash - at - 1), at + 1);
		(void)snprintf(to->deployment, sizeof(to->deployment), "Nested");
		to->epoch = strtoul(slash + 1, NULL, 10);
		to->off = strchr(slash, '!');
	}
	return topology;
}

static void test_follows(void **state)
{
	static const struct {
		const char *now;
		unsigned now_generation;
		const char *next;
		unsigned next_generation;
		bool alone;
		const char *outcome;
	} rows[] = {
		{"a@s/1", 1, "a@s/1", 1, false, "same"},
		{"a@s/1 b@t/1", 1, "b@t/1 a@s/1", 1, false, "same"},
		{"a@s/1", 2, "a@s/1", 1, false, "same"},
		{"a@s/1", 2, "a@s/1", 0, false, "same"},
		{"a@s/1", 1, "a@s/1", 2, false, "newer"},
		{"a@s/1", 0, "a@s/1 b@s/1", 1, false, "newer"},
		{"a@s/1", 1, "a@t/2", 2, false, "newer"},
		{"a@s/1 b@s/1", 1, "a@s/1", 2, false, "newer"},
		{"a@s/1", 0, "a@t/2", 0, true, "newer"},
		{"a@s/1", 0, "a@t/2", 0, false, "it differs from the one of generation 0 and has no generation"},
		{"a@s/1", 3, "a@t/2", 0, true, "it differs from the one of generation 3 and has no generation"},
		{"a@s/1", 3, "a@t/2", 3, false, "it differs from the one of the same generation 3"},
		{"a@s/1", 3, "a@t/2", 2, true, "its generation 2 is older than 3"},
		{"a@s/2", 3, "a@s/1", 4, false, "instance 'a' goes back from epoch 2 to 1"},
		{"a@s/2", 3, "a@t/2", 4, false, "instance 'a' is on server 't' in the same epoch 2 as on 's'"},
		{"a@s/2", 0, "a@t/2", 0, true, "instance 'a' is on server 't' in the same epoch 2 as on 's'"},
		/* Two servers that are swapped, said and not said. */
		{"a@s/1 b@t/1", 1, "a@t/2 b@s/2", 2, false, "newer"},
		{"a@s/1 b@t/1", 1, "a@t/1 b@s/1", 2, false,
		 "instance 'a' is on server 't' in the same epoch 1 as on 's'"},
		{"a@s/1", 1, "a@s/1!", 2, false, "instance 'a' is powered off in the same epoch 1 as it ran in"},
		{"a@s/1", 1, "a@s/2!", 2, false, "newer"},
		{"a@s/2!", 1, "a@s/2", 2, false, "newer"},
		{"a@s/2!", 1, "a@s/2", 1, false, "it differs from the one of the same generation 1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct topology now = topology_of(rows[i].now, rows[i].now_generation);
		struct topology next = topology_of(rows[i].next, rows[i].next_generation);
		struct err err = {0};
		int r = topology_follows(&now, &next, rows[i].alone, &err);

		assert_string_equal(r < 0 ? err.msg : r ? "newer" : "same", rows[i].outcome);
		assert_true(r >= 0 || r == ERR_DENIED);
		topology_done(&now);
		topology_done(&next);
	}
}

/* An epoch does not start anew for who leaves the source and comes back. */
static void test_departed(void **state)
{
	struct topology first = topology_of("a@s/5 b@t/1", 1), without = topology_of("b@t/1", 2);
	struct topology stored = {0}, back = topology_of("a@u/5 b@t/1", 3), newer = topology_of("a@u/6 b@t/1", 3);
	CLEANUP_FREE char *text = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(topology_follows(&first, &without, false, NULL), 1);
	assert_int_equal(topology_remember(&without, &first, NULL), 0);
	text = topology_format(&without);
	assert_int_equal(parse(text, &stored, NULL), 0);
	assert_int_equal(stored.departed_count, 1);
	assert_null(topology_find(&stored, "a"));
	assert_int_equal(topology_follows(&stored, &back, false, &err), ERR_DENIED);
	assert_string_equal(err.msg, "instance 'a' is on server 'u' in the same epoch 5 as on 's'");
	assert_int_equal(topology_follows(&stored, &newer, false, NULL), 1);
	assert_int_equal(topology_remember(&newer, &stored, NULL), 0);
	assert_int_equal(newer.departed_count, 0);
	topology_done(&first);
	topology_done(&without);
	topology_done(&stored);
	topology_done(&back);
	topology_done(&newer);
}

/* What may still run beside where it was bound and where its instance is now, as words. */
static const char *left_of(const struct topology *topology, const char *instance, uint64_t epoch)
{
	static char words[128];
	const char *server;
	size_t at = 0;

	words[0] = '\0';
	while ((server = topology_next_left(topology, instance, epoch, &at))) {
		(void)snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s%s", words[0] ? " " : "",
			       server);
	}
	return words;
}

/* Somebody is charged to a alone, since the epoch that `user` points to. */
static bool needs(void *user, const struct topology_left *left)
{
	return strcmp(left->name, "a") == 0 && *(const uint64_t *)user <= left->epoch;
}

/* Takes a topology in as the CISM does, by way of its text. */
static void move_on(struct topology *now, const char *words, uint64_t needed_since)
{
	struct topology next = topology_of(words, (unsigned)now->generation + 1);
	CLEANUP_FREE char *text = NULL;

	assert_int_equal(topology_follows(now, &next, false, NULL), 1);
	assert_int_equal(topology_leave(&next, now, needs, &needed_since, NULL), 0);
	assert_int_equal(topology_remember(&next, now, NULL), 0);
	text = topology_format(&next);
	topology_done(now);
	topology_done(&next);
	assert_int_equal(parse(text, now, NULL), 0);
}

/* A server that was left stays known for who was bound in that epoch or before, and for nobody who came later. */
static void test_left(void **state)
{
	struct topology topology = topology_of("a@s1/1 b@t/1", 1);

	(void)state;
	move_on(&topology, "a@s0/2 b@t/1", 1);
	assert_string_equal(left_of(&topology, "a", 1), "s1");
	assert_string_equal(left_of(&topology, "a", 2), "");
	move_on(&topology, "a@s3/3 b@u/2", 1);
	assert_string_equal(left_of(&topology, "a", 1), "s0 s1");
	assert_string_equal(left_of(&topology, "a", 2), "s0");
	assert_string_equal(left_of(&topology, "a", 3), "");
	assert_string_equal(left_of(&topology, "b", 1), "t");
	assert_string_equal(left_of(&topology, "aa", 1), "");
	/* To where it was: once, with the latest epoch. It leaves the source, and comes back elsewhere. */
	move_on(&topology, "a@s0/4 b@u/2", 1);
	move_on(&topology, "b@u/2", 1);
	assert_string_equal(left_of(&topology, "a", 1), "s0 s1 s3");
	move_on(&topology, "a@s4/5 b@u/2", 1);
	assert_string_equal(left_of(&topology, "a", 1), "s0 s1 s3");
	assert_string_equal(left_of(&topology, "a", 4), "s0");
	assert_string_equal(left_of(&topology, "b", 1), "");
	/* Nobody of those epochs is charged any more. */
	move_on(&topology, "a@s4/5 b@u/3", 4);
	assert_string_equal(left_of(&topology, "a", 1), "s0");
	move_on(&topology, "a@s4/5 b@u/4", 5);
	assert_int_equal(topology.left_count, 0);
	topology_done(&topology);
}

static void test_format(void **state)
{
	struct topology topology = topology_of("a@s/1 b@t/7", 5), again = {0};
	CLEANUP_FREE char *text = topology_format(&topology);

	(void)state;
	assert_int_equal(parse(text, &again, NULL), 0);
	assert_int_equal(again.generation, 5);
	assert_int_equal(topology_follows(&topology, &again, false, NULL), 0);
	topology_done(&topology);
	topology_done(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),     cmocka_unit_test(test_bad),  cmocka_unit_test(test_follows),
		cmocka_unit_test(test_departed), cmocka_unit_test(test_left), cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
