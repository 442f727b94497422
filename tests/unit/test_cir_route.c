/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_route.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HEX "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ID "0123456789abcdef0123456789abcdef"

static void test_routes(void **state)
{
	static const struct {
		const char *path;
		enum cir_route_kind kind;
		const char *repository;
	} cases[] = {
		{"/v2", CIR_ROUTE_PING, ""},
		{"/v2/", CIR_ROUTE_PING, ""},
		{"/v2/_catalog", CIR_ROUTE_CATALOG, ""},
		{"/v2/a/tags/list", CIR_ROUTE_TAGS, "a"},
		{"/v2/a/b/c/manifests/v1", CIR_ROUTE_MANIFEST, "a/b/c"},
		{"/v2/a/manifests/sha256:" HEX, CIR_ROUTE_MANIFEST, "a"},
		{"/v2/a/blobs/sha256:" HEX, CIR_ROUTE_BLOB, "a"},
		{"/v2/a/blobs/uploads/", CIR_ROUTE_UPLOADS, "a"},
		{"/v2/a/blobs/uploads", CIR_ROUTE_UPLOADS, "a"},
		{"/v2/a/blobs/uploads/" ID, CIR_ROUTE_UPLOAD, "a"},
		{"/v2/a/referrers/sha256:" HEX, CIR_ROUTE_REFERRERS, "a"},
		{"/v2/blobs/uploads/manifests/x", CIR_ROUTE_MANIFEST, "blobs/uploads"},
		{"/v2/manifests/tags/list", CIR_ROUTE_TAGS, "manifests"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cir_route route;
		const char *code = NULL;

		assert_int_equal(cir_route_parse(cases[i].path, &route, &code, NULL), 0);
		assert_int_equal(route.kind, cases[i].kind);
		assert_string_equal(route.repository, cases[i].repository);
	}
}

static void test_refused_paths(void **state)
{
	static const struct {
		const char *path, *code;
		int result;
	} cases[] = {
		{"/", "UNSUPPORTED", ERR_NOT_FOUND},
		{"/v1/", "UNSUPPORTED", ERR_NOT_FOUND},
		{"/v2x", "UNSUPPORTED", ERR_NOT_FOUND},
		{"/v2/a", "UNSUPPORTED", ERR_NOT_FOUND},
		{"/v2/manifests/x", "UNSUPPORTED", ERR_NOT_FOUND},
		{"/v2/a/else/x", "UNSUPPORTED", ERR_NOT_FOUND},
		{"/v2/a/uploads/x", "UNSUPPORTED", ERR_NOT_FOUND},
		{"/v2/a/tags/x", "UNSUPPORTED", ERR_NOT_FOUND},
		{"/v2/A/manifests/x", "NAME_INVALID", ERR_SYNTAX},
		{"/v2/a..b/manifests/x", "NAME_INVALID", ERR_SYNTAX},
		{"/v2/_blobs/manifests/x", "NAME_INVALID", ERR_SYNTAX},
		{"/v2/a/manifests/.x", "TAG_INVALID", ERR_SYNTAX},
		{"/v2/a/manifests/", "TAG_INVALID", ERR_SYNTAX},
		{"/v2/a/manifests/sha256:", "DIGEST_INVALID", ERR_SYNTAX},
		{"/v2/a/blobs/sha256:" HEX "0", "DIGEST_INVALID", ERR_SYNTAX},
		{"/v2/a/referrers/v1", "DIGEST_INVALID", ERR_SYNTAX},
		{"/v2/a/blobs/uploads/../x", "UNSUPPORTED", ERR_NOT_FOUND},
		{"/v2/a/blobs/uploads/0123", "BLOB_UPLOAD_UNKNOWN", ERR_NOT_FOUND},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cir_route route;
		const char *code = NULL;
		struct err err = {0};

		assert_int_equal(cir_route_parse(cases[i].path, &route, &code, &err), cases[i].result);
		assert_string_equal(code, cases[i].code);
	}
}

static void test_ranges(void **state)
{
	static const struct {
		const char *header;
		uint64_t size;
		int result;
		uint64_t offset, len;
	} cases[] = {
		{"bytes=0-0", 10, 1, 0, 1},
		{"bytes=3-", 10, 1, 3, 7},
		{"bytes=3-100", 10, 1, 3, 7},
		{"bytes=-4", 10, 1, 6, 4},
		{"bytes=-40", 10, 1, 0, 10},
		{"bytes=10-", 10, -ERANGE, 0, 0},
		{"bytes=-0", 10, -ERANGE, 0, 0},
		{"bytes=0-", 0, -ERANGE, 0, 0},
		{"bytes=-1", 0, -ERANGE, 0, 0},
		{NULL, 10, 0, 0, 0},
		{"bytes=4-3", 10, 0, 0, 0},
		{"bytes=0-1,3-4", 10, 0, 0, 0},
		{"bytes=", 10, 0, 0, 0},
		{"bytes=-", 10, 0, 0, 0},
		{"bytes=01-2", 10, 0, 0, 0},
		{"items=0-1", 10, 0, 0, 0},
		{"bytes=99999999999999999999-", 10, 0, 0, 0},
		{"bytes=0-18446744073709551615", 10, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t offset = 0, len = 0;

		assert_int_equal(cir_route_range(cases[i].header, cases[i].size, &offset, &len), cases[i].result);
		assert_int_equal(offset, cases[i].offset);
		assert_int_equal(len, cases[i].len);
	}
}

static void test_content_ranges(void **state)
{
	static const char *const refused[] = {"",    "-",         "1",
					      "1-",  "-1",        "5-4",
					      "a-b", "bytes=0-1", "0-99999999999999999999"};
	uint64_t first, last;

	(void)state;
	assert_int_equal(cir_route_content_range("5-9", &first, &last), 0);
	assert_int_equal(first, 5);
	assert_int_equal(last, 9);
	assert_int_equal(cir_route_content_range("bytes 0-0/100", &first, &last), 0);
	assert_int_equal(last, 0);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_int_equal(cir_route_content_range(refused[i], &first, &last), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_refused_paths),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_content_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
