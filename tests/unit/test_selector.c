/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char pod_text[] = "{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"labels\":{\"app\":\"sip\",\"tier\":"
			       "\"edge\",\"weight\":\"7\"}},"
			       "\"spec\":{\"nodeName\":\"node-1\"},\"status\":{\"phase\":\"Running\"}}";

static void test_labels(void **state)
{
	static const struct {
		const char *text;
		bool matches;
	} rows[] = {
		{"", true},
		{"app=sip", true},
		{"app==sip", true},
		{"app=rtp", false},
		{"app!=rtp", true},
		{"other!=x", true},
		{"app", true},
		{"!app", false},
		{"!other", true},
		{"app in (rtp, sip)", true},
		{"app notin (rtp,sip)", false},
		{"app notin (rtp),tier=edge", true},
		{"app=sip,tier=core", false},
		{"weight>5,weight<8", true},
		{"weight>7", false},
		{"inn=1", false},
		{" app = sip , tier ", true},
	};
	json_t *pod = json_loads(pod_text, 0, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct api_selector *selector = NULL;
		struct err err = {0};

		assert_int_equal(api_selector_parse_labels(rows[i].text, &selector, &err), 0);
		if (api_selector_matches(selector, pod) != rows[i].matches)
			fail_msg("%s", rows[i].text);
		api_selector_free(selector);
	}
	json_decref(pod);
}

static void test_fields(void **state)
{
	static const struct {
		const char *text;
		bool matches;
	} rows[] = {
		{"spec.nodeName=node-1", true},
		{"spec.nodeName!=node-1", false},
		{"metadata.name=p,metadata.namespace=n", true},
		{"status.podIP=", true},
		{"spec.hostNetwork=false", true},
		{"spec.hostNetwork=true", false},
		{"status.phase!=Succeeded,status.phase!=Failed", true},
	};
	const struct api_kind *kind = api_kind_by_name("", "v1", "Pod");
	json_t *pod = json_loads(pod_text, 0, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct api_selector *selector = NULL;
		struct err err = {0};

		assert_int_equal(api_selector_parse_fields(kind, rows[i].text, &selector, &err), 0);
		if (api_selector_matches(selector, pod) != rows[i].matches)
			fail_msg("%s", rows[i].text);
		api_selector_free(selector);
	}
	json_decref(pod);
}

static void test_bad(void **state)
{
	static const struct {
		bool fields;
		const char *text, *message;
	} rows[] = {
		{false, "app=sip,", "unable to parse requirement: expected ',' and a requirement near \",\""},
		{false, "app in sip", "unable to parse requirement: expected '(' near \"sip\""},
		{false, "app in (sip", "unable to parse requirement: expected ',' or ')' near \"\""},
		{false, "!app=b", "unable to parse requirement: '!' stands before a key alone near \"!app=b\""},
		{false, "=b", "unable to parse requirement: key: Invalid value: \"\": name part must be non-empty"},
		{true, "spec.x=1", "field label not supported: spec.x"},
		{true, "spec.nodeName", "invalid selector: 'spec.nodeName'; can't understand 'spec.nodeName'"},
	};
	const struct api_kind *kind = api_kind_by_name("", "v1", "Pod");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct api_selector *selector = NULL;
		struct err err = {0};
		int r = rows[i].fields ? api_selector_parse_fields(kind, rows[i].text, &selector, &err)
				       : api_selector_parse_labels(rows[i].text, &selector, &err);

		assert_string_equal(err.msg, rows[i].message);
		assert_int_equal(r, ERR_SYNTAX);
		assert_null(selector);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
