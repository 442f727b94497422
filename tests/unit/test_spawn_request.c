/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/spawn_request.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *args[] = {"/bin/sh", "-c", "", NULL}, *env[] = {"PATH=/bin", NULL};
static struct spec_rlimit limits[] = {{7, "RLIMIT_NOFILE", 10, 20}, {1, "RLIMIT_FSIZE", 1, UINT64_MAX}};
static struct sock_filter code[] = {{0x20, 0, 0, 4}, {6, 0, 0, 0x7fff0000}};
static uint32_t gids[] = {44, 4000000000u};

static struct spawn_request sample(void)
{
	return (struct spawn_request){
		.process = {.present = true,
			    .terminal = true,
			    .console_width = 80,
			    .user = {.uid = 33, .gid = 44, .umask = 077, .has_umask = true, .additional = {gids, 2}},
			    .args = {args, 3},
			    .env = {env, 1},
			    .cwd = "/srv",
			    .capabilities = {1, 2, 3, 4, 5},
			    .rlimits = {limits, 2}},
		.filter = {.code = code, .len = 2, .flags = 2},
		.preserve_fds = 9,
	};
}

static void assert_sample(const struct spawn_request *request)
{
	const struct spec_process *process = &request->process;

	assert_true(process->terminal && process->user.has_umask);
	assert_int_equal(process->console_width, 80);
	assert_int_equal(process->user.uid, 33);
	assert_int_equal(process->user.additional.count, 2);
	assert_int_equal(process->user.additional.items[1], 4000000000u);
	assert_int_equal(process->args.count, 3);
	assert_string_equal(process->args.items[0], "/bin/sh");
	assert_string_equal(process->args.items[2], "");
	assert_null(process->args.items[3]);
	assert_int_equal(process->env.count, 1);
	assert_string_equal(process->env.items[0], "PATH=/bin");
	assert_null(process->env.items[1]);
	assert_string_equal(process->cwd, "/srv");
	assert_int_equal(process->capabilities[4], 5);
	assert_int_equal(process->rlimits.count, 2);
	assert_string_equal(process->rlimits.items[1].name, "RLIMIT_FSIZE");
	assert_true(process->rlimits.items[1].hard == UINT64_MAX);
	assert_int_equal(request->filter.len, 2);
	assert_int_equal(request->filter.code[1].k, 0x7fff0000);
	assert_int_equal(request->filter.flags, 2);
	assert_int_equal(request->preserve_fds, 9);
}

static void test_read_as_written(void **state)
{
	const struct spawn_request request = sample();
	CLEANUP_BUF struct buf bytes = {0};
	struct spawn_request read;
	struct err err;

	assert_int_equal(spawn_request_format(&request, &bytes), 0);
	assert_int_equal(spawn_request_parse(bytes.data, bytes.len, &read, &err), 0);
	assert_sample(&read);
}

static void test_anything_shorter_is_refused(void **state)
{
	const struct spawn_request request = sample();
	CLEANUP_BUF struct buf bytes = {0};

	assert_int_equal(spawn_request_format(&request, &bytes), 0);
	for (size_t len = 0; len < bytes.len; len++) {
		char *copy = malloc(len + 1);
		struct spawn_request read;
		struct err err = {0};

		assert_non_null(copy);
		memcpy(copy, bytes.data, len);
		/* The last byte may be missing where the one before it ends a string too. */
		if (spawn_request_parse(copy, len, &read, &err) < 0) {
			assert_int_equal(err.code, ERR_SYNTAX);
			assert_string_equal(err.msg, "not a request of this version");
		} else {
			assert_true(len + 1 == bytes.len);
		}
		free(copy);
	}
}

static void test_another_version_is_refused(void **state)
{
	const struct spawn_request request = sample();
	CLEANUP_BUF struct buf bytes = {0};
	struct spawn_request read;
	struct err err;

	for (size_t at = 0; at < 8; at++) {
		assert_int_equal(spawn_request_format(&request, &bytes), 0);
		bytes.data[at] ^= 1;
		assert_int_equal(spawn_request_parse(bytes.data, bytes.len, &read, &err), ERR_SYNTAX);
		buf_done(&bytes);
	}
}

static void test_too_much_is_not_written(void **state)
{
	struct spawn_request request = sample();
	CLEANUP_BUF struct buf bytes = {0};
	char *word = malloc(SPAWN_REQUEST_MAX + 1);
	const char *words[] = {word, NULL};

	assert_non_null(word);
	memset(word, 'x', SPAWN_REQUEST_MAX);
	word[SPAWN_REQUEST_MAX] = '\0';
	request.process.args = (struct spec_strings){words, 1};
	assert_int_equal(spawn_request_format(&request, &bytes), -EFBIG);
	free(word);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_as_written),
		cmocka_unit_test(test_anything_shorter_is_refused),
		cmocka_unit_test(test_another_version_is_refused),
		cmocka_unit_test(test_too_much_is_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
