/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/nodeconfig.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

#define GOOD                                                                                                          \
	"\"instance\":\"node-1\",\"cism\":\"https://127.0.0.1:6443\",\"registries\":[{\"host\":\"127.0.0.1:5000\"}]," \
	"\"podNetwork\":\"10.88.0.0/24\",\"bridge\":\"bh0\",\"uidBase\":1900000000,\"uidRanges\":1000,"               \
	"\"runtime\":\"/usr/bin/bulkhead-runtime\",\"cgroupParent\":\"bulkhead\""

static void test_good(void **state)
{
	struct nodeconfig config = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(nodeconfig_parse("{" GOOD "}", strlen("{" GOOD "}"), &config, &err), 0);
	assert_string_equal(config.instance, "node-1");
	assert_string_equal(config.cism[0], "https://127.0.0.1:6443");
	assert_int_equal(config.registry_count, 1);
	assert_string_equal(config.registries[0], "127.0.0.1:5000");
	assert_int_equal(config.network, 0x0a580000);
	assert_int_equal(config.prefix, 24);
	assert_int_equal(config.uid_base, 1900000000);
	assert_int_equal(config.uid_ranges, 1000);
	nodeconfig_done(&config);
}

/* Replaces `from` in the good text by `to` and expects this message. */
static void refused(const char *from, const char *to, const char *message)
{
	static const char good[] = "{" GOOD "}";
	const char *at = strstr(good, from);
	char text[2048];
	struct nodeconfig config = {0};
	struct err err = {0};

	assert_non_null(at);
	(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
	assert_true(nodeconfig_parse(text, strlen(text), &config, &err) < 0);
	assert_string_equal(err.msg, message);
	nodeconfig_done(&config);
}

static void test_bad(void **state)
{
	(void)state;
	refused("node-1", "Node 1", "'instance' is not a DNS label: 'Node 1'");
	refused("https://", "http://", "'cism' is not an address such as https://127.0.0.1:6443");
	refused("127.0.0.1:5000", "a b", "'registries[0].host' is not a host: 'a b'");
	refused("10.88.0.0/24", "10.88.0.1/24", "'10.88.0.1/24' is not a network: it has host bits");
	refused("1900000000", "0", "'uidBase' is not 65536 to 4294967294");
	refused("1000,", "60000,", "'uidRanges' times 65536 ids do not fit above 'uidBase'");
	refused("/usr/bin/", "", "'runtime' is not an absolute path");
	refused("\"bulkhead\"", "\"../x\"", "'cgroupParent' is not one path element of a-z, 0-9 and '-'");
}

/* What the readers of all configurations say is asserted with them; here, that they are asked. */
static void test_strict(void **state)
{
	static const char *const texts[] =
		{"", "[]", "{}", "{" GOOD ",\"more\":1}", "{" GOOD "}x", "{" GOOD "," GOOD "}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct nodeconfig config = {0};
		struct err err = {0};

		assert_true(nodeconfig_parse(texts[i], strlen(texts[i]), &config, &err) < 0);
		assert_string_not_equal(err.msg, "");
		nodeconfig_done(&config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
