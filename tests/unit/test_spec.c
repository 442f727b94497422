/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/str.h"

#define TOP "'ociVersion':'1.2.0'"
#define PROCESS "'process':{'args':['a'],'cwd':'/'"

/* Reads a document written with single quotes. */
static int parse(struct spec *spec, const char *text, struct err *err)
{
	CLEANUP_FREE char *json = strdup(text);

	for (char *at = json; *at; at++)
		if (*at == '\'')
			*at = '"';
	return spec_parse(spec, json, strlen(json), err);
}

static void test_values(void **state)
{
	CLEANUP_SPEC struct spec spec = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(parse(&spec,
			       "{" TOP "," PROCESS
			       ",'env':['A=b'],'user':{'uid':1,'gid':2,'umask':18,'additionalGids':[7]},"
			       "'rlimits':[{'type':'RLIMIT_CORE','soft':0,'hard':18446744073709551615}],"
			       "'capabilities':{'bounding':['CAP_CHOWN','CAP_CHECKPOINT_RESTORE']}},"
			       "'root':{'path':'r','readonly':true},'annotations':{'k':'v'},"
			       "'linux':{'namespaces':[{'type':'network','path':'/n'},{'type':'pid','path':''}],"
			       "'resources':{'memory':{'limit':-1},'devices':[{'allow':true,'type':'c','major':1}]}}}",
			       &err),
			 0);
	assert_string_equal(spec.process.args.items[0], "a");
	assert_null(spec.process.args.items[1]);
	assert_int_equal(spec.process.user.umask, 18);
	assert_int_equal(spec.process.user.additional.items[0], 7);
	assert_int_equal(spec.process.rlimits.items[0].resource, RLIMIT_CORE);
	assert_true(spec.process.rlimits.items[0].hard == UINT64_MAX);
	assert_true(spec.process.capabilities[SPEC_BOUNDING] == (1ull | 1ull << 40));
	assert_string_equal(spec_annotation(&spec, "k"), "v");
	assert_null(spec_annotation(&spec, "x"));
	assert_string_equal(spec.linux_.namespaces[SPEC_NS_NETWORK].path, "/n");
	assert_true(spec.linux_.namespaces[SPEC_NS_PID].wanted);
	assert_null(spec.linux_.namespaces[SPEC_NS_PID].path);
	assert_false(spec.linux_.namespaces[SPEC_NS_USER].wanted);
	assert_true(spec.linux_.resources.memory_limit.present);
	assert_int_equal(spec.linux_.resources.memory_limit.value, -1);
	assert_false(spec.linux_.resources.pids_limit.present);
	assert_int_equal(spec.linux_.resources.devices.items[0].minor, -1);
}

static void test_large_numbers_only_where_they_belong(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{"{" TOP "," PROCESS ",'user':{'uid':18446744073709551615}}}",
		 "config.json: process.user.uid: must be a whole number, not a number with a fraction"},
		{"{" TOP "," PROCESS ",'rlimits':[{'type':'RLIMIT_CPU','soft':0,'hard':99999999999999999999}]}}",
		 "config.json: process.rlimits[0].hard: must be a whole number, not a number with a fraction"},
		{"{" TOP ",'linux':{'resources':{'memory':{'limit':9223372036854775808}}}}",
		 "config.json: linux.resources.memory.limit: must be a whole number, not a number with a fraction"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_SPEC struct spec spec = {0};
		struct err err = {0};

		assert_int_equal(parse(&spec, rows[i].text, &err), ERR_INVALID);
		assert_string_equal(err.msg, rows[i].message);
	}
}

static void test_numbers_in_strings_stay(void **state)
{
	CLEANUP_SPEC struct spec spec = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(parse(&spec, "{" TOP ",'hostname':'18446744073709551615'}", &err), 0);
	assert_string_equal(spec.hostname, "18446744073709551615");
}

static void test_nulls_are_absent(void **state)
{
	CLEANUP_SPEC struct spec spec = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(parse(&spec, "{" TOP ",'process':null,'linux':{'seccomp':null,'namespaces':null},'vm':null}",
			       &err),
			 0);
	assert_false(spec.process.present);
	assert_false(spec.linux_.seccomp.present);
}

static void test_size_and_syntax(void **state)
{
	CLEANUP_SPEC struct spec spec = {0};
	CLEANUP_FREE char *large = malloc(SPEC_BYTES_MAX + 1);
	struct err err = {0};

	(void)state;
	memset(large, ' ', SPEC_BYTES_MAX + 1);
	assert_int_equal(spec_parse(&spec, large, SPEC_BYTES_MAX + 1, &err), ERR_TOO_LARGE);
	assert_string_equal(err.msg, "config.json: 1048577 bytes are more than the 1048576 allowed");
	assert_int_equal(spec_parse(&spec, large, SPEC_BYTES_MAX, &err), ERR_SYNTAX);
	assert_int_equal(spec_parse(&spec, "{\"a\":\"\\u0000\"}", 14, &err), ERR_SYNTAX);
}

static void test_path_of_a_deep_field(void **state)
{
	CLEANUP_SPEC struct spec spec = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(parse(&spec,
			       "{" TOP
			       ",'linux':{'seccomp':{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['x'],"
			       "'action':'SCMP_ACT_ALLOW','args':[{'index':6,'value':1,'op':'SCMP_CMP_EQ'}]}]}}}",
			       &err),
			 ERR_INVALID);
	assert_string_equal(err.msg, "config.json: linux.seccomp.syscalls[0].args[0].index: 6 is not within 0 to 5");
}

static void test_parts_alone(void **state)
{
	struct spec spec = {0};
	struct err err = {0};
	const char *process = "{\"args\":[\"a\"],\"cwd\":\"/\"}", *resources = "{\"pids\":{\"limit\":5}}";

	(void)state;
	assert_int_equal(spec_parse_process(&spec, process, strlen(process), &err), 0);
	assert_true(spec.process.present);
	spec_done(&spec);
	assert_int_equal(spec_parse_process(&spec, "{}", 2, &err), ERR_INVALID);
	assert_string_equal(err.msg, "process: 'args' is missing");
	spec_done(&spec);
	assert_int_equal(spec_parse_resources(&spec, resources, strlen(resources), &err), 0);
	assert_int_equal(spec.linux_.resources.pids_limit.value, 5);
	spec_done(&spec);
}

static void test_capability_names(void **state)
{
	(void)state;
	assert_int_equal(spec_capability_number("CAP_CHOWN"), 0);
	assert_int_equal(spec_capability_number("CAP_CHECKPOINT_RESTORE"), 40);
	assert_int_equal(spec_capability_number("CHOWN"), -1);
	for (int i = 0; i <= 40; i++)
		assert_int_equal(spec_capability_number(spec_capability_name(i)), i);
	assert_null(spec_capability_name(41));
	assert_null(spec_capability_name(-1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_large_numbers_only_where_they_belong),
		cmocka_unit_test(test_numbers_in_strings_stay),
		cmocka_unit_test(test_nulls_are_absent),
		cmocka_unit_test(test_size_and_syntax),
		cmocka_unit_test(test_path_of_a_deep_field),
		cmocka_unit_test(test_parts_alone),
		cmocka_unit_test(test_capability_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
