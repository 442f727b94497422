/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

/* The same value as the decoder of the library that writes it again. */
static void test_same_as_the_library(void **unused)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		" [ ] \n",
		"{\"a\":1,\"b\":[true,false,null],\"c\":{\"d\":\"e\"}}",
		"[0,-0,7,-7,9223372036854775807,-9223372036854775807]",
		"[\"\",\"plain\",\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00x\"]",
		"[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"]",
		"{\"a\\u0062\":{\"\\u0063\":\"\\u0064\"},\"e\":\"f\"}",
		"[0.5,-2.25,1e3,1E-2,125.0e+1,0e0]",
		"\t{\r\n\"x\" : [ 1 , 2 ] }\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct err err = {0};
		json_t *theirs = json_loads(texts[i], JSON_REJECT_DUPLICATES, NULL);
		json_t *ours = json_text_read(texts[i], strlen(texts[i]), &err);

		assert_non_null(theirs);
		assert_string_equal(err.msg, "");
		assert_true(json_equal(ours, theirs));
		json_decref(ours);
		json_decref(theirs);
	}
}

static void test_bad(void **unused)
{
	static const struct {
		const char *text;
		const char *message;
	} rows[] = {
		{"", "line 1: '{' or '[' is expected at the end of the text"},
		{"1", "line 1: '{' or '[' is expected near '1'"},
		{"[1", "line 1: ',' or ']' is expected at the end of the text"},
		{"[1,]", "line 1: a value is expected near ']'"},
		{"[1 2]", "line 1: ',' or ']' is expected near '2]'"},
		{"{\"a\"}", "line 1: ':' is expected near '}'"},
		{"{\"a\":1,}", "line 1: a name in quotes is expected near '}'"},
		{"{\"a\":1,\n\"a\":2}", "line 2: an object has a name twice near ':2}'"},
		{"{\"a\":1,\"\\u0061\":2}", "line 1: an object has a name twice near ':2}'"},
		{"[01]", "line 1: this is no number near ']'"},
		{"[-]", "line 1: this is no number near ']'"},
		{"[1.]", "line 1: this is no number near ']'"},
		{"[1e]", "line 1: this is no number near ']'"},
		{"[1e399]", "line 1: this number is too large near ']'"},
		{"[1e999]", "line 1: this is no number near ']'"},
		{"[tru]", "line 1: a value is expected near 'tru]'"},
		{"[\"a]", "line 1: this is no string at the end of the text"},
		{"[\"a\nb\"]", "line 1: this is no string near ''"},
		{"[\"\\x\"]", "line 1: this is no string near 'x\"]'"},
		{"[\"\\u0000\"]", "line 1: this is no string near '\"]'"},
		{"[\"\\ud800\"]", "line 1: this is no string near '\"]'"},
		{"[\"\\udc00\"]", "line 1: this is no string near '\"]'"},
		{"[\"\xff\"]", "line 1: this is no string near ''"},
		{"[\"\xc0\xaf\"]", "line 1: this is no string near ''"},
		{"[\"\xed\xa0\x80\"]", "line 1: this is no string near ''"},
		{"{} {}", "line 1: more than one value near '{}'"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = {0};
		json_t *value = json_text_read(rows[i].text, strlen(rows[i].text), &err);

		assert_null(value);
		assert_string_equal(err.msg, rows[i].message);
		assert_int_equal(err.code, ERR_SYNTAX);
	}
}

static void test_large_numbers(void **unused)
{
	static const char text[] = "[18446744073709551615, 99999999999999999999, -9223372036854775809]";
	struct err err = {0};
	json_t *value = json_text_read(text, strlen(text), &err);

	assert_true(json_is_real(json_array_get(value, 0)));
	assert_true(json_real_value(json_array_get(value, 0)) == 18446744073709551615.0);
	assert_true(json_real_value(json_array_get(value, 1)) > 9.99e19);
	assert_true(json_real_value(json_array_get(value, 2)) == -9223372036854775808.0);
	json_decref(value);
}

static void test_depth(void **unused)
{
	char text[2 * (JSON_TEXT_DEPTH + 1) + 1];
	struct err err = {0};
	json_t *value;

	for (size_t depth = JSON_TEXT_DEPTH; depth <= JSON_TEXT_DEPTH + 1; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		value = json_text_read(text, 2 * depth, &err);
		assert_int_equal(value != NULL, depth == JSON_TEXT_DEPTH);
		json_decref(value);
	}
	assert_true(str_starts(err.msg, "line 1: this is nested too deeply near '[]"));
}

/* Each prefix of a text ends somewhere it may not. */
static void test_cut_off(void **unused)
{
	static const char text[] = "{\"a\":[1.5e3,\"b\\u00e9\\n\",true,null],\"c\":{\"d\":-7}}";

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		struct err err = {0};
		char *copy = malloc(len + 1);

		memcpy(copy, text, len);
		assert_null(json_text_read(copy, len, &err));
		assert_int_equal(err.code, ERR_SYNTAX);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_as_the_library),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_large_numbers),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
