/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/signals.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_words(void **state)
{
	const struct {
		const char *word;
		int number;
	} rows[] = {
		{"15", 15},      {"TERM", SIGTERM}, {"SIGTERM", SIGTERM}, {"sigkill", SIGKILL},
		{"hup", SIGHUP}, {"64", 64},        {"RTMIN", SIGRTMIN},  {"SIGRTMIN+3", SIGRTMIN + 3},
	};
	const char *wrong[] = {"", "0", "65", "-9", "9x", "SIG", "SIGSIGTERM", "TERMX", "RTMIN+99", "RTMIN-1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = {0};
		int number = 0;

		assert_int_equal(signals_parse(rows[i].word, &number, &err), 0);
		assert_int_equal(number, rows[i].number);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct err err = {0};
		int number = 77;

		assert_int_equal(signals_parse(wrong[i], &number, &err), ERR_INVALID);
		assert_int_equal(number, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_words)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
