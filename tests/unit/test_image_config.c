/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/image_config.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define D "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define WITH(config) \
	"{'os':'linux','architecture':'amd64','config':" config ",'rootfs':{'type':'layers','diff_ids':['" D "']}}"
#define ROOTFS(rootfs) "{'os':'linux','architecture':'amd64','rootfs':" rootfs "}"

static int parse(const char *text, struct image_config *config, struct err *err)
{
	CLEANUP_FREE char *json = strdup(text);

	for (char *at = json; *at; at++)
		if (*at == '\'')
			*at = '"';
	return image_config_parse(json, strlen(json), config, err);
}

static void test_good(void **state)
{
	struct image_config config;
	struct err err;
	uid_t uid;
	gid_t gid;

	(void)state;
	assert_int_equal(parse(WITH("{'Entrypoint':['/bin/sh','-c'],'Cmd':['x'],'Env':['A=b','C='],'WorkingDir':'/"
				    "w','User':'1000:1001',"
				    "'StopSignal':'SIGINT'}"),
			       &config, &err),
			 0);
	assert_int_equal(config.entrypoint_count, 2);
	assert_string_equal(config.entrypoint[1], "-c");
	assert_null(config.entrypoint[2]);
	assert_string_equal(config.command[0], "x");
	assert_int_equal(config.environment_count, 2);
	assert_string_equal(config.working_dir, "/w");
	assert_string_equal(config.stop_signal, "SIGINT");
	assert_int_equal(config.diff_id_count, 1);
	assert_int_equal(image_config_ids(&config, &uid, &gid, &err), 0);
	assert_int_equal(uid, 1000);
	assert_int_equal(gid, 1001);
	image_config_done(&config);

	assert_int_equal(parse(WITH("{'User':'','WorkingDir':'','Entrypoint':null}"), &config, &err), 0);
	assert_int_equal(config.entrypoint_count, 0);
	assert_null(config.working_dir);
	assert_null(config.user);
	assert_int_equal(image_config_ids(&config, &uid, &gid, &err), 0);
	assert_int_equal(uid, 0);
	image_config_done(&config);
}

static void test_ids_refused(void **state)
{
	static const char *const bad[] = {"kamailio", "65536", "1000:", ":1000",   "1000:sip",
					  "1:2:3",    "-1",    "01",    "10000000"};
	struct image_config config = {0};
	struct err err;
	uid_t uid;
	gid_t gid;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char expected[256];

		config.user = bad[i];
		assert_int_equal(image_config_ids(&config, &uid, &gid, &err), ERR_INVALID);
		(void)snprintf(
			expected, sizeof(expected),
			"image configuration: config.User '%s' is not 'uid' or 'uid:gid' with numbers up to 65535",
			bad[i]);
		assert_string_equal(err.msg, expected);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *message;
	} bad[] = {
		{"{", ERR_SYNTAX,
		 "image configuration: not JSON: line 1 column 1: string or '}' expected near end of file"},
		{"{}", ERR_INVALID, "image configuration: os is missing"},
		{"{'os':'linux'}", ERR_INVALID, "image configuration: architecture is missing"},
		{WITH("3"), ERR_INVALID, "image configuration: config is not an object"},
		{WITH("{'Entrypoint':'sh'}"), ERR_INVALID, "image configuration: config.Entrypoint is not a list"},
		{WITH("{'Cmd':[1]}"), ERR_INVALID, "image configuration: config.Cmd[0] is not a string"},
		{WITH("{'Env':['x']}"), ERR_INVALID, "image configuration: config.Env[0] 'x' is not 'NAME=value'"},
		{WITH("{'Env':['=x']}"), ERR_INVALID, "image configuration: config.Env[0] '=x' is not 'NAME=value'"},
		{WITH("{'WorkingDir':'w'}"), ERR_INVALID, "image configuration: config.WorkingDir 'w' is not absolute"},
		{WITH("{'User':5}"), ERR_INVALID, "image configuration: config.User is not a string"},
		{ROOTFS("null"), ERR_INVALID, "image configuration: rootfs is not an object"},
		{ROOTFS("{'type':'tree'}"), ERR_INVALID, "image configuration: rootfs.type is 'tree', not 'layers'"},
		{ROOTFS("{'type':'layers','diff_ids':['x']}"), ERR_INVALID,
		 "image configuration: rootfs.diff_ids[0]: digest 'x' begins neither with 'sha256:' nor with "
		 "'sha512:'"},
	};
	struct image_config config;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i].text, &config, &err), bad[i].code);
		assert_string_equal(err.msg, bad[i].message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_ids_refused),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
