/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/device_list.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The list as text, each entry in brackets. */
static void expect(const struct device_list *list, bool open, const char *wanted)
{
	char text[512] = "";

	assert_int_equal(list->open, open);
	for (size_t i = 0; i < list->count; i++) {
		char line[80];

		device_list_format(&list->items[i], line, sizeof(line));
		(void)strncat(text, "[", sizeof(text) - strlen(text) - 1);
		(void)strncat(text, line, sizeof(text) - strlen(text) - 1);
		(void)strncat(text, "]", sizeof(text) - strlen(text) - 1);
	}
	assert_string_equal(text, wanted);
}

static void test_rules_change_the_list_one_by_one(void **state)
{
	static const struct {
		struct spec_device_rule rule;
		bool open;
		const char *wanted;
	} rows[] = {
		{{true, 'c', 1, 3, "rw"}, false, "[c 1:3 rw]"},
		{{true, 'c', 1, 3, "mr"}, false, "[c 1:3 rwm]"},
		{{true, 'b', 1, 3, "r"}, false, "[c 1:3 rwm][b 1:3 r]"},
		{{true, 'c', 136, -1, "rwm"}, false, "[c 1:3 rwm][b 1:3 r][c 136:* rwm]"},
		{{false, 'c', 136, 1, "rwm"}, false, "[c 1:3 rwm][b 1:3 r][c 136:* rwm]"},
		{{false, 'c', 1, 3, "w"}, false, "[c 1:3 rm][b 1:3 r][c 136:* rwm]"},
		{{false, 'c', 1, 3, "rwm"}, false, "[c 136:* rwm][b 1:3 r]"},
		{{true, 'a', -1, -1, "rwm"}, true, ""},
		{{false, 'b', 8, -1, "w"}, true, "[b 8:* w]"},
		{{true, 'b', 8, 0, "w"}, true, "[b 8:* w]"},
		{{true, 'b', 8, -1, "w"}, true, ""},
		{{false, 'a', -1, -1, "rwm"}, false, ""},
	};
	struct device_list list = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(device_list_add(&list, &rows[i].rule), 0);
		expect(&list, rows[i].open, rows[i].wanted);
	}
	device_list_done(&list);
}

static void test_the_kernels_file_is_read(void **state)
{
	static const struct {
		const char *text;
		int result;
		bool open;
		const char *wanted;
	} rows[] = {
		{"", 0, false, ""},
		{"a *:* rwm\n", 0, true, ""},
		{"c 1:3 rwm\nb *:0 m\nc 10:* rw\n", 0, false, "[c 1:3 rwm][b *:0 m][c 10:* rw]"},
		{"c 1:3\n", ERR_SYNTAX, false, ""},
		{"d 1:3 r\n", ERR_SYNTAX, false, ""},
		{"cc 1:3 r\n", ERR_SYNTAX, false, ""},
		{"c 1x:3 r\n", ERR_SYNTAX, false, ""},
		{"c 1:4294967296 r\n", ERR_SYNTAX, false, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct device_list list = {0};

		assert_int_equal(device_list_parse(&list, rows[i].text), rows[i].result);
		expect(&list, rows[i].open, rows[i].wanted);
		device_list_done(&list);
	}
}

static void test_entries_are_found_by_their_device(void **state)
{
	struct device_list list = {0};

	assert_int_equal(device_list_parse(&list, "c 1:3 rm\nc 1:* w\n"), 0);
	assert_int_equal(device_list_find(&list, &(struct device_list_entry){'c', 1, 3, 0}), 5);
	assert_int_equal(device_list_find(&list, &(struct device_list_entry){'c', 1, -1, 0}), 2);
	assert_int_equal(device_list_find(&list, &(struct device_list_entry){'b', 1, 3, 0}), 0);
	assert_int_equal(device_list_find(&list, &(struct device_list_entry){'c', 1, 4, 0}), 0);
	device_list_done(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_change_the_list_one_by_one),
		cmocka_unit_test(test_the_kernels_file_is_read),
		cmocka_unit_test(test_entries_are_found_by_their_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
