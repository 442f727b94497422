/* SPDX-License-Identifier: Apache-2.0 */
/* PLC-7: what must not be forgotten is on disk, and a damaged file is no empty one. */
#include "cis/nodestate.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/fdio.h"
#include "base/str.h"

static char folder[] = "/var/tmp/bulkhead-nodestate-XXXXXX";
static char path[sizeof(folder) + 16];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/state.json", folder);
	return 0;
}

static int teardown(void **state)
{
	struct err err = {0};

	(void)state;
	return fdio_remove_tree(AT_FDCWD, folder, &err);
}

static void load(struct nodestate *state)
{
	struct err err = {0};

	assert_int_equal(nodestate_load(path, state, &err), 0);
}

static void test_remembers(void **unused)
{
	struct nodestate state;
	struct err err = {0};

	(void)unused;
	load(&state);
	assert_int_equal(state.epoch, 0);
	assert_null(state.server);
	assert_false(nodestate_has_finished(&state, "a"));
	assert_int_equal(nodestate_accept(&state, 3, "server-1", &err), 0);
	assert_int_equal(nodestate_accept(&state, 2, "server-0", &err), 0);
	assert_int_equal(nodestate_finish(&state, "a", 1000, 1, &err), 0);
	assert_int_equal(nodestate_finish(&state, "a", 1000, 1, &err), 0);
	nodestate_done(&state);
	load(&state);
	assert_int_equal(state.epoch, 3);
	assert_string_equal(state.server, "server-1");
	assert_int_equal(state.count, 1);
	assert_true(nodestate_has_finished(&state, "a"));
	nodestate_done(&state);
}

/* A uid is forgotten when no ticket of it can be valid any more and the CISM has confirmed; not before. */
static void test_forgets(void **unused)
{
	struct nodestate state;
	struct err err = {0};

	(void)unused;
	load(&state);
	assert_int_equal(nodestate_finish(&state, "b", 5000, 2000, &err), 0);
	assert_true(nodestate_has_finished(&state, "a"));
	assert_int_equal(nodestate_confirm(&state, "a", &err), 0);
	assert_int_equal(nodestate_confirm(&state, "b", &err), 0);
	assert_int_equal(nodestate_confirm(&state, "nobody", &err), 0);
	assert_int_equal(nodestate_finish(&state, "c", 9000, 2000, &err), 0);
	nodestate_done(&state);
	load(&state);
	assert_false(nodestate_has_finished(&state, "a"));
	assert_true(nodestate_has_finished(&state, "b"));
	assert_true(nodestate_has_finished(&state, "c"));
	nodestate_done(&state);
}

static void test_damaged(void **unused)
{
	static const char *const texts[] = {"", "{", "{\"epoch\":1}", "{\"epoch\":1,\"finished\":[{}]}",
					    "{\"epoch\":1,\"finished\":[],\"x\":1}"};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct nodestate state;
		struct err err = {0};

		assert_int_equal(fdio_replace_file(AT_FDCWD, path, texts[i], strlen(texts[i]), 0600, &err), 0);
		assert_true(nodestate_load(path, &state, &err) < 0);
		assert_true(str_starts(err.msg, "cannot read '/var/tmp/bulkhead-nodestate-"));
		nodestate_done(&state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remembers),
		cmocka_unit_test(test_forgets),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
